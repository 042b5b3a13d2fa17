// SiT's transport: samplers, likelihood and losses.

import USPBase
import USPDiffusion
import USPTensor

/// Paths between noise (t = 0) and data (t = 1). Immutable: any thread.
public final class Transport: Sendable {
    /// What the process is; names as in `include/usp.h`.
    public struct Options: Sendable {
        public var path = "Linear"
        public var prediction = "velocity"
        /// `none`, `velocity` or `likelihood`.
        public var lossWeight = "none"
        /// How far to stay away from singular ends; nil = the original's rule.
        public var trainingEpsilon: Double?
        public var samplingEpsilon: Double?

        public init() {}
    }

    package let process: USPDiffusion.Transport

    /// - Throws: for unknown names, with the known ones.
    public init(_ options: Options = Options()) throws(USPError) {
        var configuration = USPDiffusion.Transport.Configuration()
        configuration.path = try .named(options.path)
        configuration.prediction = try .named(options.prediction)
        configuration.weight = try .named(options.lossWeight)
        configuration.trainingEpsilon = options.trainingEpsilon
        configuration.samplingEpsilon = options.samplingEpsilon
        process = try USPDiffusion.Transport(configuration)
    }

    /// Where a run starts and ends.
    public struct Interval: Sendable {
        public let start: Double
        public let end: Double
        /// One sentence for each end that was moved off a time at which the field is infinite.
        public let notes: [String]

        init(_ interval: TransportInterval) {
            (start, end, notes) = (interval.start, interval.end, interval.notes)
        }
    }

    /// The stretch of time of `sampleODE`; `invertODE` goes the same way back.
    public var flowInterval: Interval { Interval(process.flowInterval(reverse: false)) }

    /// The stretch of time of `sampleSDE` with these options.
    public func stochasticInterval(
        _ options: SampleOptions = SampleOptions()
    ) throws(USPError) -> Interval {
        let sampling = try options.stochastic()
        return Interval(
            process.stochasticInterval(
                form: sampling.form, method: sampling.method, last: sampling.last,
                lastStep: sampling.lastSize))
    }

    /// Latents from noise `[B, C, H, W]` along the probability flow; 50 points of time by default.
    public func sampleODE(
        _ denoiser: Denoiser, from z: Tensor, labels: [Int]?,
        _ options: SampleOptions = SampleOptions()
    ) throws(USPError) -> Tensor {
        let bound = try denoiser.bound(to: labels, batch: batch(z))
        return try process.sampleFlow(bound, latents: z, options.flow("sample", reverse: false))
    }

    /// Noise from latents: the same flow, backwards.
    public func invertODE(
        _ denoiser: Denoiser, from x: Tensor, labels: [Int]?,
        _ options: SampleOptions = SampleOptions()
    ) throws(USPError) -> Tensor {
        let bound = try denoiser.bound(to: labels, batch: batch(x))
        return try process.sampleFlow(bound, latents: x, options.flow("invert", reverse: true))
    }

    /// Latents from noise along an SDE with the same marginals; 250 steps by default.
    public func sampleSDE(
        _ denoiser: Denoiser, from z: Tensor, labels: [Int]?,
        _ options: SampleOptions = SampleOptions()
    ) throws(USPError) -> Tensor {
        let bound = try denoiser.bound(to: labels, batch: batch(z))
        let sampling = try options.stochastic()
        return try process.sampleStochastic(
            bound, latents: z, noise: options.noiseSource(like: z, doubled: denoiser.isGuided),
            sampling)
    }

    /// Log-likelihood in nats of latents `[B, C, H, W]`, and the noise that they came from.
    ///
    /// The divergence is exact along the probe for a model of the library; for a function or a
    /// guided model it is a central difference, of three evaluations a step.
    /// The options' `noise` holds the probe `[1, B, C, H, W]`; nil draws signs from the seed.
    public func likelihood(
        _ denoiser: Denoiser, of x: Tensor, labels: [Int]?,
        _ options: SampleOptions = SampleOptions()
    ) throws(USPError) -> (logLikelihood: [Float], noise: Tensor) {
        let bound = try denoiser.bound(to: labels, batch: batch(x))
        let probe: Tensor
        if let noise = options.noise {
            try require(
                noise.shape.rank == 5 && noise.shape[0] >= 1, .shape,
                "noise: shape \(noise.shape), expected [1, B, C, H, W]")
            probe = try noise.detachedRows(0..<1).reshaped(x.shape)
        } else {
            let drawn = try Tensor.normal(x.shape, seed: options.seed)
            probe = try Tensor(x.shape, drawn.values.map { $0 < 0 ? -1 : 1 })
        }
        let result = try process.likelihood(
            bound, derivative: denoiser.boundDerivative(to: labels), data: x, probe: probe,
            options.flow("likelihood", reverse: false))
        return (result.logLikelihood, result.latent)
    }

    /// Losses of a denoiser, one a sample.
    ///
    /// - data: clean latents `[B, C, H, W]`
    /// - times: one a sample; nil draws them
    /// - noise: `[B, C, H, W]`; nil draws it
    public func losses(
        _ denoiser: Denoiser, data: Tensor, times: [Float]? = nil, labels: [Int]? = nil,
        noise: Tensor? = nil, seed: UInt64 = 0
    ) throws(USPError) -> SampleLosses {
        let count = batch(data)
        let times = times ?? process.drawTimes(RandomKey(seed: seed).stream("times"), count: count)
        let drawn: Tensor
        if let noise { drawn = noise } else { drawn = try Tensor.normal(data.shape, seed: seed) }
        let noised = try process.noised(data, times: times, noise: drawn)
        let output = try denoiser.bound(to: labels, batch: count)(noised, times)
        let result = try process.losses(output: output, data: data, noise: drawn, times: times)
        return SampleLosses(losses: result.losses, terms: result.terms)
    }

    private func batch(_ x: Tensor) -> Int { x.shape.rank > 0 ? x.shape[0] : 0 }
}

extension SampleOptions {
    fileprivate func stochastic() throws(USPError) -> StochasticOptions {
        var result = StochasticOptions()
        result.steps = steps ?? 250
        result.method = try .named(method ?? "Euler")
        result.form = try .named(form)
        result.norm = Double(norm)
        result.last = try .named(lastStep)
        result.lastSize = Double(lastStepSize)
        result.monitor = monitor("sample")
        return result
    }

    fileprivate func flow(_ stage: String, reverse: Bool) throws(USPError) -> FlowOptions {
        var result = FlowOptions()
        result.method = try .named(method ?? "dopri5")
        result.points = steps ?? 50
        result.absolute = Double(atol)
        result.relative = Double(rtol)
        result.reverse = reverse
        result.shift = Double(timestepShift)
        result.monitor = monitor(stage)
        return result
    }
}
