// Latents of a data set, computed once and kept: what pretraining and fine-tuning read instead of
// images.

import Glibc
import USPBase
import USPTensor

/// Posterior moments of N images, of both orientations if wanted, with labels; in memory or in a
/// mapped file.
package struct LatentSet: @unchecked Sendable {
    // SAFETY of @unchecked: the tensors are only read.
    /// Consecutive images.
    private struct Shard {
        /// The number of the first one in the set.
        let first: Int
        let moments: Tensor
        let mirrored: Tensor?
    }

    private let shards: [Shard]
    package let count: Int
    /// `[N, 2C, h, w]` f32: mean, then log variance; or `[N, C, h, w]`: mean only. Of the first
    /// shard, where there are several.
    package var moments: Tensor { shards[0].moments }
    /// The same of the mirrored images; nil = not cached.
    package var mirroredMoments: Tensor? { shards[0].mirrored }
    /// nil = not known.
    package let labels: [Int]?
    /// C.
    package let channels: Int
    /// Latents leave as (z − shift)·scale, one number or one a channel; nil: the file did not tell.
    package var scale: [Float]?
    package var shift: [Float] = [0]
    /// What latents that lie here normalised have become so by; nil where that is not known.
    package var applied: LatentScale?
    /// Names of the classes, if they are known.
    package var classNames: [String] = []
    /// Which images, size and autoencoder the moments come from, in words.
    package var origin = ""
    /// Of a teacher, beside the latents as they are, not mirrored.
    var features: FeatureRows?
    /// Which teacher, in words.
    var teacher: String?
    /// Of the one file that all is read from, as it was opened.
    var stamp: FileStamp?
    /// What its images were when they were encoded.
    var record: SampleRecord?
    /// Of the samples that were read from the set.
    let checksums: SampleChecksums

    /// - Throws: `.shape` if the parts do not fit each other.
    package init(
        moments: Tensor, mirroredMoments: Tensor? = nil, labels: [Int]?, channels: Int
    ) throws(USPError) {
        try self.init(shards: [(moments, mirroredMoments)], labels: labels, channels: channels)
    }

    /// - shards: one after another; all of one size, and all with mirrored images or none
    package init(
        shards parts: [(moments: Tensor, mirrored: Tensor?)], labels: [Int]?, channels: Int
    ) throws(USPError) {
        guard let shape = parts.first?.moments.shape else {
            throw USPError(.shape, "latents of no file")
        }
        try require(
            shape.rank == 4 && shape.count > 0 && channels > 0
                && (shape[1] == channels || shape[1] == 2 * channels), .shape,
            "moments: expected f32 [N, \(channels) or \(2 * channels), h, w], got \(shape)")
        var (shards, count): ([Shard], Int) = ([], 0)
        for (moments, mirrored) in parts {
            let rest = Array(shape.extents.dropFirst())
            try require(
                moments.dtype == .float32 && moments.shape.rank == 4
                    && Array(moments.shape.extents.dropFirst()) == rest, .shape,
                "moments: expected f32 [N, \(rest)], got \(moments.shape)")
            if let mirrored { try expect(mirrored, moments.shape, "mirrored moments") }
            try require(
                (mirrored == nil) == (parts[0].mirrored == nil), .shape,
                "mirrored moments: of some files only")
            shards.append(Shard(first: count, moments: moments, mirrored: mirrored))
            count = try CheckedMath.add(count, moments.shape[0], "latents")
        }
        if let labels {
            try require(
                labels.count == count, .shape, "labels: expected \(count), got \(labels.count)")
            let range = 0..<Int(Int32.max)
            for label in labels where !range.contains(label) {
                throw USPError(.format, "labels: \(label), expected 0 to \(range.upperBound - 1)")
            }
        }
        (self.shards, self.count) = (shards, count)
        (self.labels, self.channels) = (labels, channels)
        checksums = SampleChecksums(count: count)
    }

    /// The mirrored images alone, if they are cached.
    package func mirrored() throws(USPError) -> LatentSet? {
        guard mirroredMoments != nil else { return nil }
        let parts = shards.compactMap { shard in shard.mirrored.map { ($0, nil as Tensor?) } }
        var result = try LatentSet(shards: parts, labels: nil, channels: channels)
        (result.scale, result.shift) = (scale, shift)
        return result
    }

    /// Of the autoencoder's latents, to become what leaves; nil where it is not known: what leaves as
    /// it lies here may have been scaled before.
    var latentScale: LatentScale? {
        if let applied { return applied }
        guard let scale, scale != [1] || shift != [0] else { return nil }
        return LatentScale(scale, shift)
    }

    package var hasVariance: Bool { moments.shape[1] == 2 * channels }

    /// Computes the moments batch by batch, of both orientations together.
    ///
    /// - images: gives `[B, …]` of these numbers, mirrored or not.
    /// - encode: `[B, 2C, h, w]` or `[B, C, h, w]` of such a batch.
    /// - progress: told how many of the samples are done.
    package static func encoding(
        labels: [Int]?, count: Int, channels: Int, batch: Int, mirrored: Bool,
        images: (_ indices: [Int], _ mirrored: Bool) throws(USPError) -> Tensor,
        encode: (Tensor) throws(USPError) -> Tensor,
        progress: (_ done: Int, _ all: Int) throws(USPError) -> Void = { _, _ in }
    ) throws(USPError) -> LatentSet {
        var wholes: [Tensor] = []
        try progress(0, count)
        for first in stride(from: 0, to: count, by: max(batch, 1)) {
            let range = first..<min(first + max(batch, 1), count)
            for place in 0..<(mirrored ? 2 : 1) {
                let latents = try encode(try images(Array(range), place > 0))
                if wholes.count <= place {
                    let rest = Array(latents.shape.extents.dropFirst())
                    wholes.append(try Tensor(Shape([count] + rest)))
                }
                try wholes[place].detachedRows(range).copy(from: latents)
            }
            try progress(range.upperBound, count)
        }
        guard let plain = wholes.first else { throw USPError(.argument, "latents of no images") }
        return try LatentSet(
            moments: plain, mirroredMoments: mirrored ? wholes.last : nil, labels: labels,
            channels: channels)
    }

    /// `[B, C, h, w]`, normalised.
    ///
    /// - samples: draw from the posterior (needs log variances); else its mean.
    /// - key: gives the stream of sample i: half of the draws take the mirrored image where it is
    ///   cached, and the posterior's noise comes from it. nil: never mirrored, and always the mean.
    package func batch(
        _ indices: [Int], samples: Bool = false, key: (@Sendable (_ index: Int) -> RandomKey)? = nil
    ) throws(USPError) -> Tensor {
        try require(
            !samples || (hasVariance && key != nil), .argument,
            "sampling latents needs cached log variances and a key")
        for index in indices {
            try require(
                (0..<count).contains(index), .argument,
                "latent \(index): expected 0 to \(count - 1)")
        }
        let (height, width) = (moments.shape[2], moments.shape[3])
        let result = try Tensor([indices.count, channels, height, width])
        let size = channels * height * width
        parallelRanges(indices.count, grain: 1) { range in
            for place in range {
                let key = key.map { $0(indices[place]) }
                checksums.note(indices[place]) { checksum(indices[place]) }
                fill(result.floats + place * size, indices[place], samples: samples, key)
            }
        }
        return result
    }

    /// Where an image's moments lie.
    func row(_ index: Int, mirrored: Bool = false) -> (tensor: Tensor, row: Int) {
        var (low, high) = (0, shards.count)
        while high - low > 1 {
            let middle = (low + high) / 2
            if shards[middle].first <= index { low = middle } else { high = middle }
        }
        let shard = shards[low]
        return ((mirrored ? shard.mirrored : nil) ?? shard.moments, index - shard.first)
    }

    private func fill(
        _ target: UnsafeMutablePointer<Float>, _ index: Int, samples: Bool, _ key: RandomKey?
    ) {
        // The streams of an image that is mirrored and encoded for one step (`EncodedImages`).
        var flip = key.map { RandomStream($0) }
        var noise = key.map { RandomStream($0.stream("posterior")) }
        let flips = (flip?.uniform() ?? 1) < 0.5
        let (tensor, row) = row(index, mirrored: flips)
        let plane = tensor.shape[2] * tensor.shape[3]
        let size = channels * plane
        let from = tensor.floats + row * tensor.shape[1] * plane
        let scale = scale ?? [1]
        for channel in 0..<channels {
            let factor = scale[scale.count == 1 ? 0 : channel]
            let offset = shift[shift.count == 1 ? 0 : channel]
            for i in channel * plane..<(channel + 1) * plane {
                var value = from[i]
                if samples {
                    let logVariance = min(max(from[size + i], -30), 20)
                    value += expf(0.5 * logVariance) * (noise?.normal() ?? 0)
                }
                target[i] = factor * (value - offset)
            }
        }
    }

    /// Of the moments and the label of a sample.
    func checksum(_ index: Int) -> Int {
        let label = [labels?[index] ?? -1]
        let (plain, mirrored) = (
            row(index), mirroredMoments == nil ? nil : row(index, mirrored: true)
        )
        return withExtendedLifetime((plain, mirrored)) {
            label.withUnsafeBytes { label in
                SampleRecord.checksum(
                    [plain, mirrored].compactMap { part in
                        part.map { tensor, row in
                            let size = tensor.byteCount / tensor.shape[0]
                            return UnsafeRawBufferPointer(
                                start: tensor.raw + row * size, count: size)
                        }
                    } + [label])
            }
        }
    }

    /// What a run keeps of the samples.
    var samples: SampleRecord {
        SampleRecord(stamps: stamp.map { [$0] } ?? [], checksums: checksums.all)
    }

    /// Labels `[B]`, if they are known.
    package func labels(_ indices: [Int]) -> [Int]? {
        labels.map { labels in indices.map { labels[$0] } }
    }

    /// Classes: those with names, or as many as the labels count to.
    package var classes: Int {
        classNames.isEmpty ? (labels?.max() ?? -1) + 1 : classNames.count
    }
}
