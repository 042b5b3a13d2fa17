// Data sets made of data sets: every sample encoded once.

import USPBase
import USPFiles
import USPTensor

extension DataSet {
    /// Told how many of all images are done; its error ends the call, and what was written stays for
    /// the next one.
    public typealias EncodingProgress = (_ done: Int, _ all: Int) throws(USPError) -> Void

    /// Encodes every image and writes the posteriors to a file, of which data can be made: as they
    /// come, to PATH.part until all are there. An earlier call that was interrupted is gone on with.
    /// The data's ranks share the work, and rank 0 writes.
    public func writeLatents(
        _ path: String, progress: EncodingProgress = { _, _ in }
    ) throws(USPError) {
        guard case .images(let images) = source else {
            throw USPError(.argument, "\(path): the data is encoded already")
        }
        let ranks = options.ranks ?? .alone
        let lock = try ranks.together { () throws(USPError) -> FileLock? in
            guard ranks.writes else { return nil }
            return try DataSet.lock(path)
        }
        _ = try images.write(path, lock: lock, over: ranks, progress)
    }

    static func lock(
        _ path: String, waits: () throws(USPError) -> Bool = { false }
    ) throws(USPError) -> FileLock {
        try FileLock(path + ".lock", path, waits: waits)
    }

    /// The same images before they are encoded, each cut as to measure on it; nil where samples are
    /// latents of a file.
    package func pixels() throws(USPError) -> DataSet? {
        switch source {
        case .memory: return self
        case .images(let images):
            var still = options.measuring(
                options.augmentation == .middle ? .middle : .evaluation
            ).untaught
            still.channels = images.encoder?.imageChannels ?? options.channels
            let plain = try EncodedImages(images.folder, nil, still)
            return try changed(.images(plain), still)
        default: return nil
        }
    }

    /// The same data with every latent in memory.
    public func encoded(progress: EncodingProgress = { _, _ in }) throws(USPError) -> DataSet {
        guard case .images(let images) = source else { return self }
        return try changed(.latents(images.encoded(progress)), options.decoded)
    }

    /// What a frozen encoder makes of latents that are encoded: a probe's inputs, `[B, D]`.
    ///
    /// - features: `[B, D]` of latents `[B, C, h, w]`
    package func features(
        width: Int, progress: EncodingProgress = { _, _ in },
        _ features: (Tensor) throws(USPError) -> Tensor
    ) throws(USPError) -> DataSet {
        guard case .latents(let set) = source else {
            throw USPError(.argument, "features: of latents that are encoded")
        }
        let mirrored = try set.mirrored()
        var result = try LatentSet.encoding(
            labels: set.labels, count: set.count, channels: width, batch: 64,
            mirrored: mirrored != nil,
            images: { indices, flips throws(USPError) in
                try (flips ? mirrored ?? set : set).batch(indices)
            },
            encode: { latents throws(USPError) in
                let features = try features(latents)
                return try features.reshaped([features.shape[0], width, 1, 1])
            }, progress: progress)
        (result.classNames, result.origin) = (set.classNames, set.origin)
        result.applied = set.latentScale
        return try changed(.features(result), options)
    }
}

extension DataOptions {
    /// Without what only images have.
    var decoded: DataOptions {
        var result = self
        let plain = DataOptions()
        (result.size, result.channels, result.cache) = (plain.size, nil, nil)
        (result.mirror, result.cropArea) = (nil, [])
        (result.asStored, result.skipUnreadable) = (plain.asStored, plain.skipUnreadable)
        return result.untaught.withoutImagesAlone
    }

    /// Without a teacher.
    package var untaught: DataOptions {
        var result = self
        (result.teacher, result.teacherEncoder, result.teacherSize) = (nil, nil, nil)
        result.featureType = DataOptions().featureType
        return result
    }

    /// The augmentation, in words.
    var summary: String {
        augmentation.rawValue + (mirror.map { " mirror \($0)" } ?? "")
            + (cropArea.isEmpty ? "" : " crop \(cropArea)") + (randAugment.map { " \($0)" } ?? "")
            + (erasing.probability > 0 ? " " + erasing.text(differingFrom: .none) : "")
    }

    /// How samples are mixed, in words; nothing where they are not.
    var mixingSummary: String {
        guard mixing.isOn else { return "" }
        return ", " + mixing.text + (mixesPixels ? " of pixels" : "")
    }
}

extension LabelledImages {
    /// In words that two equal sets have in common.
    package var fingerprint: String {
        var print = Fingerprint()
        for index in 0..<count { print.add(label(index)) }
        pixels.withUnsafeBytes { print.add(SampleRecord.checksum([$0])) }
        return "\(count) images of \(channels)x\(height)x\(width) \(print.text)"
    }
}

extension LatentSet {
    /// Of the shape, the labels and the first samples.
    var fingerprint: String {
        var print = Fingerprint()
        for extent in moments.shape.extents { print.add(extent) }
        for label in labels ?? [] { print.add(label) }
        let values = min(moments.count, 1 << 20)
        withExtendedLifetime(moments) {
            print.add(UnsafeBufferPointer(start: moments.floats, count: values))
        }
        return "\(count) latents \(print.text)"
    }
}

extension DataSet {
    /// Latents of these samples of all, of both orientations where they are kept.
    ///
    /// - Throws: `.argument` where samples are no latents
    package func selectedLatents(_ chosen: [Int]) throws(USPError) -> LatentSet {
        guard case .latents(let set) = source else {
            throw USPError(.argument, "\(place): no latents")
        }
        let numbers = chosen.map { self.chosen?[$0] ?? $0 }
        let mirrored = try set.mirrored()
        var result = try LatentSet(
            moments: set.batch(numbers),
            mirroredMoments: mirrored.map { other throws(USPError) in try other.batch(numbers) },
            labels: set.labels(numbers), channels: set.channels)
        (result.scale, result.classNames) = ([1], set.classNames)
        result.applied = set.latentScale
        result.origin = "\(chosen.count) of \(set.origin)"
        return result
    }
}
