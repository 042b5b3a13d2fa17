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
    /// Number of the batch's first sample, for runs in parts: drawn noise goes by a sample's number.
    public var firstSample = 0
    /// nil = one counter-based stream a sample; `torch`, `torch-cuda` = the original scripts' numbers.
    public var generator: String?
    /// `[S, B, C, H, W]`: consumed in order in place of drawn noise.
    public var noise: Tensor?
    /// Clip predicted clean latents to [−1, 1] (diffusion).
    public var clipsStart = false
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

    /// - doubled: whether the original script would draw for both halves of a guided batch
    func noiseSource(doubled: Bool) throws(USPError) -> NoiseSource {
        if let noise { return try NoiseSource.stack(noise) }
        switch generator?.lowercased() {
        case nil:
            return NoiseSource.streams(
                RandomKey(seed: seed).stream("sampler"), firstSample: firstSample)
        case "torch": return NoiseSource.torch(TorchRandom(seed: seed), doubled: doubled)
        case "torch-cuda": return NoiseSource.torchCUDA(TorchRandomCUDA(seed: seed), doubled: doubled)
        default:
            throw unknownName(generator ?? "", what: "generator", known: ["torch", "torch-cuda"])
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
