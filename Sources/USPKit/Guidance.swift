// Classifier-free guidance around any denoiser: one batch for both halves.

import USPBase
import USPTensor

/// How far predictions move away from the unconditional ones (Ho and Salimans 2022).
public struct Guidance: Sendable {
    /// One for all samples, or one each; 1 changes nothing.
    public var scales: [Float]
    /// Leading channels that move; 3 is the originals' rule.
    public var channels = 3
    /// Guide only at times in this range of the model's own scale; nil always.
    public var interval: ClosedRange<Float>?

    public init(_ scale: Float) { scales = [scale] }
    public init(scales: [Float]) { self.scales = scales }

    var changesNothing: Bool { scales.allSatisfy { $0 == 1 } }
}

extension Denoiser {
    /// The guided denoiser: asks for conditional and unconditional samples in one batch.
    ///
    /// - Throws: for a denoiser without a null class.
    public func guided(_ guidance: Guidance) throws(USPError) -> Denoiser {
        try require(!guidance.scales.isEmpty, .shape, "guidance: no scales, expected [B]")
        if guidance.changesNothing { return self }
        guard let nullClass else {
            throw USPError(.argument, "guidance: the denoiser has no null class")
        }
        let (predict, repeatsLatents) = (predict, repeatsLatents)
        return Denoiser(nullClass: nullClass, isGuided: true) { x, times, labels throws(USPError) in
            guard let labels else { throw USPError(.argument, "guidance: needs labels") }
            let batch = times.count
            let scales = try guidance.expanded(batch)
            if let interval = guidance.interval, let time = times.first, !interval.contains(time) {
                return try predict(x, times, labels)
            }
            let null = [Int](repeating: nullClass, count: batch)
            let both = try predict(
                repeatsLatents ? x : try x.twice(), times + times, labels + null)
            return try guidance.combine(both, scales, latentChannels: x.shape[1])
        }
    }
}

extension Guidance {
    fileprivate func expanded(_ batch: Int) throws(USPError) -> [Float] {
        if scales.count == 1 { return [Float](repeating: scales[0], count: batch) }
        try require(
            scales.count == batch, .shape, "guidance: \(scales.count) scales for \(batch) samples")
        return scales
    }

    /// `[2n, O, H, W]` to `[n, O, H, W]`: null + scale·(labelled − null) in the leading channels.
    fileprivate func combine(
        _ both: Tensor, _ scales: [Float], latentChannels: Int
    ) throws(USPError) -> Tensor {
        let batch = scales.count
        try require(
            both.shape.rank == 4 && both.shape[0] == 2 * batch, .shape,
            "model output: shape \(both.shape), expected a batch of \(2 * batch)")
        let plane = both.shape[2] * both.shape[3]
        let sample = both.shape[1] * plane
        let moved = min(channels, latentChannels, both.shape[1]) * plane
        let result = try both.detachedRows(0..<batch)
        for index in 0..<batch {
            let labelled = result.floats + index * sample
            let null = both.floats + (batch + index) * sample
            for i in 0..<moved { labelled[i] = null[i] + scales[index] * (labelled[i] - null[i]) }
        }
        return result
    }
}

extension Tensor {
    /// The batch and its copy: `[2B, ..]`.
    fileprivate func twice() throws(USPError) -> Tensor {
        let result = try Tensor(Shape([2 * shape[0]] + shape.extents.dropFirst()))
        for half in 0..<2 { (result.floats + half * count).update(from: floats, count: count) }
        return result
    }
}
