// How a sampler runs: steps, noise, callbacks; shared by all samplers.

import USPBase
import USPDiffusion
import USPTensor

/// Settings of one run. What a sampler does not have, it ignores.
public struct SampleOptions {
    /// nil = the sampler's own.
    public var method: String?
    /// nil = the sampler's own.
    public var steps: Int?
    /// Of the noise that is drawn between steps.
    public var seed: UInt64 = 0
    /// Number of the batch's first sample, for runs in parts: drawn noise goes by a sample's
    /// number.
    public var firstSample = 0
    /// Samples of all parts together, which torch's generators draw at once; nil = the batch's.
    public var totalSamples: Int?
    /// nil = one counter-based stream a sample; `torch`, `torch-cuda` = the original scripts'
    /// numbers, which come after those of the start (`Tensor.torchNormal` of the same seed).
    public var generator: String?
    /// `[S, B, C, H, W]`: consumed in order in place of drawn noise.
    public var noise: Tensor?
    /// Clip predicted clean latents to [−1, 1] (diffusion).
    public var clipsStart = false
    /// Changes predicted clean latents `[B, C, H, W]` in place at each step, before they are
    /// clipped.
    public typealias StartFunction = (_ start: Tensor) throws(USPError) -> Void
    public var adjustStart: StartFunction?
    /// DDIM: 0 is deterministic, 1 as noisy as ancestral sampling.
    public var eta: Float = 0
    /// Adaptive solvers.
    public var atol: Float = 1e-6
    public var rtol: Float = 1e-3
    /// Transport: below 1 takes shorter steps at the start.
    public var timestepShift: Float = 1
    /// SDE: diffusion form, its norm, and what follows the last noisy step.
    public var form = "sigma"
    public var norm: Float = 1
    public var lastStep = "Mean"
    public var lastStepSize: Float = 0.04
    public var progress: ProgressFunction?
    public var preview: ProgressFunction?
    public var previewInterval = 10

    public init() {}

    /// The noise between the steps of a run from these latents.
    ///
    /// - doubled: whether the original script would draw for both halves of a guided batch
    func noiseSource(like latents: Tensor, doubled: Bool) throws(USPError) -> NoiseSource {
        if let noise { return try NoiseSource.stack(noise) }
        try require(
            (0...1 << 48).contains(firstSample), .argument,
            "first sample: \(firstSample), expected 0 to 2^48")
        switch generator?.lowercased() {
        case nil:
            return NoiseSource.streams(
                RandomKey(seed: seed).stream("sampler"), firstSample: firstSample)
        case "torch":
            return try part(of: .torch(TorchRandom(seed: seed), doubled: doubled), latents.shape)
        case "torch-cuda":
            return try part(
                of: .torchCUDA(TorchRandomCUDA(seed: seed), doubled: doubled), latents.shape)
        default:
            throw unknownName(generator ?? "", what: "generator", known: ["torch", "torch-cuda"])
        }
    }

    /// This batch's rows of noise that is drawn for all samples at once, after the start.
    private func part(of source: NoiseSource, _ shape: Shape) throws(USPError) -> NoiseSource {
        guard shape.rank == 4, shape.count > 0 else { return source }
        let batch = shape[0]
        let total = totalSamples ?? batch
        try require(
            total >= batch && total - batch >= firstSample, .argument,
            "samples \(firstSample) to \(firstSample + batch - 1), but there are \(total) in all")
        let all = try source.start(Shape.checked([total] + shape.extents.dropFirst()))
        if total == batch { return source }
        let rows = try all.detachedRows(firstSample..<firstSample + batch)
        return NoiseSource { _, target throws(USPError) in
            try source.fill(all)
            try target.copy(from: rows)
        }
    }

    func monitor(_ stage: String) -> SamplingMonitor {
        let clock = Stopwatch()
        var monitor = SamplingMonitor(previewInterval: max(previewInterval, 1))
        if let progress {
            monitor.progress = { state throws(USPError) in
                try progress(
                    Progress(
                        stage: stage, step: state.step, steps: state.steps, seconds: clock.seconds,
                        latents: nil))
            }
        }
        if let preview {
            let steps = steps ?? 0
            monitor.preview = { step, start throws(USPError) in
                try preview(
                    Progress(
                        stage: stage, step: step, steps: steps, seconds: clock.seconds,
                        latents: start))
            }
        }
        return monitor
    }
}
