// Training losses of the Gaussian process.

import USPBase
import USPDiffusion
import USPTensor

/// Losses of a batch, one a sample, and the parts they are made of.
public struct SampleLosses: Sendable {
    public let losses: [Float]
    /// Under the originals' names, such as `mse` and `vb`.
    public let terms: [String: [Float]]
}

extension Diffusion {
    /// Losses of a denoiser at noised latents.
    ///
    /// - start: clean latents `[B, C, H, W]`
    /// - steps: one a sample; nil draws them
    /// - noise: `[B, C, H, W]`; nil draws it
    public func losses(
        _ denoiser: Denoiser, start: Tensor, steps: [Int]? = nil, labels: [Int]? = nil,
        noise: Tensor? = nil, seed: UInt64 = 0
    ) throws(USPError) -> SampleLosses {
        let batch = start.shape.rank > 0 ? start.shape[0] : 0
        let key = RandomKey(seed: seed)
        let steps = steps ?? process.drawSteps(key.stream("steps"), count: batch)
        let drawn: Tensor
        if let noise { drawn = noise } else { drawn = try Tensor.normal(start.shape, seed: seed) }
        let noised = try process.noised(start, steps: steps, noise: drawn)
        let bound = try denoiser.bound(to: labels, batch: batch)
        let output = try bound(noised, process.times(steps))
        let result = try process.losses(
            output: output, start: start, noised: noised, noise: drawn, steps: steps)
        return SampleLosses(losses: result.losses, terms: result.terms)
    }
}
