// A folder of images as latents: cut and encoded as they are needed, or once for all.

import USPBase
import USPData
import USPFiles
import USPModels
import USPTensor

/// Images with the autoencoder that they go through.
struct EncodedImages {
    let folder: ImageFolder
    let vae: VAE
    private let options: TrainingData.Options
    private let loader: ImageLoader

    init(_ folder: ImageFolder, _ vae: VAE, _ options: TrainingData.Options) throws(USPError) {
        try require(
            options.size > 0 && options.size % vae.factor == 0 && options.size <= 16384, .argument,
            "size: \(options.size), expected a multiple of \(vae.factor), the autoencoder's factor")
        let names = Set(folder.classNames)
        if names.contains("train") && names.isSubset(of: ["train", "val", "test"]) {
            throw USPError(
                .format,
                "\(folder.path): expected one subfolder for each class, found train and val; "
                    + "give \(folder.path)/train")
        }
        (self.folder, self.vae, self.options) = (folder, vae, options)
        let augmentation = try Augmentation.named(options.augmentation)
        loader = try ImageLoader(
            folder,
            augmentation.transform(options.size, channels: vae.configuration.imageChannels))
    }

    var latentShape: Shape {
        let side = options.size / vae.factor
        return [vae.configuration.latentChannels, side, side]
    }

    /// Images, size and autoencoder, in words.
    var origin: String {
        var print = Fingerprint()
        for name in folder.classNames { print.add(name) }
        for file in folder.files { print.add(file.path) }
        let crop = options.augmentation == "evaluation" ? " of the middle" : ""
        let turn = options.asStored ? ", as stored" : ""
        return "\(folder.count) images \(print.text), \(options.size) pixels\(crop)\(turn), "
            + "autoencoder \(vae.weights.fingerprint)"
    }

    /// Latents of these images, normalised.
    func batch(
        _ indices: [Int], _ key: (@Sendable (Int) -> RandomKey)?
    ) throws(USPError) -> Tensor {
        let still: @Sendable (Int) -> RandomKey = { RandomKey(seed: 0).stream($0) }
        let images = try loader.batch(indices, key: key ?? still)
        let result = try Tensor(Shape([indices.count] + latentShape.extents))
        for range in pieces(indices.count) {
            let posterior = try vae.encode(images.detachedRows(range))
            var latents = posterior.mean
            if options.samples, let key {
                let noise = try Tensor(latents.shape)
                for place in range {
                    var stream = RandomStream(key(indices[place]).stream("posterior"))
                    let size = noise.count / range.count
                    let target = noise.floats + (place - range.lowerBound) * size
                    for i in 0..<size { target[i] = stream.normal() }
                }
                latents = try vae.sample(posterior, noise: noise)
            }
            try result.detachedRows(range).copy(from: latents)
        }
        return result
    }

    /// The posterior of every image, of both orientations unless it is to be measured on.
    func encoded(_ progress: (Int, Int) throws(USPError) -> Void) throws(USPError) -> LatentSet {
        let isStill = try Augmentation.named(options.augmentation).isStill
        let channels = vae.configuration.imageChannels
        let loaders = try [false, true].map { flips throws(USPError) in
            isStill
                ? loader
                : try ImageLoader(
                    folder, .caching(options.size, mirrored: flips, channels: channels))
        }
        var set = try LatentSet.encoding(
            labels: folder.files.map(\.label), count: folder.count, channels: latentShape[0],
            batch: pieceSize, mirrored: !isStill,
            images: { indices, flips throws(USPError) in
                try loaders[flips ? 1 : 0].batch(indices) { RandomKey(seed: 0).stream($0) }
            }, encode: { images throws(USPError) in try moments(images) }, progress: progress)
        (set.scale, set.shift) = (vae.scales, vae.shifts)
        (set.classNames, set.origin) = (folder.classNames, origin)
        return set
    }

    /// `[B, 2z, h, w]`: mean of z itself, then its log variance.
    private func moments(_ images: Tensor) throws(USPError) -> Tensor {
        var options = VAE.Options()
        options.scaled = false
        let posterior = try vae.encode(images, options)
        let shape = posterior.mean.shape
        let result = try Tensor([shape[0], 2 * shape[1], shape[2], shape[3]])
        let size = posterior.mean.count / shape[0]
        for sample in 0..<shape[0] {
            let target = result.floats + 2 * sample * size
            target.update(from: posterior.mean.floats + sample * size, count: size)
            (target + size).update(from: posterior.logVariance.floats + sample * size, count: size)
        }
        return result
    }

