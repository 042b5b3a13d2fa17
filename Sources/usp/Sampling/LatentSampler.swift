// A model with its process, solver and guidance: one way to draw latents, whatever the family.

import USPBase
import USPKit

/// Draws latents of batches, and tells how it does.
struct LatentSampler {
    /// What one batch is.
    struct Batch {
        let z: Tensor
        let labels: [Int]
        let guidance: Guidance
        /// Number of the first sample, and samples in all.
        let first: Int
        let total: Int
    }

    private let model: DiT
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

    /// Latents of the batch, or the noise that its latents come from if that is the task; Ctrl-C
    /// ends between two steps.
    ///
    /// - progress: receives steps done and all steps
    /// - preview: receives predicted clean latents every so many steps
    func run(
        _ batch: Batch, progress: @escaping (Int, Int) -> Void,
        preview: (interval: Int, show: (Tensor) throws(USPError) -> Void)? = nil
    ) throws(USPError) -> Tensor {
        var options = sampler.options
        (options.firstSample, options.totalSamples) = (batch.first, batch.total)
        var monitor = monitor(progress)
        if let preview {
            options.previewInterval = preview.interval
            monitor.preview = { state throws(USPError) in
                if let latents = state.latents { try preview.show(latents) }
            }
        }
        return try Sampler(sampler.process, options, for: sampler.task).run(
            denoiser(batch), from: batch.z, labels: batch.labels, noise: nil, monitor)
    }

    /// Log-likelihoods in nats of the batch's latents, and the noise that they come from.
    func likelihood(
        _ batch: Batch, progress: @escaping (Int, Int) -> Void
    ) throws(USPError) -> (logLikelihood: [Float], noise: Tensor) {
        try require(
            batch.guidance.changesNothing, .argument,
            "likelihood: a guided model has none; give --cfg 1")
        return try sampler.likelihood(
            denoiser(batch), of: batch.z, labels: batch.labels, probe: nil, monitor(progress))
    }

    private func denoiser(_ batch: Batch) throws(USPError) -> Denoiser {
        try require(
            model.nullClass != nil || batch.guidance.changesNothing, .argument,
            "guidance: the model has no null class to guide away from; give --cfg 1")
        return try model.denoiser.guided(batch.guidance)
    }

    private func monitor(_ progress: @escaping (Int, Int) -> Void) -> SamplingMonitor {
        let calls = calls
        var before = 0
        return SamplingMonitor { state throws(USPError) in
            try Interrupt.check()
            calls.count += state.evaluations - before
            before = state.evaluations
            progress(state.step, state.steps)
        }
    }

    /// Calls of the model since the last time this was asked.
    func takeEvaluations() -> Int {
        defer { calls.count = 0 }
        return calls.count
    }

    /// Whether a sample depends on those it is drawn with: steps are chosen for all together.
    var isAdaptive: Bool { sampler.solver.isAdaptive }

    /// What was moved about the stretch of time that the solver covers.
    var notes: [String] { sampler.interval?.notes ?? [] }
}

/// A count that closures share.
private final class Calls {
    var count = 0
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
