// A model with its process, solver and guidance: one way to draw latents, whatever the family.

import USPBase
import USPDiffusion
import USPKit

/// Draws latents of batches, and tells how it does.
struct LatentSampler {
    enum Process {
        case diffusion(Diffusion)
        case flow(USPKit.Transport)
        case stochastic(USPKit.Transport)
    }

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
    let process: Process
    let options: SampleOptions
    private let calls = Calls()
    /// The solver's name, as the command line takes it.
    let solver: String
    let steps: Int

    /// - generator: nil, `torch` or `torch-cuda`
    /// - inverts: data to noise, which only flows and ddim can
    /// - Throws: for unknown names with the known ones; for settings without a part in the solver.
    init(
        _ model: DiT, _ given: SolverArguments, seed: UInt64, generator: String? = nil,
        inverts: Bool = false
    ) throws(USPError) {
        self.model = model
        let isFlow = model.family == "SiT"
        solver = try LatentSampler.solver(given.solver, isFlow: isFlow, inverts: inverts)
        let isStochastic = isFlow && solver.hasPrefix("sde")
        steps = given.steps ?? (isFlow && !isStochastic ? 50 : 250)
        try given.refuseUseless(solver, isFlow: isFlow, isStochastic: isStochastic)
        var options = SampleOptions()
        options.steps = steps
        options.method = isStochastic ? (solver == "sde" ? "Euler" : "Heun") : solver
        options.seed = seed
        options.generator = generator
        options.clipsStart = given.clip
        options.eta = given.eta ?? options.eta
        options.atol = given.atol ?? options.atol
        options.rtol = given.rtol ?? options.rtol
        options.timestepShift = given.shift ?? options.timestepShift
        options.form = try DiffusionForm.named(given.form ?? options.form).rawValue
        options.norm = given.norm ?? options.norm
        options.lastStep = try LastStep.named(given.lastStep ?? options.lastStep).rawValue
        options.lastStepSize = given.lastStepSize ?? options.lastStepSize
        self.options = options
        if isFlow {
            let transport = try USPKit.Transport(given.transport)
            process = isStochastic ? .stochastic(transport) : .flow(transport)
        } else {
            process = .diffusion(
                try Diffusion(
                    given.diffusion(solver, steps, learnsSigma: model.configuration.learnsSigma)))
        }
    }

    private static func solver(
        _ name: String?, isFlow: Bool, inverts: Bool
    ) throws(USPError) -> String {
        let flows = ODEMethod.allCases.map(\.rawValue) + (inverts ? [] : ["sde", "sde-heun"])
        let known = isFlow ? flows : inverts ? ["ddim"] : Diffusion.methods
        guard let name = name?.lowercased() else {
            return isFlow ? "dopri5" : inverts ? "ddim" : "ddpm"
        }
        if known.contains(name) { return name }
        if isFlow, let method = try? ODEMethod.named(name) { return method.rawValue }
        throw unknownName(name, what: "solver", known: known)
    }

    /// Latents of the batch; Ctrl-C ends between two steps.
    ///
    /// - progress: receives steps done and all steps
    /// - preview: receives predicted clean latents every so many steps
    func draw(
        _ batch: Batch, progress: @escaping (Int, Int) -> Void = { _, _ in },
        preview: (interval: Int, show: (Tensor) throws(USPError) -> Void)? = nil
    ) throws(USPError) -> Tensor {
        var options = self.options(batch, progress)
        if let preview {
            options.previewInterval = preview.interval
            options.preview = { state throws(USPError) in
                if let latents = state.latents { try preview.show(latents) }
            }
        }
        let denoiser = try counted.guided(batch.guidance)
        switch process {
        case .diffusion(let diffusion):
            return try diffusion.sample(denoiser, from: batch.z, labels: batch.labels, options)
        case .flow(let transport):
            return try transport.sampleODE(denoiser, from: batch.z, labels: batch.labels, options)
        case .stochastic(let transport):
            return try transport.sampleSDE(denoiser, from: batch.z, labels: batch.labels, options)
        }
    }

