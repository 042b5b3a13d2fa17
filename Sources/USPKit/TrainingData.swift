// A data set for training: which samples a step sees, and the latents that they become.

import USPBase
import USPData
import USPFiles
import USPModels
import USPTensor

/// Latents of images by class, made as they are needed or read from a file. One thread at a time.
///
/// What a step sees depends on seed and step alone, so a run that is restored goes on with the data
/// that it would have seen. Samples that do not fill a batch wait for another epoch.
public final class TrainingData {
    /// How images become latents.
    public struct Options: Sendable {
        /// Side of the square that images are cut to; a file of latents has its own.
        public var size = 256
        /// `pretraining`, `classification`, `probe`: random crops, mirrored half of the time;
        /// `generation`: ADM's centre crop, likewise mirrored; to measure: `evaluation`, the middle
        /// 224 of 256 pixels, or `middle`, ADM's crop, as `cached` cuts. Latents from a file were
        /// cut before: they are mirrored where the file has both.
        public var augmentation = "generation"
        /// Latents are drawn from the posterior, where it is known; else they are its mean.
        public var samples = false
        /// Images stay as PIL gives them to the originals, however their camera was held; else they
        /// are turned upright by its note (Exif, XMP).
        public var asStored = false
        public var seed: UInt64 = 0

        public init() {}
    }

    /// Where latents come from.
    enum Source {
        case images(EncodedImages)
        case latents(LatentSet)
        /// Of a frozen encoder: `[N, D, 1, 1]`.
        case features(LatentSet)
    }

    public let options: Options
    let source: Source
    private let isStill: Bool
    private var order: EpochOrder?

    init(_ source: Source, _ options: Options) throws(USPError) {
        (self.source, self.options) = (source, options)
        isStill = try Augmentation.named(options.augmentation).isStill
    }

    /// A folder of images with one subfolder for each class; each batch is cut and encoded anew.
    ///
    /// - Throws: for a folder without images, or a size that the autoencoder cannot halve so often
    public convenience init(
        images folder: String, _ vae: VAE, _ options: Options = Options()
    ) throws(USPError) {
        let images = try ImageFolder(folder, asStored: options.asStored)
        try self.init(.images(EncodedImages(images, vae, options)), options)
    }

    /// A file of latents: what `cached` writes; an array `latents`, normalised, with `labels` if
    /// there are some; or a folder of the original's npz files.
    ///
    /// - vae: tells the scale where the file does not
    /// - Throws: for a file of something else, or of another autoencoder's latents
    public convenience init(
        latents path: String, _ vae: VAE? = nil, _ options: Options = Options()
    ) throws(USPError) {
        var set =
            FolderListing.isFolder(path)
            ? try LatentSet.load(folder: path) : try LatentSet.load(path)
        if let vae {
            let wanted = vae.configuration.latentChannels
            try require(
                set.channels == wanted, .shape,
                "\(path): latents of \(set.channels) channels, the autoencoder's have \(wanted)")
            if set.scale == nil { (set.scale, set.shift) = (vae.scales, vae.shifts) }
        }
        try require(
            set.scale != nil, .argument,
            "\(path): does not tell its latents' scale; the autoencoder is needed for that")
        try self.init(.latents(set), options)
    }

    /// Images or latents, as the path's content says.
    ///
    /// - Throws: for images without an autoencoder
    public convenience init(
        _ path: String, _ vae: VAE? = nil, _ options: Options = Options()
    ) throws(USPError) {
        if try TrainingData.holdsLatents(path) {
            try self.init(latents: path, vae, options)
        } else if let vae {
            try self.init(images: path, vae, options)
        } else {
            let folder = try ImageFolder(path)
            throw USPError(
                .argument, "\(path): \(folder.count) images, which need an autoencoder")
        }
    }

