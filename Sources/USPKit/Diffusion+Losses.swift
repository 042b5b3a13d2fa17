// Training losses of the Gaussian process, and the whole bound that they are parts of.

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

/// The variational bound of given data under a model, in bits per dimension.
public struct BitsPerDimension: Sendable {
    /// `[B]`: everything together.
    public let total: Tensor
    /// `[B]`: what the end of the process adds.
    public let prior: Tensor
    /// `[B, steps]`, the noisiest step first: each step's term, and the squared errors of the
    /// predicted latents and of the noise.
    public let terms: Tensor
    public let startErrors: Tensor
    public let noiseErrors: Tensor
}

extension Diffusion {
    /// The bound of clean latents `[B, C, H, W]` of the range [−1, 1]; each step is evaluated once.
    ///
    /// Of the options: `clipsStart` (the original clips), `noise` `[steps, B, C, H, W]`, `seed`,
    /// `progress`.
    public func bitsPerDimension(
        _ denoiser: Denoiser, of start: Tensor, labels: [Int]?,
        _ options: SampleOptions = SampleOptions()
    ) throws(USPError) -> BitsPerDimension {
        let batch = start.shape.rank > 0 ? start.shape[0] : 0
        let key = RandomKey(seed: options.seed).stream("bound")
        let noise: NoiseSource
        if let given = options.noise { noise = try .stack(given) } else { noise = .streams(key) }
        let result = try process.bitsPerDimension(
            denoiser.bound(to: labels, batch: batch), start: start, noise: noise,
            clips: options.clipsStart, monitor: options.monitor("bits per dimension"))
        func table(_ rows: [[Double]]) throws(USPError) -> Tensor {
            try Tensor([batch, steps], rows.flatMap { $0.map { Float($0) } })
        }
        return BitsPerDimension(
            total: try Tensor([batch], result.total.map { Float($0) }),
            prior: try Tensor([batch], result.prior.map { Float($0) }),
            terms: try table(result.bound), startErrors: try table(result.startError),
            noiseErrors: try table(result.noiseError))
    }
}