    /// The noise that the batch's latents come from.
    func invert(
        _ batch: Batch, progress: @escaping (Int, Int) -> Void
    ) throws(USPError) -> Tensor {
        let denoiser = try counted.guided(batch.guidance)
        let options = options(batch, progress)
        switch process {
        case .diffusion(let diffusion):
            return try diffusion.invert(denoiser, from: batch.z, labels: batch.labels, options)
        case .flow(let transport), .stochastic(let transport):
            return try transport.invertODE(denoiser, from: batch.z, labels: batch.labels, options)
        }
    }

    /// Log-likelihoods in nats of the batch's latents, and the noise that they come from.
    func likelihood(
        _ batch: Batch, progress: @escaping (Int, Int) -> Void
    ) throws(USPError) -> (logLikelihood: [Float], noise: Tensor) {
        guard case .flow(let transport) = process else {
            throw USPError(.unsupported, "likelihood: is that of a SiT's flow")
        }
        try require(
            batch.guidance.scales.allSatisfy { $0 == 1 }, .argument,
            "likelihood: a guided model has none; give --cfg 1")
        return try transport.likelihood(
            counted, of: batch.z, labels: batch.labels, options(batch, progress))
    }

    private func options(
        _ batch: Batch, _ progress: @escaping (Int, Int) -> Void
    ) -> SampleOptions {
        var options = options
        options.firstSample = batch.first
        options.totalSamples = batch.total
        options.progress = { state throws(USPError) in
            try Interrupt.check()
            progress(state.step, state.steps)
        }
        return options
    }

    /// Calls of the model since the last time this was asked.
    func takeEvaluations() -> Int {
        defer { calls.count = 0 }
        return calls.count
    }

    /// Steps that progress counts: a flow's are between its points of time.
    var progressSteps: Int {
        if case .flow = process { steps - 1 } else { steps }
    }

    /// Whether a sample depends on those it is drawn with: steps are chosen for all together.
    var isAdaptive: Bool { solver == "dopri5" }

    private var counted: USPKit.Denoiser {
        let calls = calls
        return model.denoiser.observed { calls.count += 1 }
    }
}

/// A count that closures share.
private final class Calls {
    var count = 0
}

extension SolverArguments {
    fileprivate var transport: USPKit.Transport.Options {
        var options = USPKit.Transport.Options()
        options.path = path ?? options.path
        options.prediction = prediction ?? options.prediction
        return options
    }

    fileprivate func diffusion(
        _ solver: String, _ steps: Int, learnsSigma: Bool
    ) -> Diffusion.Options {
        var options = Diffusion.Options()
        options.schedule = schedule ?? options.schedule
        options.prediction = prediction ?? options.prediction
        options.respacing = solver == "ddim" ? "ddim\(steps)" : "\(steps)"
        if !learnsSigma { options.variance = "fixed-large" }
        return options
    }

    /// - Throws: for an option that would change nothing, so that nobody believes it did.
    fileprivate func refuseUseless(
        _ solver: String, isFlow: Bool, isStochastic: Bool
    ) throws(USPError) {
        let isAdaptive = solver == "dopri5"
        let uses: [(option: String, isGiven: Bool, hasPart: Bool)] = [
            ("--schedule", schedule != nil, !isFlow), ("--path", path != nil, isFlow),
            ("--shift", shift != nil, isFlow && !isStochastic),
            ("--atol", atol != nil, isAdaptive), ("--rtol", rtol != nil, isAdaptive),
            ("--eta", eta != nil, solver == "ddim"), ("--clip", clip, !isFlow),
            ("--form", form != nil, isStochastic), ("--norm", norm != nil, isStochastic),
            ("--last-step", lastStep != nil, isStochastic),
            ("--last-step-size", lastStepSize != nil, isStochastic),
        ]
        for use in uses where use.isGiven && !use.hasPart {
            throw USPError(
                .argument,
                "\(use.option) has no part in the solver \(solver) of a \(isFlow ? "SiT" : "DiT")")
        }
    }
}
