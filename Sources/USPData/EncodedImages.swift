// A folder of images as tensors: cut and encoded as they are needed, or once for all.

import USPBase
import USPFiles
import USPTensor

/// Images with what they go through: an autoencoder, or nothing.
struct EncodedImages {
    let folder: ImageFolder
    let encoder: LatentEncoder?
    let options: DataOptions
    let sampleShape: Shape
    let teacher: TeacherFeatures?
    private let loader: ImageLoader
    /// Of samples to measure on: what only steps change stays as it is.
    private let stillLoader: ImageLoader

    init(
        _ folder: ImageFolder, _ encoder: LatentEncoder?, _ options: DataOptions
    ) throws(USPError) {
        if let encoder {
            sampleShape = try encoder.sampleShape(side: options.size)
            try require(
                options.channels == nil || options.channels == encoder.imageChannels, .argument,
                "channels: \(options.channels ?? 0), the autoencoder takes \(encoder.imageChannels)"
            )
        } else {
            sampleShape = [Self.channels(nil, options), options.size, options.size]
        }
        if let training = Self.trainingPart(folder.classNames) {
            throw USPError(
                .format,
                "\(folder.path): expected one subfolder for each class, found "
                    + folder.classNames.joined(separator: ", ")
                    + "; give \(folder.path)/\(training)")
        }
        var folder = folder
        folder.skipsUnreadable = options.skipUnreadable
        (self.folder, self.encoder, self.options) = (folder, encoder, options)
        teacher = try TeacherFeatures(options)
        let channels = Self.channels(encoder, options)
        loader = try ImageLoader(folder, options.transform(channels: channels))
        stillLoader = try ImageLoader(
            folder, options.withoutImagesAlone.transform(channels: channels))
    }

    /// The folder for training, where all folders are parts of a data set and no classes.
    private static func trainingPart(_ names: [String]) -> String? {
        let training = ["train", "training"]
        let others = ["val", "valid", "validation", "test", "testing", "eval", "dev"]
        guard names.allSatisfy({ (training + others).contains($0.lowercased()) }) else {
            return nil
        }
        return names.first { training.contains($0.lowercased()) }
    }

    private static func channels(_ encoder: LatentEncoder?, _ options: DataOptions) -> Int {
        encoder?.imageChannels ?? options.channels ?? 3
    }

    /// Images, size and autoencoder, in words.
    var origin: String {
        var print = Fingerprint()
        for name in folder.classNames { print.add(name) }
        for file in folder.files { print.add(file.path) }
        let crop = options.augmentation == .evaluation ? " of the middle" : ""
        let turn = options.asStored ? ", as stored" : ""
        let taught = teacher.map { ", \($0.words)" } ?? ""
        return
            "\(folder.count) images \(print.text), \(options.size) pixels\(crop)\(turn)\(taught), "
            + (encoder.map { Self.autoencoder + $0.fingerprint } ?? "no autoencoder")
    }

    private static let autoencoder = "autoencoder "

    /// The fingerprint that an origin tells.
    static func autoencoder(in origin: String) -> String? {
        guard let last = origin.split(separator: ",").last?.drop(while: { $0 == " " }),
            last.hasPrefix(autoencoder)
        else { return nil }
        return String(last.dropFirst(autoencoder.count))
    }

    /// These images, or their normalised latents, and a teacher's features of them.
    ///
    /// - mix: what becomes of the images of a step before they are encoded
    func batch(
        _ indices: [Int], _ key: (@Sendable (Int) -> RandomKey)?,
        mix: (Tensor) throws(USPError) -> Tensor = { images throws(USPError) in images }
    ) throws(USPError) -> (inputs: Tensor, features: [Tensor]) {
        let images = try mix(images(indices, key))
        guard let teacher else { return (try inputs(images, indices, key), []) }
        let features = try Tensor(Shape([indices.count] + teacher.shape.extents))
        for range in pieces(indices.count) {
            try features.detachedRows(range).copy(
                from: teacher.features(images.detachedRows(range)))
        }
        return (try inputs(images, indices, key), [features])
    }