    /// Images that are encoded together: as many as have the pixels of four of 256x256.
    private var pieceSize: Int { max(1, 4 * 256 * 256 / (options.size * options.size)) }

    private func pieces(_ count: Int) -> [Range<Int>] {
        stride(from: 0, to: count, by: pieceSize).map { $0..<min($0 + pieceSize, count) }
    }
}

extension TrainingData {
    /// The same data with every latent in a file, which is written now unless it is there already;
    /// images are cut in the middle then, and the posterior of both orientations is kept.
    ///
    /// - progress: told how many of all encodings are done; its error ends the call
    /// - Throws: if the file holds latents of other images, size or autoencoder
    public func cached(
        at path: String, progress: (_ done: Int, _ all: Int) throws(USPError) -> Void = { _, _ in }
    ) throws(USPError) -> TrainingData {
        guard case .images(let images) = source else { return self }
        if !FolderListing.isFile(path) { try writeLatents(path, progress: progress) }
        let set = try LatentSet.load(path)
        try require(
            set.origin == images.origin, .format,
            "\(path): latents of \(set.origin.isEmpty ? "unknown images" : set.origin), expected "
                + images.origin)
        return try TrainingData(.latents(set), options)
    }

    /// Encodes every image and writes the posteriors to a file, of which data can be made.
    public func writeLatents(
        _ path: String, progress: (_ done: Int, _ all: Int) throws(USPError) -> Void = { _, _ in }
    ) throws(USPError) {
        guard case .images(let images) = source else {
            throw USPError(.argument, "\(path): the data is encoded already")
        }
        _ = try AtomicFile(path)
        try images.encoded(progress).save(path)
    }

    /// The same data with every latent in memory.
    public func encoded(
        progress: (_ done: Int, _ all: Int) throws(USPError) -> Void = { _, _ in }
    ) throws(USPError) -> TrainingData {
        guard case .images(let images) = source else { return self }
        return try TrainingData(.latents(images.encoded(progress)), options)
    }

    /// What a frozen encoder makes of latents that are encoded: a probe's inputs, `[B, D]`.
    public func features(
        of model: ViT, progress: (_ done: Int, _ all: Int) throws(USPError) -> Void = { _, _ in }
    ) throws(USPError) -> TrainingData {
        guard case .latents(let set) = source else {
            throw USPError(.argument, "features: of latents that are encoded")
        }
        try expectSamples(set, model)
        let mirrored = try set.mirroredMoments.map { moments throws(USPError) in
            var result = try LatentSet(moments: moments, labels: nil, channels: set.channels)
            (result.scale, result.shift) = (set.scale, set.shift)
            return result
        }
        var features = try LatentSet.encoding(
            labels: set.labels, count: set.count, channels: model.width, batch: 64,
            mirrored: mirrored != nil,
            images: { indices, flips throws(USPError) in
                try (flips ? mirrored ?? set : set).batch(indices)
            },
            encode: { latents throws(USPError) in
                let features = try model.features(latents)
                return try features.reshaped([features.shape[0], model.width, 1, 1])
            }, progress: progress)
        (features.classNames, features.origin) = (set.classNames, set.origin)
        return try TrainingData(.features(features), options)
    }

    private func expectSamples(_ set: LatentSet, _ model: ViT) throws(USPError) {
        let (given, wanted) = (sampleShape, model.inputShape(batch: 1).extents.dropFirst())
        try require(
            given.extents == Array(wanted), .shape,
            "latents \(given), expected \(Shape(Array(wanted)))")
    }
}

extension ModelWeights {
    /// A short text that two models of the same values have in common.
    package var fingerprint: String {
        var print = Fingerprint()
        for (position, spec) in parameters.specs.enumerated() {
            let tensor = parameters[position]
            print.add(spec.name)
            withExtendedLifetime(tensor) {
                print.add(UnsafeBufferPointer(start: tensor.floats, count: tensor.count))
            }
        }
        return print.text
    }
}
