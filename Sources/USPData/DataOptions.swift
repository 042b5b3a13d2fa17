// How a data set is read: one row an option.

import USPBase

/// What becomes of images, and which samples a step sees.
public struct DataOptions: Sendable {
    public var batch = 64
    public var size = 256
    public var channels: Int?
    public var augmentation = Augmentation.generation
    public var mirror: Float?
    public var cropArea: [Float] = []
    public var samplePosterior = false
    public var cache: String?
    public var order = SampleOrder.shuffled
    public var seed: UInt64 = 0
    public var ranks: Ranks?
    public var asStored = false
    public var skipUnreadable = false

    public var masks: String?
    public var reducesZeroLabel = false
    public var normalization = PixelNormalization.half
    /// Of masks: another label that is no class, which 255 is anyway.
    package var ignoredLabel = 255
    public var teacher: FeatureTeacher?
    public var teacherEncoder: TeacherEncoder?
    public var teacherSize: Int?
    public var featureType = DType.float16

    public var randAugment: String?
    public var erasing = RandomErasing.none
    public var mixing = Mixing()
    public var mixesPixels = false

    public init() {}
}

/// In which order steps see the samples.
public enum SampleOrder: String, CaseIterable, Sendable { case shuffled, sequential }

extension DataOptions: Described {
    public static let title = "data"

    static let images = "folder of images"

    public static let members = [
        CMember("usp_progress_fn", "progress", "Told while a cache is made; NULL tells nobody."),
        CMember("void *", "progress_user", "Given to progress."),
    ]

    public static let fields: [Field<DataOptions>] = {
        var rows = reading
        rows.append(
            .text(
                "rand_augment", \.randAugment,
                "RandAugment of each image, behind its crop and mirror image, in timm's words: "
                    + "rand-m9-mstd0.5-inc1 is what MAE and USP fine-tune with; absent: none.",
                in: [images]))
        rows += RandomErasing.fields.map { $0.within(\.erasing, in: [images]) }
        rows += Mixing.fields.map { $0.within(\.mixing) }
        rows.append(
            .flag(
                "mix_pixels", \.mixesPixels,
                "Mix images before they are encoded, not their latents.", in: [images]))
        rows.append(
            .choice(
                "normalization", \.normalization,
                "What pixels of images with masks become where no autoencoder takes them: half, -1 to 1; "
                    + "imagenet, by ImageNet's mean and deviation, as networks of mmsegmentation, BEiT and MAE "
                    + "have learned to see.", in: [images]))
        return rows
    }()