    private func images(
        _ indices: [Int], _ key: (@Sendable (Int) -> RandomKey)?
    ) throws(USPError) -> Tensor {
        guard let key else {
            return try stillLoader.batch(indices) { RandomKey(seed: 0).stream($0) }
        }
        return try loader.batch(indices, key: key)
    }

    private func inputs(
        _ images: Tensor, _ indices: [Int], _ key: (@Sendable (Int) -> RandomKey)?
    ) throws(USPError) -> Tensor {
        guard let encoder else { return images }
        try encoder.expectStatistics(folder.path)
        let result = try Tensor(Shape([indices.count] + sampleShape.extents))
        for range in pieces(indices.count) {
            let target = try result.detachedRows(range)
            var noise: Tensor?
            if options.samplePosterior, let key {
                let drawn = try Tensor(target.shape)
                for place in range {
                    var stream = RandomStream(key(indices[place]).stream("posterior"))
                    let size = drawn.count / range.count
                    let values = drawn.floats + (place - range.lowerBound) * size
                    for i in 0..<size { values[i] = stream.normal() }
                }
                noise = drawn
            }
            try target.copy(from: encoder.latents(images.detachedRows(range), noise))
        }
        return result
    }

    /// The posterior of every image, of both orientations unless it is to be measured on.
    func encoded(_ progress: (Int, Int) throws(USPError) -> Void) throws(USPError) -> LatentSet {
        try require(
            teacher == nil, .unsupported,
            "teacher: its features are kept in a file alone; give a cache")
        let (encoder, loaders) = (try requireEncoder(), try cachingLoaders())
        var set = try LatentSet.encoding(
            labels: folder.labels, count: folder.count, channels: sampleShape[0],
            batch: pieceSize, mirrored: loaders.count > 1,
            images: { indices, flips throws(USPError) in
                try loaders[flips ? 1 : 0].batch(indices) { RandomKey(seed: 0).stream($0) }
            }, encode: { images throws(USPError) in try encoder.moments(images) },
            progress: progress)
        if !encoder.lacksStatistics { (set.scale, set.shift) = (encoder.scale, encoder.shift) }
        (set.classNames, set.origin) = (folder.classNames, origin)
        return set
    }

    /// Writes the same to a file as it comes, going on with one that is unfinished. Ranks share the
    /// work; rank 0 writes.
    ///
    /// - lock: of the file; nil on ranks that do not write
    /// - Returns: what there is to say about it
    func write(
        _ path: String, lock: FileLock?, over ranks: Ranks,
        _ progress: (Int, Int) throws(USPError) -> Void
    ) throws(USPError) -> [String] {
        let (encoder, loaders) = (try requireEncoder(), try cachingLoaders())
        let cache = try ranks.together { () throws(USPError) -> LatentCache? in
            guard let lock else { return nil }
            let cache = try self.cache(path, encoder, mirrored: loaders.count > 1, lock: lock)
            try progress(cache.doneCount, folder.count)
            return cache
        }
        // What is left to do, as rank 0 knows it.
        let left = pieces(folder.count).map(\.lowerBound).filter { first in
            cache.map { cache in !pieceStarting(first).allSatisfy(cache.isDone) } ?? false
        }
        let firsts = [Int](bytes: try ranks.gather(left.bytes)[0])
        let size = try CheckedMath.multiply(2 * sampleShape.count, 4, "moments")
        do throws(USPError) {
            try ranks.share(firsts.count) { place, emit throws(USPError) in
                let range = pieceStarting(firsts[place])
                var chunk: [UInt8] = []
                for loader in loaders {
                    let images = try loader.batch(Array(range)) { RandomKey(seed: 0).stream($0) }
                    let moments = try encoder.moments(images)
                    chunk += withExtendedLifetime(moments) {
                        Array(UnsafeRawBufferPointer(start: moments.raw, count: moments.byteCount))
                    }
                    // With a teacher there is one orientation.
                    if let teacher { chunk += try teacher.features(images).values.bytes }
                }
                let found = folder.checksums.all[range]
                try emit([range.lowerBound].bytes + Array(found).bytes + chunk)
            } take: { chunk throws(USPError) in
                guard let cache else { return }
                let range = pieceStarting([Int](bytes: chunk.prefix(8))[0])
                var rest = chunk.dropFirst(8)
                let found = [Int](bytes: rest.prefix(8 * range.count))
                rest = rest.dropFirst(8 * range.count)
                for orientation in loaders.indices {
                    try cache.write(
                        Array(rest.prefix(size * range.count)), range, mirrored: orientation > 0)
                    rest = rest.dropFirst(size * range.count)
                }
                if let teacher {
                    let shape = Shape([range.count] + teacher.shape.extents)
                    try cache.write(features: Tensor(shape, [Float](bytes: rest)), range)
                }
                for (index, value) in zip(range, found) where value != 0 {
                    folder.checksums.note(index) { value }
                }
                try cache.finish(range, folder.checksums.all)
                try progress(cache.doneCount, folder.count)
            }
        } catch {
            // What was done is kept; the error that ended it is the one to tell.
            try? cache?.flush()
            throw error
        }
        try ranks.together { () throws(USPError) in try cache?.commit() }
        return cache?.notes ?? []
    }

