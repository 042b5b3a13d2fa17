// Folders of latent shards as LightningDiT extracts them, with the statistics of their channels.

import Glibc
import USPBase
import USPFiles
import USPTensor

extension LatentSet {
    private static let statisticsFile = "latents_stats.pt"
    /// Images that statistics are measured on, as the original does.
    private static let measured = 10_000

    /// Safetensors files of a folder, in order of their names; none where it has anything else but
    /// statistics.
    static func shards(in folder: String) throws(USPError) -> [String] {
        let names = try FolderListing.names(folder)
        let shards = names.filter {
            $0.lowercased().hasSuffix(".safetensors") && FolderListing.isFile("\(folder)/\($0)")
        }
        let others = names.count - shards.count - (names.contains(statisticsFile) ? 1 : 0)
        return others == 0 ? shards.map { "\(folder)/\($0)" } : []
    }

    /// Shards with `latents` and `latents_flip` `[N, C, h, w]`, raw, and `labels`; they stay in their
    /// mapped files. `latents_stats.pt` beside them tells mean and deviation of each channel.
    ///
    /// - measures: without that file they are measured and written to it
    static func load(
        shards paths: [String], folder: String, measures: Bool
    ) throws(USPError) -> LatentSet {
        var parts: [(moments: Tensor, mirrored: Tensor?)] = []
        var labels: [Int] = []
        for path in paths {
            try locating(path) { () throws(USPError) in
                let archive = try Archive.open(path)
                let flipped = try archive.entries.first { $0.name == "latents_flip" }.map {
                    entry throws(USPError) in try tensor(entry)
                }
                parts.append((try tensor(try archive.entry("latents")), flipped))
                if let entry = archive.entries.first(where: { $0.name == "labels" }) {
                    labels += try entry.integers()
                }
            }
        }
        var set = try locating(folder) { () throws(USPError) in
            try LatentSet(
                shards: parts, labels: labels.isEmpty ? nil : labels,
                channels: parts[0].moments.shape.rank == 4 ? parts[0].moments.shape[1] : 0)
        }
        let file = "\(folder)/\(statisticsFile)"
        if FolderListing.isFile(file) {
            try set.normalize(LatentMoments(reading: Archive.open(file), channels: set.channels))
        } else if measures {
            let found = try set.statistics(of: measured)
            try found.write(file)
            set.normalize(found)
        }
        return set
    }

    private mutating func normalize(_ statistics: LatentMoments) {
        (scale, shift) = (statistics.deviation.map { 1 / $0 }, statistics.mean)
    }

    /// Mean and unbiased deviation of each channel of z, over evenly spread images that are not
    /// mirrored; where log variances are known, of samples of the posterior.
    package func statistics(of most: Int = .max) throws(USPError) -> LatentMoments {
        let chosen = min(count, max(most, 1))
        let sums = try Tensor.zeros([channels, 3], .float64)
        // SAFETY: each channel's sums are written by one thread.
        nonisolated(unsafe) let target = sums.raw.assumingMemoryBound(to: Double.self)
        let plane = moments.shape[2] * moments.shape[3]
        let size = channels * plane
        parallelRanges(channels, grain: 1) { range in
            for channel in range {
                var (sum, squares, spread) = (0.0, 0.0, 0.0)
                for place in 0..<chosen {
                    let (tensor, row) = row(place * count / chosen)
                    let from = tensor.floats + row * tensor.shape[1] * plane + channel * plane
                    for i in 0..<plane {
                        let value = Double(from[i])
                        sum += value
                        squares += value * value
                    }
                    guard hasVariance else { continue }
                    for i in 0..<plane {
                        spread += exp(Double(min(max(from[size + i], -30), 20)))
                    }
                }
                (target[3 * channel], target[3 * channel + 1]) = (sum, squares)
                target[3 * channel + 2] = spread
            }
        }
        let values = Double(chosen * plane)
        var (mean, deviation): ([Float], [Float]) = ([], [])
        for channel in 0..<channels {
            let own = target + 3 * channel
            let centre = own[0] / values
            let squared = (own[1] - own[0] * centre) / max(values - 1, 1) + own[2] / values
            mean.append(Float(centre))
            deviation.append(Float(max(squared, 0).squareRoot()))
        }
        return try withExtendedLifetime(sums) { () throws(USPError) in
            try LatentMoments(mean: mean, deviation: deviation)
        }
    }
}

/// Mean and deviation of each channel of an autoencoder's latents.
public struct LatentMoments: Sendable, Equatable {
    public let mean: [Float]
    public let deviation: [Float]

    /// - Throws: `.argument` for numbers that are no statistics
    public init(mean: [Float], deviation: [Float]) throws(USPError) {
        try require(
            mean.count == deviation.count && mean.allSatisfy(\.isFinite)
                && deviation.allSatisfy { $0 > 0 && $0.isFinite }, .argument,
            "latent statistics: the latents do not vary, or are not finite")
        (self.mean, self.deviation) = (mean, deviation)
    }

    /// Arrays `mean` and `std` of a value each channel, in any shape.
    init(reading archive: Archive, channels: Int) throws(USPError) {
        func values(_ name: String) throws(USPError) -> [Float] {
            let entry = try archive.entry(name)
            try require(
                entry.count == channels, .shape,
                "\(archive.path): \(name): \(entry.shape), expected a value for each of \(channels) "
                    + "channels")
            return try LatentSet.tensor(entry).values
        }
        let (mean, deviation) = (try values("mean"), try values("std"))
        self = try locating(archive.path) { () throws(USPError) in
            try LatentMoments(mean: mean, deviation: deviation)
        }
    }

    /// Writes `mean` and `std` `[1, C, 1, 1]`, as LightningDiT reads them.
    public func write(_ path: String) throws(USPError) {
        let outputs = [("mean", mean), ("std", deviation)].map { name, values in
            ArrayOutput(name, .float32, [1, values.count, 1, 1]) { file throws(USPError) in
                try file.write(values.withUnsafeBytes { Array($0) })
            }
        }
        try ArrayFormat.of(path).write(path, outputs, metadata: [], tables: [])
    }
}

extension DataSet {
    /// Statistics of the channels of latents, or of what an encoder makes of images.
    package static func latentStatistics(
        of path: String, encoder: LatentEncoder?, _ options: DataOptions,
        progress: EncodingProgress
    ) throws(USPError) -> LatentMoments {
        if try holdsLatents(path) { return try read(path, measures: false).statistics() }
        try options.check(for: DataOptions.images)
        let images = try EncodedImages(
            ImageFolder.any(path, asStored: options.asStored), encoder, options)
        return try images.encoded(progress).statistics()
    }

    /// Statistics of the channels of latents as they are, for `usp.VAE.load(statistics=)`.
    ///
    /// - Throws: `.argument` for images that are not encoded
    public func latentStatistics() throws(USPError) -> LatentMoments {
        guard case .latents(let set) = source else {
            throw USPError(.argument, "statistics: of latents; encode the images first")
        }
        return try set.statistics()
    }
}
