// A model with its process, solver and guidance: one way to draw latents, whatever the family.

import USPBase
import USPFiles
import USPKit

/// What one batch is.
struct SampledBatch {
    /// What samples start from; nil: what the model draws.
    let z: Tensor?
    let labels: [Int]
    let guidance: Guidance
    /// Number of the first sample, and samples in all.
    let first: Int
    let total: Int
}

/// Draws latents of batches, and tells how it does.
protocol BatchSampler {
    /// Latents of the batch; Ctrl-C ends between two steps.
    ///
    /// - progress: receives steps done and all steps
    /// - preview: receives predicted clean latents every so many steps
    func run(
        _ batch: SampledBatch, progress: @escaping (Int, Int) -> Void,
        preview: (interval: Int, show: (Tensor) throws(USPError) -> Void)?
    ) throws(USPError) -> Tensor
    /// Evaluations of the model since the last time this was asked, as far as they were computed.
    func takeEvaluations() -> Double
    /// Whether a sample depends on those it is drawn with.
    var isAdaptive: Bool { get }
    /// What was moved.
    var notes: [String] { get }
    /// Everything that numbers depend on, but seeds and files.
    func record(_ guidance: GuidanceArguments) throws -> [JSON.Member]
}

/// Of a diffusion or flow.
struct LatentSampler: BatchSampler {

    let model: DiT
    let sampler: Sampler
    /// As the command line says it: of a diffusion those of the process.
    let steps: Int
    private let calls = Calls()

    /// - generator: nil, `torch` or `torch-cuda`
    /// - Throws: for unknown names with the known ones; for settings without a part in the solver.
    init(
        _ model: DiT, _ given: SolverArguments, seed: UInt64, generator: String? = nil,
        task: Sampler.Task = .sample
    ) throws(USPError) {
        self.model = model
        let isFlow = model.configuration.isFlow
        try require(
            isFlow || model.configuration.noiseTime == 0, .argument,
            "the model has its noise at time 1, as REPA's: give --family SiT")
        let known = Solver.all.filter { task.takes($0) && $0.isDiffusion != isFlow }
        try require(!known.isEmpty, .unsupported, "the \(task): only a SiT's flow has one")
        let solver = try Solver.named(given.solver, of: known)
        try given.refuseUseless(solver)
        var options = SampleOptions()
        try given.options.apply(to: &options)
        (options.method, options.seed, options.generator) = (solver.method, seed, generator)
        if isFlow { options.steps = given.steps }
        let process: Sampler.Process
        if solver.isDiffusion {
            steps = given.steps ?? 250
            process = .diffusion(
                try Diffusion(
                    given.diffusion(solver, steps, learnsSigma: model.configuration.learnsSigma)))
        } else {
            // SiT's direction goes without saying.
            let noiseTime = model.configuration.noiseTime
            let transport = try Transport(given.transport).facing(noiseTime)
            process = solver.isStochastic ? .stochastic(transport) : .flow(transport)
            steps =
                given.steps
                ?? (solver.isStochastic ? Sampler.stochasticSteps : Sampler.flowPoints)
        }
        sampler = try Sampler(process, options, for: task)
    }

    /// Latents of the batch, or the noise that its latents come from if that is the task.
    func run(
        _ batch: SampledBatch, progress: @escaping (Int, Int) -> Void,
        preview: (interval: Int, show: (Tensor) throws(USPError) -> Void)? = nil
    ) throws(USPError) -> Tensor {
        var options = sampler.options
        (options.firstSample, options.totalSamples) = (batch.first, batch.total)
        if let preview { options.previewInterval = preview.interval }
        return try Sampler(sampler.process, options, for: sampler.task).run(
            denoiser(batch), from: start(batch), labels: batch.labels, noise: nil,
            calls.monitor(progress, preview?.show))
    }

    /// Log-likelihoods in nats of the batch's latents, and the noise that they come from.
    func likelihood(
        _ batch: SampledBatch, progress: @escaping (Int, Int) -> Void
    ) throws(USPError) -> (logLikelihood: [Float], noise: Tensor) {
        try require(
            batch.guidance.changesNothing, .argument,
            "likelihood: a guided model has none; give --cfg 1")
        return try sampler.likelihood(
            denoiser(batch), of: start(batch), labels: batch.labels, probe: nil,
            calls.monitor(progress))
    }

    private func start(_ batch: SampledBatch) throws(USPError) -> Tensor {
        guard let z = batch.z else { throw USPError(.internal, "a batch without its start") }
        return z
    }

    private func denoiser(_ batch: SampledBatch) throws(USPError) -> Denoiser {
        try require(
            model.nullClass != nil || batch.guidance.changesNothing, .argument,
            "guidance: the model has no null class to guide away from; give --cfg 1")
        return try model.denoiser.guided(batch.guidance)
    }

    func takeEvaluations() -> Double { calls.take() }

    /// Whether a sample depends on those it is drawn with: steps, or what is computed anew, are chosen
    /// for all together.
    var isAdaptive: Bool { sampler.solver.isAdaptive || sampler.options.reuse.threshold != nil }

    /// What was moved about the stretch of time that the solver covers.
    var notes: [String] { sampler.interval?.notes ?? [] }
}

/// A count of the model's evaluations that closures share.
final class Calls {
    private var count = 0.0

    func take() -> Double {
        defer { count = 0 }
        return count
    }

    /// Counts, tells of each step and shows what is there, until it is interrupted.
    func monitor(
        _ progress: @escaping (Int, Int) -> Void,
        _ show: ((Tensor) throws(USPError) -> Void)? = nil
    ) -> SamplingMonitor {
        var before = 0.0
        var monitor = SamplingMonitor { state throws(USPError) in
            try Interrupt.check()
            self.count += state.evaluations - before
            before = state.evaluations
            progress(state.step, state.steps)
        }
        if let show {
            monitor.preview = { state throws(USPError) in
                if let latents = state.latents { try show(latents) }
            }
        }
        return monitor
    }
}

extension SolverArguments {
    fileprivate var transport: Transport.Options {
        get throws(USPError) {
            var options = Transport.Options()
            if let path { try options.set("path", path) }
            if let prediction { try options.set("prediction", prediction) }
            return options
        }
    }

    fileprivate func diffusion(
        _ solver: Solver, _ steps: Int, learnsSigma: Bool
    ) throws(USPError) -> Diffusion.Options {
        var options = Diffusion.Options()
        if let noiseSchedule { try options.set("schedule", noiseSchedule) }
        if let prediction { try options.set("prediction", prediction) }
        options.respacing = solver.name == "ddim" ? "ddim\(steps)" : "\(steps)"
        options.variance = .of(learnsSigma: learnsSigma)
        return options
    }

    /// - Throws: for an option that would change nothing, so that nobody believes it did: also for
    ///   one that says the default.
    fileprivate func refuseUseless(_ solver: Solver) throws(USPError) {
        var said = options.said.map { (name: $0, parts: SampleOptions.parts(of: $0)) }
        if noiseSchedule != nil { said.append(("noise-schedule", Solver.names { $0.isDiffusion })) }
        if path != nil { said.append(("path", Solver.names { !$0.isDiffusion })) }
        for option in said { try solver.requirePart(option.name, of: option.parts) }
    }
}