    private func cache(
        _ path: String, _ encoder: LatentEncoder, mirrored: Bool, lock: FileLock
    ) throws(USPError) -> LatentCache {
        let notes = LatentNotes(
            channels: sampleShape[0], scale: encoder.lacksStatistics ? nil : encoder.scale,
            shift: encoder.shift,
            classNames: folder.classNames, origin: origin, labels: folder.labels,
            teacher: teacher?.words)
        let (latents, folder) = (sampleShape, folder)
        return try LatentCache(
            path, notes, folder.record, shape: [2 * latents[0], latents[1], latents[2]],
            mirrored: mirrored, features: teacher.map { ($0.shape, $0.type) }, lock: lock
        ) { index throws(USPError) in try folder.checksum(index) }
    }

    private func requireEncoder() throws(USPError) -> LatentEncoder {
        guard let encoder else {
            throw USPError(.argument, "\(folder.path): latents need an autoencoder")
        }
        return encoder
    }

    /// Of each orientation that is kept.
    private func cachingLoaders() throws(USPError) -> [ImageLoader] {
        if options.isStill { return [loader] }
        // REPA mirrors nothing, and features take more room than latents.
        if teacher != nil {
            let channels = Self.channels(encoder, options)
            return [
                try ImageLoader(
                    folder, .caching(options.size, mirrored: false, channels: channels))
            ]
        }
        let channels = Self.channels(encoder, options)
        return try [false, true].map { flips throws(USPError) in
            try ImageLoader(
                folder, .caching(options.size, mirrored: flips, channels: channels))
        }
    }

    /// Images that are encoded together: as many as have the pixels of four of 256x256.
    private var pieceSize: Int { max(1, 4 * 256 * 256 / (options.size * options.size)) }

    private func pieceStarting(_ first: Int) -> Range<Int> {
        first..<min(first + pieceSize, folder.count)
    }

    private func pieces(_ count: Int) -> [Range<Int>] {
        stride(from: 0, to: count, by: pieceSize).map { $0..<min($0 + pieceSize, count) }
    }
}

extension LatentSet {
    /// What there is to say where the autoencoder that is given is not that of a file's latents; nil
    /// where it is, or where too little is known.
    func difference(from encoder: LatentEncoder) -> String? {
        guard let known = EncodedImages.autoencoder(in: origin) else { return nil }
        guard known == encoder.fingerprint else {
            return "latents of the autoencoder \(known), the one that is given is "
                + "\(encoder.fingerprint): what it decodes may be noise"
        }
        guard let latentScale, let other = encoder.latentScale, !latentScale.isNear(other) else {
            return nil
        }
        return "latents of \(latentScale.words), as the file tells, and the autoencoder's are of "
            + "\(other.words): what it decodes may be noise"
    }
}