    private static let reading: [Field<DataOptions>] = [
        .integer(
            "batch", \.batch, .from(1),
            "Samples of a step, over all ranks; those that do not fill one wait for another epoch."),
        .integer(
            "size", \.size, FieldRange(1, 16384), "Side of the square that images are cut to.",
            in: [images]),
        .integer(
            "channels", \.channels, FieldRange(1, 3),
            "1 makes images grey, 3 RGB; absent: what the autoencoder takes, else 3.",
            in: [images]),
        .choice(
            "augmentation", \.augmentation,
            "Random crops, mirrored half of the time, of 20 to 100 % of the area (pretraining) or 8 "
                + "to 100 % (classification; probe by TensorFlow's rule); ADM's crop of the middle, "
                + "likewise mirrored (generation); to measure, the middle 224 of 256 pixels "
                + "(evaluation) or ADM's crop (middle). Latents of a file were cut before: they are "
                + "mirrored where it has both."),
        .real(
            "mirror", \.mirror, .share,
            "Share of images that are mirrored; absent: the augmentation's own.", in: [images]),
        .reals(
            "crop_area", \.cropArea, .share,
            "Smallest and largest share of the area of random crops, such as 0.2,1; empty: the "
                + "augmentation's own.", in: [images]),
        .flag(
            "sample_posterior", \.samplePosterior,
            "Draw latents from the posterior, where it is known; else they are its mean."),
        .text(
            "cache", \.cache,
            "File of latents: every image is encoded once, cut in the middle, and the posterior of "
                + "both orientations is kept there, or taken from there.", in: [images]),
        .choice(
            "order", \.order, "Shuffled anew in every epoch from the seed, or as they are found."),
        .seed("seed", \.seed, "Seed of the order, of crops, mirror images and drawn latents."),
        .object(
            "ranks", \.ranks, "usp_ranks",
            "This process among those that train together, kept; absent: it sees whole batches."),
        .flag(
            "as_stored", \.asStored,
            "Read images as PIL gives them to the originals; else they are turned upright by the "
                + "camera's note (Exif, XMP).", in: [images]),
        .flag(
            "skip_unreadable", \.skipUnreadable,
            "Another image of its class takes the place of one that cannot be read, or that is gone "
                + "since an earlier run; else such an image is an error.", in: [images]),
        .text(
            "masks", \.masks,
            "A folder with a label map for each image, 8-bit indices of classes (255: none) under the "
                + "same path but for the ending. Samples are then crops of images rescaled by 0.5 to "
                + "2, flipped, with other colours (evaluation, middle: the middle), and their maps.",
            in: [images]),
        .flag(
            "reduce_zero_label", \.reducesZeroLabel,
            "Label 0 is no class and the others move down by one, as in ADE20K.", in: [images]),
        .object(
            "teacher", \.teacher, "usp_model",
            "A frozen ViT, kept, whose tokens of each image are the features that training with align "
                + "compares with (REPA); a cache keeps them beside the latents, of one orientation.",
            in: [images]),
        .choice(
            "teacher_encoder", named: \.teacherEncoder,
            "How the teacher's images are prepared; absent: as its file tells (DINOv2's does).",
            in: [images]),
        .integer(
            "teacher_size", \.teacherSize, FieldRange(1, 16384),
            "Side of the square that the teacher is shown; absent: of its patches as many as the image "
                + "has pixels over 16, 224 for patches of 14 and images of 256.", in: [images]),
        .dtype(
            "feature_type", \.featureType, [.float32, .float16, .bfloat16],
            "Type of features in a cache.", in: [images]),
    ]

    /// - part: what is read
    /// - Throws: `.argument` for options out of range or without a part in it
    func check(for part: String) throws(USPError) {
        try checkFields()
        try checkParts(in: part)
        try require(
            channels != 2, .argument, "channels: 2, expected 1 (grey) or 3 (RGB)")
        let isRange = cropArea.count == 2 && cropArea[0] > 0 && cropArea[0] <= cropArea[1]
        try require(
            cropArea.isEmpty || isRange, .argument,
            "crop_area: \(cropArea), expected two shares, the smaller first, such as 0.2,1")
        let crops = [.pretraining, .classification, .probe].contains(augmentation)
        try require(
            cropArea.isEmpty || crops, .argument,
            "crop_area: has no part in \(augmentation), which crops nothing at random")
        _ = try policy
        if augmentation.isStill, let name = changing.first {
            throw USPError(
                .argument, "\(name): has no part in \(augmentation), which is to measure on")
        }
    }

    /// The policy by which images are changed; nil: none.
    ///
    /// - Throws: `.argument` for a text that is not timm's
    var policy: RandAugment? {
        get throws(USPError) {
            guard let randAugment else { return nil }
            do throws(USPError) {
                return try RandAugment(timm: randAugment)
            } catch { throw error.at("rand_augment") }
        }
    }

    /// Names of what is on that changes images or mixes samples.
    private var changing: [String] {
        imagesAlone + (mixing.isOn && !mixesPixels ? ["mixup, cutmix"] : [])
    }

    /// Names of what is on that only images can have, before they are encoded.
    package var imagesAlone: [String] {
        [
            ("rand_augment", randAugment != nil), ("erasing", erasing.probability > 0),
            ("mix_pixels", mixesPixels),
        ].filter(\.1).map(\.0)
    }

    /// Without that.
    package var withoutImagesAlone: DataOptions {
        var result = self
        (result.randAugment, result.erasing, result.mixesPixels) = (nil, .none, false)
        return result
    }
}
