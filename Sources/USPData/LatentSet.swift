// Latents of a data set, computed once and kept: what pretraining and fine-tuning read instead of
// images.

import Glibc
import USPBase
import USPTensor

/// Posterior moments of N images, of both orientations if wanted, with labels; all in memory.
package struct LatentSet: Sendable {
    /// `[N, 2C, h, w]` f32: mean, then log variance; or `[N, C, h, w]`: mean only.
    package let moments: Tensor
    /// The same of the mirrored images; nil = not cached.
    package let mirroredMoments: Tensor?
    package let labels: [Int]
    /// C.
    package let channels: Int

    /// - Throws: `.shape` if the parts do not fit each other.
    package init(
        moments: Tensor, mirroredMoments: Tensor? = nil, labels: [Int], channels: Int
    ) throws(USPError) {
        let shape = moments.shape
        try require(
            shape.rank == 4 && moments.dtype == .float32 && channels > 0
                && (shape[1] == channels || shape[1] == 2 * channels), .shape,
            "moments: expected f32 [N, \(channels) or \(2 * channels), h, w], got \(shape)")
        try require(
            labels.count == shape[0], .shape, "labels: expected \(shape[0]), got \(labels.count)")
        if let mirroredMoments { try expect(mirroredMoments, shape, "mirrored moments") }
        self.moments = moments
        self.mirroredMoments = mirroredMoments
        self.labels = labels
        self.channels = channels
    }

    package var count: Int { labels.count }
    package var hasVariance: Bool { moments.shape[1] == 2 * channels }

    /// Computes the moments batch by batch.
    ///
    /// - images: gives `[B, …]` of these numbers, mirrored or not.
    /// - encode: `[B, 2C, h, w]` or `[B, C, h, w]` of such a batch.
    package static func encoding(
        labels: [Int], channels: Int, batch: Int, mirrored: Bool,
        images: (_ indices: [Int], _ mirrored: Bool) throws(USPError) -> Tensor,
        encode: (Tensor) throws(USPError) -> Tensor,
        progress: (_ done: Int, _ all: Int) throws(USPError) -> Void = { _, _ in }
    ) throws(USPError) -> LatentSet {
        let all = labels.count * (mirrored ? 2 : 1)
        var parts: [Tensor] = []
        for flips in mirrored ? [false, true] : [false] {
            var whole: Tensor?
            for first in stride(from: 0, to: labels.count, by: max(batch, 1)) {
                let indices = Array(first..<min(first + max(batch, 1), labels.count))
                let latents = try encode(try images(indices, flips))
                let target: Tensor
                if let whole {
                    target = whole
                } else {
                    let rest = Array(latents.shape.extents.dropFirst())
                    target = try Tensor(Shape([labels.count] + rest))
                    whole = target
                }
                try target.detachedRows(first..<first + indices.count).copy(from: latents)
                try progress((flips ? labels.count : 0) + first + indices.count, all)
            }
            if let whole { parts.append(whole) }
        }
        guard let plain = parts.first else { throw USPError(.argument, "latents of no images") }
        return try LatentSet(
            moments: plain, mirroredMoments: mirrored ? parts.last : nil, labels: labels,
            channels: channels)
    }

    /// `[B, C, h, w]`, scaled.
    ///
    /// - scale: what latents are multiplied by.
    /// - samples: draw from the posterior (needs log variances); else its mean.
    /// - key: gives the stream of sample i: half of the draws take the mirrored image where it is
    ///   cached, and the posterior's noise comes from it. nil: never mirrored, and always the mean.
    package func batch(
        _ indices: [Int], scale: Float, samples: Bool = false,
        key: ((_ index: Int) -> RandomKey)? = nil
    ) throws(USPError) -> Tensor {
        try require(
            !samples || (hasVariance && key != nil), .argument,
            "sampling latents needs cached log variances and a key")
        let (height, width) = (moments.shape[2], moments.shape[3])
        let result = try Tensor([indices.count, channels, height, width])
        let size = channels * height * width
        let stride = moments.shape[1] * height * width
        for (place, index) in indices.enumerated() {
            try require(
                (0..<count).contains(index), .argument,
                "latent \(index): expected 0 to \(count - 1)")
            var stream = key.map { RandomStream($0(index)) }
            let flips = (stream?.uniform() ?? 1) < 0.5
            let set = flips ? mirroredMoments ?? moments : moments
            let (from, to) = (set.floats + index * stride, result.floats + place * size)
            for i in 0..<size {
                var value = from[i]
                if samples, stream != nil {
                    let logVariance = min(max(from[size + i], -30), 20)
                    value += expf(0.5 * logVariance) * (stream?.normal() ?? 0)
                }
                to[i] = scale * value
            }
        }
        return result
    }
}
