// One sampler for every door: a process with a solver, its options checked once, and one run.

import USPBase
import USPTensor

/// A process and how it is run. Immutable: any thread.
public struct Sampler: Sendable {
    public enum Process: Sendable {
        case diffusion(Diffusion)
        /// The transport's probability flow.
        case flow(Transport)
        /// The SDE with the same marginals.
        case stochastic(Transport)
    }

    public enum Task: String, Sendable {
        /// Noise to latents.
        case sample
        /// Latents to noise.
        case invert
        /// Log-likelihoods of latents, which a flow has.
        case likelihood
    }

    /// Points of time of a flow, and steps of an SDE, where the options do not say.
    public static let flowPoints = 50
    public static let stochasticSteps = 250

    public let process: Process
    public let solver: Solver
    public let options: SampleOptions
    public let task: Task

    /// - Throws: `.argument` for an unknown method with those of the process, for options out of
    ///   their range, and for options without a part in the solver.
    public init(
        _ process: Process, _ options: SampleOptions = SampleOptions(), for task: Task = .sample
    ) throws(USPError) {
        try options.checkFields()
        let known = Solver.all.filter { process.takes($0) && task.takes($0) }
        try require(
            !known.isEmpty, .unsupported, "the \(task): only a transport's flow has one")
        solver = try Solver.named(
            options.method, of: known, what: "method", listing: \.method)
        var resolved = options
        if case .stochastic = process { resolved.lastStep = options.stochasticLastStep }
        (self.process, self.options, self.task) = (process, resolved, task)
        try options.checkParts(in: solver.name, called: "the solver \(solver.name)")
        for (name, isSet) in task.withoutPart(options) where isSet {
            throw USPError(.argument, "\(name): has no part in \(task.phrase), only in sampling")
        }
        if case .diffusion(let process) = process { try process.checkSteps(options) }
        if case .flow = process, let last = options.lastStep, last != LastStep.none {
            try require(
                last == .euler, .argument,
                "last_step: \(last.rawValue) has no part in an ODE, only Euler")
        }
    }

    /// Steps that progress counts: a flow's are between its points of time.
    public var steps: Int {
        switch process {
        case .diffusion(let process): process.steps
        case .flow: (options.steps ?? Sampler.flowPoints) - 1
        case .stochastic: options.steps ?? Sampler.stochasticSteps
        }
    }

    /// The stretch of the model's time that a transport's run covers; nil for a diffusion.
    public var interval: TransportInterval? {
        switch (process, solver.algorithm) {
        case (.flow(let transport), _):
            return transport.flowInterval(reverse: task == .invert).told(transport)
        case (.stochastic(let transport), .stochastic(let method)):
            return transport.stochasticInterval(options, evaluatesEnd: method.evaluatesEnd)
                .told(transport)
        default: return nil
        }
    }

    /// Latents from noise, or noise from latents if that is the task.
    ///
    /// - start: noise `[B, C, H, W]`, or latents; not changed
    /// - labels: one a sample, or nil
    /// - noise: `[S, B, C, H, W]`, consumed in order, one entry a draw, in place of drawn noise
    /// - Throws: `.shape`, `.dtype`; `.notFinite` with the step if the model's output is; what the
    ///   model and callbacks throw.
    public func run(
        _ denoiser: Denoiser, from start: Tensor, labels: [Int]? = nil, noise: Tensor? = nil,
        _ monitor: SamplingMonitor = SamplingMonitor()
    ) throws(USPError) -> Tensor {
        if noise != nil { try expectNoise() }
        var source = NoiseSource.streams(RandomKey(seed: options.seed))
        if solver.drawsNoise {
            source = try .between(
                options, start, given: noise, doubled: denoiser.guidance != nil)
        }
        return try run(denoiser, from: start, labels: labels, source, monitor)
    }

    /// As above, with any noise.
    package func run(
        _ denoiser: Denoiser, from start: Tensor, labels: [Int]? = nil, _ noise: NoiseSource,
        _ monitor: SamplingMonitor = SamplingMonitor()
    ) throws(USPError) -> Tensor {
        let run = try prepared(denoiser, start, labels, noise, monitor)
        switch (process, solver.algorithm, task) {
        case (.diffusion(let process), .diffusion(_, let sample, _), .sample):
            return try sample(process)(run)
        case (.diffusion(let process), .diffusion(_, _, let inverse?), .invert):
            return try inverse(process)(run)
        case (.flow(let transport), .flow(let method), .sample):
            return try transport.facing(denoiser.noiseAt).flow(run, method, reverse: false)
        case (.flow(let transport), .flow(let method), .invert):
            return try transport.facing(denoiser.noiseAt).flow(run, method, reverse: true)
        case (.stochastic(let transport), .stochastic(let method), .sample):
            return try transport.facing(denoiser.noiseAt).stochastic(run, method)
        default: throw USPError(.argument, "run: the sampler was made for \(task.phrase)")
        }
    }

