// A stage's data: read as the recipe says, of the kind that the stage learns from.

import USPBase
import USPData
import USPModels
import USPTensor
import USPTraining

struct StageData {
    private(set) var data: DataSet
    private(set) var validation: DataSet?
    /// What there is to say of the data.
    private(set) var notes: [String] = []
    private let isProbe: Bool

    init(
        _ recipe: Recipe, _ data: DataSet, _ vae: VAE?, _ options: StageOptions,
        _ validation: DataSet?, _ progress: DataSet.EncodingProgress
    ) throws(USPError) {
        isProbe = recipe.stage == "probe"
        var reading = options.reading
        (reading.size, reading.channels) = (data.options.size, data.options.channels)
        (reading.cache, reading.ranks) = (data.options.cache, data.options.ranks)
        (reading.masks, reading.reducesZeroLabel) = (
            data.options.masks, data.options.reducesZeroLabel
        )
        (reading.teacher, reading.teacherEncoder) = (
            data.options.teacher, data.options.teacherEncoder
        )
        (reading.teacherSize, reading.featureType) = (
            data.options.teacherSize, data.options.featureType
        )
        if recipe.name == "autoencoder", reading.teacherSize == nil, let teacher = reading.teacher {
            // A patch of its own for each latent.
            reading.teacherSize = reading.size / max(options.factor, 1) * teacher.patch
        }
        try require(
            reading.teacher == nil || options.trainer.align != 0, .argument,
            "teacher: has no part in training without align, the weight of its alignment")
        try require(
            !reading.mixing.isOn || recipe.stage == "finetune", .argument,
            "mixup, cutmix: have no part in the recipe \(recipe.stage), only in finetune")
        (reading.normalization, reading.ignoredLabel) = (
            data.options.normalization, options.trainer.ignored
        )
        reading.asStored = reading.asStored || data.options.asStored
        reading.skipUnreadable = reading.skipUnreadable || data.options.skipUnreadable
        // As the original: what is kept of an image is its posterior.
        if recipe.stage == "pretrain" && data.isEncoded { reading.samplePosterior = true }
        let source = try data.reading(vae?.latentEncoder, reading)
        guard recipe.stage != "autoencoder" else {
            (self.data, self.validation) = try Self.images(source, validation, options)
            return
        }
        let isSegmenter = StageOptions.segmenters.contains(recipe.stage)
        try require(
            source.hasMasks == isSegmenter, .argument,
            isSegmenter
                ? "\(source.place): no masks, which the recipe \(recipe.stage) learns; give data with "
                    + "masks"
                : "\(source.place): images with masks, which only the recipes segment and "
                    + "segment-linear learn")
        try require(
            !source.holdsPixels || isSegmenter, .argument,
            "\(source.place): \(source.count) images, which need an autoencoder: give vae")
        self.data = source
        switch recipe.stage {
        case "finetune", "probe":
            try source.requireLabels()
            try require(
                source.classes > 1, .argument,
                "\(source.place): one class only (\(source.classText)), which leaves nothing to tell "
                    + "apart; expected two or more")
            self.validation = try validation.map { given throws(USPError) in
                try Self.measured(given, like: source, vae, reading, progress)
            }
        case "train", "autoregress":
            if source.classes == 0 {
                self.data = try source.inOneClass()
                notes.append(
                    "\(source.place): no classes (a folder has them as subfolders): all \(source.count) are "
                        + "of one, 0, called \(DataSet.oneClass)")
            }
            let data = self.data
            self.validation = try validation.map { given throws(USPError) in
                try Self.measured(
                    source.classes == 0 ? given.inOneClass() : given, like: data, vae, reading,
                    progress, .middle)
            }
        case _ where isSegmenter:
            self.validation = try validation.map { given throws(USPError) in
                var own = given.options
                own.ignoredLabel = reading.ignoredLabel
                return try given.with(own)
            }
        default: self.validation = validation
        }
    }

    /// Images to train an autoencoder on, and those to measure on.
    private static func images(
        _ source: DataSet, _ validation: DataSet?, _ options: StageOptions
    ) throws(USPError) -> (DataSet, DataSet?) {
        try require(
            source.holdsPixels, .argument, "an autoencoder learns from images, not from latents")
        if let validation {
            return (source, try validation.with(validation.options.measuring(.middle)))
        }
        let held = Stage.held(options, source.count)
        guard held > 0, held < source.count else { return (source, nil) }
        // Evenly over the folder, so that every class has its share.
        let kept = Set((0..<held).map { ($0 * source.count + source.count / 2) / held })
        let still = source.options.measuring(.middle)
        return (
            try source.selecting((0..<source.count).filter { !kept.contains($0) }),
            try source.with(still).selecting(kept.sorted())
        )
    }

    /// Encoded once, with labels that count in the same classes.
    private static func measured(
        _ given: DataSet, like data: DataSet, _ vae: VAE?, _ reading: DataOptions,
        _ progress: DataSet.EncodingProgress, _ crop: Augmentation = .evaluation
    ) throws(USPError) -> DataSet {
        var still = reading.untaught.measuring(data.isEncoded ? .middle : crop)
        (still.batch, still.cache) = (1, given.options.cache)
        let result = try given.reading(vae?.latentEncoder, still).numbered(as: data.classNames)
        try result.requireLabels()
        try require(
            result.classes <= data.classes, .argument,
            "\(result.place): classes \(result.classText); \(data.place) has \(data.classText)")
        return try result.encoded(progress: progress)
    }

    /// With labels that count in the classes of a model that was trained on them and goes on, and what
    /// there is to say.
    func numbered(for model: any Model) throws(USPError) -> (StageData, note: String?) {
        let names = model.notes.classNames
        guard model is DiT || model is MAR || model is ViT, names != data.classNames,
            !names.isEmpty, !data.classNames.isEmpty
        else { return (self, nil) }
        guard Set(data.classNames).isSubset(of: names) else {
            return (
                self,
                "the model was trained on the classes \(names.someText); the data's, "
                    + "\(data.classText), take their places one by one"
            )
        }
        var result = self
        result.data = try data.numbered(as: names)
        result.validation = try validation.map { set throws(USPError) in
            try set.numbered(as: names)
        }
        return (result, "the data's classes are numbered as the model's")
    }

    /// Of a probe on latents the frozen encoder's features, made once; else the data as it is.
    func features(
        of model: any Model, _ progress: DataSet.EncodingProgress
    ) throws(USPError) -> (DataSet, DataSet?) {
        if let model = model as? Segmenter, model.configuration.head == .linear,
            data.options.isStill
        {
            let maps = try data.maps(progress: progress) { images throws(USPError) in
                try model.features(images)
            }
            return (maps, validation)
        }
        guard isProbe, data.isEncoded, let model = model as? ViT else { return (data, validation) }
        let val = try validation.map { set throws(USPError) in
            try set.features(of: model, progress: progress)
        }
        return (try data.features(of: model, progress: progress), val)
    }
}

extension DataSet {
    /// - Throws: `.argument` unless every sample has a label
    public func requireLabels() throws(USPError) {
        try require(
            classes > 0, .argument,
            "\(place): no labels, which a folder with one subfolder for each class has, and what encode makes "
                + "of one")
    }

    /// The classes, for messages.
    public var classText: String {
        classNames.isEmpty
            ? "0 to \(classes - 1)"
            : classNames.someText
    }
}
