// Classifier-free guidance: one batch for both halves.

import USPBase
import USPTensor

/// How far predictions move away from the unconditional ones (Ho and Salimans 2022).
public struct Guidance: Sendable {
    /// null + scale · (labelled − null); 1 changes nothing.
    public var scale: Float = 1
    /// One for each sample, in place of `scale`.
    public var scales: [Float]?
    /// Leading channels that move, all of them where there are fewer; nil is the model's own rule.
    public var channels: Int?
    /// Guide only at times from one to the other, on the model's own scale; nil: no bound.
    public var begin: Float?
    public var end: Float?

    public init(_ scale: Float = 1) { self.scale = scale }
    public init(scales: [Float]) { self.scales = scales }

    /// The originals' rule of which channels move.
    public static let publishedChannels = 3

    public var changesNothing: Bool { (scales ?? [scale]).allSatisfy { $0 == 1 } }

    package func check() throws(USPError) {
        try require(scales?.isEmpty != true, .shape, "cfg_scale: no scales, expected [B]")
        try require(
            (scales ?? [scale]).allSatisfy(\.isFinite), .argument, "cfg_scale: is not finite")
        try require(
            channels ?? 1 >= 1, .argument, "cfg_channels: \(channels ?? 0), expected 1 or more")
        if let begin, let end {
            try require(
                begin <= end, .argument,
                "cfg_interval: \(begin) to \(end), expected the earlier time first")
        }
    }

    /// Both ends belong to it: a time that is one but for the rounding of a grid of f32 does, too.
    package func applies(at time: Float) -> Bool {
        let rounding = 2e-6 * max(1, abs(time))
        return time + rounding >= begin ?? -.infinity && time - rounding <= end ?? .infinity
    }

    func expanded(_ batch: Int) throws(USPError) -> [Float] {
        guard let scales, scales.count != 1 || batch == 1 else {
            return [Float](repeating: scales?[0] ?? scale, count: batch)
        }
        try require(
            scales.count == batch, .shape,
            "cfg_scale: \(scales.count) scales for \(batch) samples")
        return scales
    }

    /// Replaces the leading channels of the labelled half by null + scale·(labelled − null).
    ///
    /// - both: `[2n, O, H, W]`: labelled samples, then the same with the null class; not checked
    /// - scales: one a labelled sample
    /// - alsoNull: whether the other half gets the same, as in the originals' guided pass
    package static func combine(
        _ both: Tensor, scales: [Float], channels: Int, alsoNull: Bool = false
    ) {
        let plane = both.shape[2] * both.shape[3]
        let sample = both.shape[1] * plane
        let moved = min(channels, both.shape[1]) * plane
        for (index, scale) in scales.enumerated() {
            let labelled = both.floats + index * sample
            let null = both.floats + (scales.count + index) * sample
            if scale != 1 {
                for i in 0..<moved { labelled[i] = null[i] + scale * (labelled[i] - null[i]) }
            }
            if alsoNull { null.update(from: labelled, count: moved) }
        }
    }

    /// Adds (scale − 1) · difference to the leading channels: labelled samples, moved away from null
    /// samples that were computed earlier.
    ///
    /// - output: `[n, O, H, W]` of labelled samples
    /// - difference: labelled − null, `[n, C or more, H, W]`
    static func move(
        _ output: Tensor, along difference: Tensor, scales: [Float], channels: Int
    ) {
        let plane = output.shape[2] * output.shape[3]
        let (own, other) = (output.shape[1] * plane, difference.shape[1] * plane)
        for (index, scale) in scales.enumerated() where scale != 1 {
            let (values, step) = (
                output.floats + index * own, difference.floats + index * other
            )
            for i in 0..<channels * plane { values[i] += (scale - 1) * step[i] }
        }
    }
}