    /// A file, or a folder with an npz file in the first of its subfolders that has any file.
    private static func holdsLatents(_ path: String) throws(USPError) -> Bool {
        guard FolderListing.isFolder(path) else { return true }
        for name in try FolderListing.names(path) where FolderListing.isFolder("\(path)/\(name)") {
            if let file = try FolderListing.names("\(path)/\(name)").first {
                return file.hasSuffix(".npz")
            }
        }
        return false
    }

    /// What else is in a folder of images, one line for each kind of thing that is left out.
    public var leftOut: [String] {
        guard case .images(let images) = source else { return [] }
        return ImageListing.notes(images.folder.skipped)
    }

    public var count: Int {
        switch source {
        case .images(let images): images.folder.count
        case .latents(let set), .features(let set): set.count
        }
    }

    /// Names of the classes; empty where they are not known.
    public var classNames: [String] {
        switch source {
        case .images(let images): images.folder.classNames
        case .latents(let set), .features(let set): set.classNames
        }
    }

    /// 0 without labels.
    public var classes: Int {
        switch source {
        case .images(let images): images.folder.classNames.count
        case .latents(let set), .features(let set): set.classes
        }
    }

    /// Whether nothing is encoded any more.
    public var isEncoded: Bool { if case .images = source { false } else { true } }

    /// `[C, h, w]` of a latent.
    public var sampleShape: Shape {
        switch source {
        case .images(let images): images.latentShape
        case .latents(let set), .features(let set):
            [set.channels, set.moments.shape[2], set.moments.shape[3]]
        }
    }

    /// Which samples these are, in words that two equal sets have in common.
    public var summary: String {
        switch source {
        case .images(let images): images.origin + ", " + options.augmentation
        case .latents(let set), .features(let set):
            (set.origin.isEmpty ? set.fingerprint : set.origin) + ", cached"
        }
    }

    public func stepsPerEpoch(batch size: Int) -> Int { size > 0 ? count / size : 0 }

    /// The samples of one step, 0 the first of all.
    ///
    /// - Throws: for a batch larger than the set; for an image that cannot be read
    public func batch(_ size: Int, atStep step: Int) throws(USPError) -> Trainer.Batch {
        let key = RandomKey(seed: options.seed)
        var order =
            if let order, order.batch == size { order } else {
                try EpochOrder(count: count, batch: size, key: key)
            }
        let chosen = order.batch(atStep: step)
        self.order = order
        let samples = key.stream("samples").stream(chosen.epoch)
        return try batch(chosen.indices) { samples.stream($0) }
    }

    /// Consecutive samples, not mirrored and not drawn: for evaluation.
    public func samples(_ range: Range<Int>) throws(USPError) -> Trainer.Batch {
        try batch(Array(range), nil)
    }

    func batch(
        _ indices: [Int], _ key: (@Sendable (Int) -> RandomKey)?
    ) throws(USPError) -> Trainer.Batch {
        switch source {
        case .images(let images):
            return Trainer.Batch(
                try images.batch(indices, key), labels: indices.map { images.folder.label($0) })
        case .latents(let set):
            let latents = try set.batch(
                indices, samples: options.samples && set.hasVariance && key != nil,
                key: isStill ? nil : key)
            return Trainer.Batch(latents, labels: set.labels(indices))
        case .features(let set):
            let features = try set.batch(indices, key: key)
            return Trainer.Batch(
                try features.reshaped([indices.count, set.channels]), labels: set.labels(indices))
        }
    }
}

/// What happens to an image before it is encoded.
enum Augmentation: String, NamedChoice {
    case pretraining, classification, probe, generation, evaluation, middle

    static let what = "augmentation"

    /// Whether a sample is always the same: no crop that is drawn, no mirror image.
    var isStill: Bool { self == .evaluation || self == .middle }

    func transform(_ size: Int, channels: Int) -> ImageTransform {
        switch self {
        case .pretraining: .pretraining(size, channels: channels)
        case .classification: .classification(size, channels: channels)
        case .probe: .probe(size, channels: channels)
        case .generation: .generation(size, channels: channels)
        case .evaluation: .evaluation(size, channels: channels)
        case .middle: .caching(size, mirrored: false, channels: channels)
        }
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
