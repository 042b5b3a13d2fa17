// DiT's Gaussian process: its tables, samplers and losses.

import USPBase
import USPDiffusion
import USPTensor

/// One Gaussian diffusion process. Immutable: any thread.
public final class Diffusion: Sendable {
    /// What the process is; names as in `include/usp.h`.
    public struct Options: Sendable {
        public var schedule = "linear"
        public var trainingSteps = 1000
        /// Steps that a run uses: `250`, `10,10,20`, `ddim50`; empty = all.
        public var respacing = ""
        public var prediction = "epsilon"
        public var variance = "learned-range"
        public var loss = "mse"

        public init() {}
    }

    package let process: GaussianDiffusion

    /// - Throws: for unknown names, with the known ones; for a respacing that cannot be.
    public init(_ options: Options = Options()) throws(USPError) {
        var configuration = GaussianDiffusion.Configuration()
        configuration.schedule = try .named(options.schedule)
        configuration.trainingSteps = options.trainingSteps
        configuration.respacing = options.respacing
        configuration.prediction = try .named(options.prediction)
        configuration.variance = try .named(options.variance)
        configuration.loss = try .named(options.loss)
        process = try GaussianDiffusion(configuration)
    }

    /// Steps of a run.
    public var steps: Int { process.steps }

    /// Whether the model's output has a second half for the variances.
    public var learnsVariance: Bool { process.configuration.variance.isLearned }

    /// A table of the process, `[steps]`, under the original's name.
    public func table(_ name: String) throws(USPError) -> [Double] {
        switch name {
        case "betas": return process.betas
        case "alphas_cumprod": return process.alphasCumulative
        case "alphas_cumprod_prev": return process.alphasCumulativePrevious
        case "alphas_cumprod_next": return process.alphasCumulativeNext
        case "posterior_variance": return process.posteriorVariance
        case "posterior_log_variance_clipped": return process.posteriorLogVariance
        case "posterior_mean_coef1": return process.meanFromStart
        case "posterior_mean_coef2": return process.meanFromCurrent
        case "timestep_map": return process.modelTimes.map { Double($0) }
        default: throw unknownName(name, what: "table", known: Diffusion.tableNames)
        }
    }

    /// What `sample` takes as a method.
    public static let methods = ["ddpm", "ddim", "dpm++", "dpm++sde"]

    private static let tableNames = [
        "betas", "alphas_cumprod", "alphas_cumprod_prev", "alphas_cumprod_next",
        "posterior_variance", "posterior_log_variance_clipped", "posterior_mean_coef1",
        "posterior_mean_coef2", "timestep_map",
    ]

    /// Clean latents `[B, C, H, W]` noised to the level of a step each.
    public func noised(_ start: Tensor, steps: [Int], noise: Tensor) throws(USPError) -> Tensor {
        try process.noised(start, steps: steps, noise: noise)
    }

    /// Latents from noise `[B, C, H, W]` by `ddpm`, `ddim`, `dpm++` (2M) or `dpm++sde`.
    ///
    /// - Throws: also `.notFinite` with the step, if the model returns such a value.
    public func sample(
        _ denoiser: Denoiser, from z: Tensor, labels: [Int]?,
        _ options: SampleOptions = SampleOptions()
    ) throws(USPError) -> Tensor {
        let bound = try denoiser.bound(to: labels, batch: z.shape.rank > 0 ? z.shape[0] : 0)
        let noise = try options.noiseSource(like: z, doubled: denoiser.isGuided)
        let sampling = options.gaussian("sample")
        try checkSteps(options)
        switch options.method?.lowercased() ?? "ddpm" {
        case "ddpm":
            return try process.sampleAncestral(bound, latents: z, noise: noise, options: sampling)
        case "ddim":
            return try process.sampleDDIM(
                bound, latents: z, eta: Double(options.eta), noise: noise, options: sampling)
        case "dpm++":
            return try process.sampleMultistep(bound, latents: z, options: sampling)
        case "dpm++sde":
            return try process.sampleMultistep(bound, latents: z, noise: noise, options: sampling)
        default:
            throw unknownName(options.method ?? "", what: "method", known: Diffusion.methods)
        }
    }

    /// Noise from latents: DDIM run backwards.
    public func invert(
        _ denoiser: Denoiser, from x: Tensor, labels: [Int]?,
        _ options: SampleOptions = SampleOptions()
    ) throws(USPError) -> Tensor {
        let bound = try denoiser.bound(to: labels, batch: x.shape.rank > 0 ? x.shape[0] : 0)
        let sampling = options.gaussian("invert")
        try checkSteps(options)
        return try process.invertDDIM(bound, latents: x, options: sampling)
    }

    private func checkSteps(_ options: SampleOptions) throws(USPError) {
        guard let steps = options.steps, steps != process.steps else { return }
        throw USPError(
            .argument, "steps: \(steps), but the process has \(process.steps): set its respacing")
    }
}

extension SampleOptions {
    fileprivate func gaussian(_ stage: String) -> GaussianSamplingOptions {
        var result = GaussianSamplingOptions()
        result.clipsStart = clipsStart
        result.adjustStart = adjustStart
        result.monitor = monitor(stage)
        return result
    }
}