    /// Log-likelihoods in nats of latents `[B, C, H, W]`, and the noise that they came from.
    ///
    /// The divergence is exact along the probe for a model of the library; for a function or a
    /// guided model it is a central difference, of three evaluations a step.
    /// - probe: `[B, C, H, W]`; nil draws signs from the seed
    public func likelihood(
        _ denoiser: Denoiser, of latents: Tensor, labels: [Int]? = nil, probe: Tensor? = nil,
        _ monitor: SamplingMonitor = SamplingMonitor()
    ) throws(USPError) -> (logLikelihood: [Float], noise: Tensor) {
        guard task == .likelihood, case .flow(let transport) = process,
            case .flow(let method) = solver.algorithm
        else { throw USPError(.argument, "likelihood: the sampler was made for \(task.phrase)") }
        let run = try prepared(denoiser, latents, labels, .streams(RandomKey(seed: 0)), monitor)
        let signs: Tensor
        if let probe {
            signs = probe
        } else {
            let drawn = try Tensor.normal(latents.shape, seed: options.seed)
            signs = try Tensor(latents.shape, drawn.values.map { $0 < 0 ? -1 : 1 })
        }
        return try transport.facing(denoiser.noiseAt).likelihood(run, method, probe: signs)
    }

    private func prepared(
        _ denoiser: Denoiser, _ latents: Tensor, _ labels: [Int]?, _ noise: NoiseSource,
        _ monitor: SamplingMonitor
    ) throws(USPError) -> SamplingRun {
        if case .diffusion = process {
            try require(
                denoiser.noiseAt == 0, .argument,
                "the model has its noise at time 1, as REPA's: load it as a SiT, whose process is "
                    + "a transport")
        }
        if monitor.adjustStart != nil {
            try solver.requirePart("adjust_start", of: Solver.names { $0.isDiffusion })
        }
        return try SamplingRun(
            task == .sample ? solver.name : "\(solver.name), \(task.phrase)", stage: task.rawValue,
            steps: steps, task == .likelihood ? denoiser : denoiser.reusing(options.reuse),
            latents: latents, labels: labels, noise: noise, options,
            monitor)
    }

    private func expectNoise() throws(USPError) {
        try solver.requirePart("noise", of: Solver.names { $0.drawsNoise })
        try require(
            task == .sample, .argument,
            "noise: has no part in \(task.phrase), only in sampling")
    }
}

extension Sampler.Process {
    fileprivate func takes(_ solver: Solver) -> Bool {
        switch self {
        case .diffusion: solver.isDiffusion
        case .flow: solver.isFlow
        case .stochastic: solver.isStochastic
        }
    }
}

extension Sampler.Task {
    /// Whether the solver can do it.
    public func takes(_ solver: Solver) -> Bool {
        switch self {
        case .sample: true
        case .invert: solver.inverts
        case .likelihood: solver.isFlow
        }
    }

    fileprivate var phrase: String {
        switch self {
        case .sample: "sampling"
        case .invert: "the inversion"
        case .likelihood: "the likelihood"
        }
    }

    /// Options of solvers that this task leaves out.
    fileprivate func withoutPart(_ options: SampleOptions) -> [(name: String, isSet: Bool)] {
        switch self {
        case .sample: []
        case .invert: [("eta", options.eta != 0), ("last_step", options.lastStep != nil)]
        case .likelihood:
            [
                ("timestep_shift", options.timestepShift != 1),
                ("last_step", options.lastStep != nil),
                ("reuse_interval, reuse_threshold, null_interval", options.reuse != Reuse()),
            ]
        }
    }
}

extension Diffusion {
    /// - Throws: `.argument` for another number of steps than the process has.
    func checkSteps(_ options: SampleOptions) throws(USPError) {
        guard let wanted = options.steps, wanted != steps else { return }
        throw USPError(
            .argument, "steps: \(wanted), but the process has \(steps): set its respacing")
    }
}
