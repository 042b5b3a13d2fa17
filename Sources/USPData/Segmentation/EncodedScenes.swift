// Images with label maps as batches: rescaled, cut, flipped, with other colours, and encoded; or a
// frozen encoder's maps of them, made once.

import USPBase
import USPFiles
import USPTensor

/// Scenes with what they go through: an autoencoder, or nothing.
struct EncodedScenes: Sendable {
    let folder: SceneFolder
    let encoder: LatentEncoder?
    let options: DataOptions
    let sampleShape: Shape
    private let transform: SegmentationTransform

    /// - Throws: for a size that the autoencoder cannot halve so often, and for options that have no
    ///   part in images with masks
    init(
        _ folder: SceneFolder, _ encoder: LatentEncoder?, _ options: DataOptions
    ) throws(USPError) {
        if let encoder {
            sampleShape = try encoder.sampleShape(side: options.size)
            try require(
                encoder.imageChannels == 3, .unsupported,
                "masks: the autoencoder takes \(encoder.imageChannels) channels, expected 3")
        } else {
            sampleShape = [3, options.size, options.size]
        }
        try require(
            options.cache == nil && options.mirror == nil && options.cropArea.isEmpty
                && options.channels != 1 && !options.samplePosterior, .argument,
            "masks: cache, mirror, crop_area, sample_posterior and grey images have no part in images "
                + "with masks")
        if let name = options.imagesAlone.first {
            throw USPError(
                .argument,
                "\(name): has no part in images with masks, which have mmsegmentation's changes")
        }
        try require(
            encoder == nil || options.normalization == .half, .argument,
            "normalization: has no part in images that an autoencoder takes, which is -1 to 1")
        var folder = folder
        (folder.skipsUnreadable, folder.ignored) = (options.skipUnreadable, options.ignoredLabel)
        (self.folder, self.encoder, self.options) = (folder, encoder, options)
        var transform = SegmentationTransform()
        (transform.crop, transform.short) = (options.size, options.size)
        transform.long = 4 * options.size
        self.transform = transform
    }

    /// Images, masks, size and autoencoder, in words.
    var origin: String {
        "\(folder.count) images with masks \(folder.fingerprint)"
            + (folder.reducesZeroLabel ? " but their label 0" : "")
            + (folder.ignored == 255 ? "" : " but their label \(folder.ignored)")
            + ", \(options.size) pixels"
            + (options.normalization == .half ? "" : " normalised as \(options.normalization)")
            + (folder.asStored ? ", as stored, " : ", ")
            + (encoder.map { "autoencoder \($0.fingerprint)" } ?? "no autoencoder")
    }

    /// Images or latents, and label maps u8; without a key the middle of each image, its shorter side
    /// at the size.
    func batch(
        _ indices: [Int], _ key: (@Sendable (Int) -> RandomKey)?
    ) throws(USPError) -> Batch {
        let side = options.size
        let images = try Tensor([indices.count, 3, side, side])
        let labels = try Tensor([indices.count, side, side], .uint8)
        let (mean, deviation) = (options.normalization.mean, options.normalization.deviation)
        // SAFETY: every sample is written by one thread.
        nonisolated(unsafe) let maps = labels.raw.assumingMemoryBound(to: UInt8.self)
        nonisolated(unsafe) let pixels = images.floats
        _ = try parallelMap(indices.count) { place throws(USPError) in
            let scene = try folder.scene(indices[place])
            let sample: LabelledScene
            if let key {
                var stream = RandomStream(key(indices[place]))
                sample = try transform.apply(scene, &stream)
            } else {
                sample = try scene.middle(side)
            }
            transform.write(
                sample, mean: mean, deviation: deviation, image: pixels + place * 3 * side * side,
                labels: maps + place * side * side)
            return place
        }
        var batch = Batch(
            try encoder.map { encoder throws(USPError) in try encoder.latents(images, nil) }
                ?? images)
        batch.labels = .map(labels)
        return batch
    }
}

/// A frozen encoder's maps `[N, D, h, w]` with label maps `[N, H, W]`, in memory.
struct LabelledMaps: Sendable {
    let maps: Tensor
    let labels: Tensor
    /// Of the images and masks that they were made of.
    let folder: SceneFolder
    let origin: String

    func batch(_ indices: [Int]) throws(USPError) -> Batch {
        var shapes = (maps.shape.extents, labels.shape.extents)
        (shapes.0[0], shapes.1[0]) = (indices.count, indices.count)
        let inputs = try Tensor(Shape(shapes.0))
        let classes = try Tensor(Shape(shapes.1), .uint8)
        for (tensor, source) in [(inputs, maps), (classes, labels)] {
            let bytes = source.byteCount / max(source.shape[0], 1)
            for (place, index) in indices.enumerated() {
                (tensor.raw + place * bytes).copyMemory(
                    from: source.raw + index * bytes, byteCount: bytes)
            }
        }
        var batch = Batch(inputs)
        batch.labels = .map(classes)
        return batch
    }
}

extension DataSet {
    /// An image with its mask, whole: for evaluation; nil where they cannot be read and may be left
    /// out.
    ///
    /// - Throws: `.argument` for other data
    package func scene(_ index: Int) throws(USPError) -> LabelledScene? {
        guard case .scenes(let scenes) = source, (0..<count).contains(index) else {
            throw USPError(.argument, "scene \(index): expected one of images with masks")
        }
        return try scenes.folder.measured(chosen?[index] ?? index)
    }

    /// `[H, W]` of a sample's label map; nil where there is one label a sample, or none.
    public var labelShape: Shape? {
        switch source {
        case .scenes(let scenes): [scenes.options.size, scenes.options.size]
        case .maps(let maps): Shape(Array(maps.labels.shape.extents.dropFirst()))
        default: nil
        }
    }

    /// Whether samples are images with masks.
    public var hasMasks: Bool {
        switch source {
        case .scenes, .maps: true
        default: false
        }
    }

    /// How many pixels of all masks have each label, 0 to 255; empty without masks.
    public func labelCounts() throws(USPError) -> [Int64] {
        guard case .scenes(let scenes) = source else { return [] }
        return try scenes.folder.labelCounts()
    }

    /// What a frozen encoder makes of the middle of each image, once, and the labels there.
    ///
    /// - maps: `[B, D, h, w]` of samples `[B, C, h', w']`
    package func maps(
        progress: EncodingProgress = { _, _ in }, _ maps: (Tensor) throws(USPError) -> Tensor
    ) throws(USPError) -> DataSet {
        guard case .scenes(let scenes) = source else {
            throw USPError(.argument, "maps: of images with masks")
        }
        var (features, labels): (Tensor?, Tensor?)
        for index in 0..<count {
            try progress(index, count)
            let batch = try samples(index..<index + 1)
            let found = try maps(batch.inputs)
            guard case .map(let map) = batch.labels else { continue }
            if features == nil {
                features = try Tensor(Shape([count] + found.shape.extents.dropFirst()))
                labels = try Tensor(Shape([count] + map.shape.extents.dropFirst()), .uint8)
            }
            guard let features, let labels else { continue }
            (features.raw + index * found.byteCount).copyMemory(
                from: found.raw, byteCount: found.byteCount)
            (labels.raw + index * map.byteCount).copyMemory(
                from: map.raw, byteCount: map.byteCount)
        }
        try progress(count, count)
        guard let features, let labels else {
            throw USPError(.argument, "a data set of no samples")
        }
        return try DataSet(
            .maps(
                LabelledMaps(
                    maps: features, labels: labels, folder: scenes.folder, origin: scenes.origin)),
            options)
    }
}

extension LabelledScene {
    /// The shorter side becomes `side`, and the middle square is cut out.
    func middle(_ side: Int) throws(USPError) -> LabelledScene {
        let size = try ImageSize(image.height, image.width).rescaled(short: side, long: 65536)
        let (rows, columns) = (min(side, size.height), min(side, size.width))
        func cut(_ image: PixelImage) throws(USPError) -> PixelImage {
            try image.cropped(
                left: (size.width - columns) / 2, top: (size.height - rows) / 2, width: columns,
                height: rows)
        }
        return try LabelledScene(
            cut(image.rescaled(to: size)), cut(labels.rescaledNearest(to: size)))
    }
}
