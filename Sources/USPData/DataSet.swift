// A data set for training: which samples a step sees, and what they become.

import USPBase
import USPFiles
import USPTensor

/// Images or latents, by class or without, made as they are needed or read from a file. Immutable:
/// any thread.
///
/// What a step sees depends on seed and step alone, so a run that is restored goes on with the data
/// that it would have seen. Samples that do not fill a batch wait for another epoch.
public final class DataSet: Sendable {
    /// Where samples come from.
    enum Source: Sendable {
        case images(EncodedImages)
        case memory(LabelledImages)
        case latents(LatentSet)
        /// Of a frozen encoder: `[N, D, 1, 1]`.
        case features(LatentSet)
        case scenes(EncodedScenes)
        /// Of a frozen encoder.
        case maps(LabelledMaps)
    }

    public let options: DataOptions
    let source: Source
    /// Which samples of the source are in the set; nil: all.
    let chosen: [Int]?
    /// What labels become; nil: they are the source's.
    let numbers: ClassNumbers?
    private let order: Lock<EpochOrder?>
    private let ranks: Ranks
    let notes: [String]

    init(
        _ source: Source, _ options: DataOptions, among chosen: [Int]? = nil, notes: [String] = [],
        numbers: ClassNumbers? = nil
    ) throws(USPError) {
        switch source {
        case .images, .scenes, .maps: try options.check(for: DataOptions.images)
        default: try options.check(for: "file of latents")
        }
        (self.source, self.options, self.chosen) = (source, options, chosen)
        (self.notes, self.numbers) = (notes, numbers)
        ranks = options.ranks ?? .alone
        order = Lock(nil)
        if options.mixing.isOn { try checkMixing() }
    }

    /// - Throws: `.argument` for samples that cannot be mixed
    private func checkMixing() throws(USPError) {
        switch source {
        case .images(let images):
            try require(
                images.teacher == nil, .argument,
                "mixup, cutmix: have no part beside a teacher, which sees images as they are")
        case .memory, .latents: break
        case .features, .scenes, .maps:
            throw USPError(
                .argument,
                "mixup, cutmix: have no part in features or masks, only in images and latents of "
                    + "classes")
        }
        try require(
            classes > 0, .argument, "mixup, cutmix: \(place): no labels, which are mixed as well")
        let share = options.batch / ranks.count
        try require(
            share % 2 == 0 || ranks.count == 1, .argument,
            "mixup, cutmix: batch \(options.batch) over \(ranks.count) ranks, expected an even "
                + "number of samples each, which are mixed in pairs")
    }

    /// The extent of a label of a step's sample: the classes where labels are shares.
    public var labelShares: Int? { options.mixing.isOn ? classes : nil }

    /// What else is in a folder of images, one line for each kind of thing that is left out, and
    /// what else there is to know.
    public var leftOut: [String] {
        switch source {
        case .images(let images): return images.leftOut + notes
        case .scenes(let scenes): return ImageListing.notes(scenes.folder.skipped) + notes
        default: return notes
        }
    }

    /// What was left out, and what could not be read so far, one line each.
    public var remarks: [String] {
        leftOut + unreadable.map(\.remark)
    }

    /// Images that could not be read so far; others took their places.
    public var unreadable: [UnreadableImage] {
        switch source {
        case .images(let images): images.unreadable
        case .scenes(let scenes): scenes.folder.unreadable
        case .maps(let maps): maps.folder.unreadable
        case .memory, .latents, .features: []
        }
    }

    /// Normalised latents in memory, `[N, C, h, w]`.
    public convenience init(
        latents: Tensor, labels: [Int]? = nil, _ options: DataOptions = DataOptions()
    ) throws(USPError) {
        try require(
            latents.shape.rank == 4, .shape,
            "latents: shape \(latents.shape), expected [N, C, h, w]")
        var set = try LatentSet(moments: latents, labels: labels, channels: latents.shape[1])
        set.scale = [1]
        try self.init(.latents(set), options)
    }

    /// Features of a frozen encoder in memory, `[N, D]`.
    public convenience init(
        features: Tensor, labels: [Int]? = nil, _ options: DataOptions = DataOptions()
    ) throws(USPError) {
        try require(
            features.shape.rank == 2, .shape, "features: shape \(features.shape), expected [N, D]")
        let width = features.shape[1]
        var set = try LatentSet(
            moments: features.reshaped([features.shape[0], width, 1, 1]), labels: labels,
            channels: width)
        set.scale = [1]
        try self.init(.features(set), options)
    }

    /// Images in memory, as they are: neither cut nor mirrored.
    package convenience init(
        _ images: LabelledImages, _ options: DataOptions = DataOptions()
    ) throws(USPError) {
        try self.init(.memory(images), options)
    }

    /// The same samples with the same labels, of another source or read in another way.
    func changed(_ source: Source, _ options: DataOptions) throws(USPError) -> DataSet {
        try DataSet(source, options, among: chosen, notes: notes, numbers: numbers)
    }

    /// The same samples read in another way.
    ///
    /// - Throws: `.argument` for options that would make other samples of the same images
    public func with(_ options: DataOptions) throws(USPError) -> DataSet {
        if case .scenes(let scenes) = source {
            return try changed(
                .scenes(EncodedScenes(scenes.folder, scenes.encoder, options)), options)
        }
        guard case .images(let images) = source else { return try changed(source, options) }
        return try changed(.images(EncodedImages(images.folder, images.encoder, options)), options)
    }

    /// These samples alone, in this order.
    ///
    /// - Throws: `.argument` for none, or a number that is none of a sample
    public func selecting(_ places: [Int]) throws(USPError) -> DataSet {
        try require(!places.isEmpty, .argument, "a data set of no samples")
        let present = 0..<count
        for place in places {
            try require(
                present.contains(place), .argument,
                "sample \(place): expected 0 to \(count - 1)")
        }
        return try DataSet(
            source, options, among: places.map { chosen?[$0] ?? $0 }, notes: notes,
            numbers: numbers)
    }

    /// The same samples through an autoencoder and with other options; those of a file of latents
    /// have been encoded already.
    ///
    /// - Throws: `.argument` for options that would make other samples, and for images in memory
    package func reading(
        _ encoder: LatentEncoder?, _ options: DataOptions, progress: EncodingProgress = { _, _ in }
    ) throws(USPError) -> DataSet {
        switch source {
        case .images(let images):
            let encoded = try EncodedImages(images.folder, encoder ?? images.encoder, options)
            return try changed(.images(encoded), options)
        case .scenes(let scenes):
            let encoded = try EncodedScenes(scenes.folder, encoder ?? scenes.encoder, options)
            return try changed(.scenes(encoded), options)
        case .maps: return try changed(source, options)
        case .latents, .features:
            return try changed(source, options.decoded)
        case .memory:
            try require(
                encoder == nil, .unsupported, "images in memory: expected a folder of images")
            return try changed(source, options.decoded)
        }
    }

    public var count: Int {
        if let chosen { return chosen.count }
        return switch source {
        case .images(let images): images.folder.count
        case .memory(let images): images.count
        case .latents(let set), .features(let set): set.count
        case .scenes(let scenes): scenes.folder.count
        case .maps(let maps): maps.maps.shape[0]
        }
    }

    /// Names of the classes; empty where they are not known.
    public var classNames: [String] {
        if let numbers { return numbers.names }
        return switch source {
        case .images(let images): images.folder.classNames
        case .memory(let images): images.classNames
        case .latents(let set), .features(let set): set.classNames
        case .scenes, .maps: []
        }
    }

    /// What its images go through.
    package var latentEncoder: LatentEncoder? {
        switch source {
        case .images(let images): images.encoder
        case .scenes(let scenes): scenes.encoder
        default: nil
        }
    }

    /// The folder, for messages.
    public var place: String {
        switch source {
        case .images(let images): images.folder.path
        case .scenes(let scenes): scenes.folder.path
        default: "the data"
        }
    }

    /// The fingerprint of the autoencoder that samples are latents of; nil where it is not known.
    public var autoencoder: String? {
        switch source {
        case .images(let images): images.encoder?.fingerprint
        case .latents(let set), .features(let set): EncodedImages.autoencoder(in: set.origin)
        case .memory, .maps: nil
        case .scenes(let scenes): scenes.encoder?.fingerprint
        }
    }

    /// Scale and shift of those latents; nil where they, or whose latents these are, are not known.
    public var latentScale: LatentScale? {
        guard autoencoder != nil else { return nil }
        switch source {
        case .images(let images): return images.encoder?.latentScale
        case .latents(let set), .features(let set): return set.latentScale
        case .memory, .maps: return nil
        case .scenes(let scenes): return scenes.encoder?.latentScale
        }
    }

    /// What pixels have become that no autoencoder takes.
    package var normalization: PixelNormalization? {
        guard case .scenes(let scenes) = source, scenes.encoder == nil else { return nil }
        return options.normalization
    }

    /// 0 without labels.
    public var classes: Int {
        if let numbers { return numbers.names.count }
        return switch source {
        case .images(let images): images.folder.classNames.count
        case .memory(let images): images.classNames.count
        case .latents(let set), .features(let set): set.classes
        case .scenes, .maps: 0
        }
    }

    /// The label of every sample; nil without labels.
    package var labels: [Int]? {
        let all: [Int]? =
            switch source {
            case .images(let images): images.folder.labels
            case .memory(let images): (0..<images.count).map { images.label($0) }
            case .latents(let set), .features(let set): set.labels
            case .scenes, .maps: nil
            }
        let own = all.map { all in chosen?.map { all[$0] } ?? all }
        return numbers?.labels(own, count) ?? own
    }

    /// Whether nothing is decoded or encoded any more.
    public var isEncoded: Bool {
        switch source {
        case .images, .scenes: false
        default: true
        }
    }

    /// Whether samples are images, which an autoencoder has not seen.
    public var holdsPixels: Bool {
        switch source {
        case .images(let images): images.encoder == nil
        case .memory: true
        case .scenes(let scenes): scenes.encoder == nil
        case .latents, .features, .maps: false
        }
    }

    /// `[C, h, w]` of a sample; `[D]` of features.
    public var sampleShape: Shape {
        switch source {
        case .images(let images): images.sampleShape
        case .memory(let images): [images.channels, images.height, images.width]
        case .latents(let set): [set.channels, set.moments.shape[2], set.moments.shape[3]]
        case .features(let set): [set.channels]
        case .scenes(let scenes): scenes.sampleShape
        case .maps(let maps): Shape(Array(maps.maps.shape.extents.dropFirst()))
        }
    }

    /// `[T, Z]` of a teacher's features of a sample; nil without.
    public var featureShape: Shape? {
        switch source {
        case .images(let images): images.teacher?.shape
        case .latents(let set): set.features?.shape
        default: nil
        }
    }

    /// Which samples these are, in words that two equal sets have in common.
    public var summary: String {
        var text =
            switch source {
            case .images(let images): images.origin + ", " + options.summary
            case .memory(let images): images.fingerprint
            case .latents(let set), .features(let set):
                (set.origin.isEmpty ? set.fingerprint : set.origin) + ", cached"
            case .scenes(let scenes): scenes.origin + ", " + options.summary
            case .maps(let maps): maps.origin + ", maps"
            }
        if let chosen {
            var print = Fingerprint()
            for number in chosen { print.add(number) }
            text += ", \(chosen.count) of them \(print.text)"
        }
        if let numbers, numbers.all != nil {
            text += ", of one class"
        } else if let numbers {
            var print = Fingerprint()
            for place in numbers.places { print.add(place) }
            text += ", classes in another order \(print.text)"
        }
        if options.order == .sequential { text += ", sequential" }
        return text + options.mixingSummary
    }

    public var stepsPerEpoch: Int { count / options.batch }

    /// Samples of a step on this rank.
    public var batchSize: Int { options.batch / ranks.count }

    /// The samples of one step, 0 the first of all; with ranks, this one's share.
    ///
    /// - Throws: for a batch larger than the set; for an image that cannot be read
    public func batch(atStep step: Int) throws(USPError) -> Batch {
        let key = RandomKey(seed: options.seed)
        let chosen = try order.withLock { order throws(USPError) in
            var present =
                if let order { order } else {
                    try EpochOrder(
                        count: count, batch: options.batch,
                        key: options.order == .shuffled ? key : nil, rank: ranks.rank,
                        ranks: ranks.count)
                }
            defer { order = present }
            return present.batch(atStep: step)
        }
        let samples = key.stream("samples").stream(chosen.epoch)
        return try batch(
            chosen.indices, { samples.stream($0) },
            mixed: options.mixing.isOn ? key.stream("mixing").stream(step) : nil)
    }

    /// Consecutive samples, not mirrored and not drawn: for evaluation.
    public func samples(_ range: Range<Int>) throws(USPError) -> Batch {
        try require(
            range.lowerBound >= 0 && range.upperBound <= count, .argument,
            "samples \(range): expected 0 to \(count)")
        return try batch(Array(range), nil)
    }

    /// - mixed: the stream of the step that mixes these samples; nil: they stay apart
    private func batch(
        _ indices: [Int], _ key: (@Sendable (Int) -> RandomKey)?, mixed: RandomKey? = nil
    ) throws(USPError) -> Batch {
        let indices = chosen.map { chosen in indices.map { chosen[$0] } } ?? indices
        guard let mixed else { return try plainBatch(indices, key) }
        guard options.mixesPixels, case .images(let images) = source else {
            var batch = try plainBatch(indices, key)
            let draws = mixes(batch.inputs.shape, mixed)
            batch.inputs = try options.mixing.mix(batch.inputs, draws, .neighbours)
            batch.labels = try shares(batch.classes ?? [], draws)
            return batch
        }
        let draws = mixes([indices.count, 3, options.size, options.size], mixed)
        var batch = Batch(
            try images.batch(indices, key) { pixels throws(USPError) in
                try options.mixing.mix(pixels, draws, .neighbours)
            }.inputs)
        let labels = indices.map { images.folder.label($0) }
        batch.labels = try shares(numbers?.labels(labels, labels.count) ?? labels, draws)
        return batch
    }

    /// How this rank's samples are mixed: drawn for those of all ranks.
    private func mixes(_ shape: Shape, _ key: RandomKey) -> [SampleMix] {
        var stream = RandomStream(key)
        let all = options.mixing.draw(
            options.batch, height: shape[2], width: shape[3], &stream, .neighbours)
        return Array(all[ranks.rank * shape[0]..<(ranks.rank + 1) * shape[0]])
    }

    private func shares(
        _ labels: [Int], _ draws: [SampleMix]
    ) throws(USPError) -> Batch.Labels {
        .shares(try options.mixing.targets(labels, classes: classes, draws, .neighbours))
    }

    private func plainBatch(
        _ indices: [Int], _ key: (@Sendable (Int) -> RandomKey)?
    ) throws(USPError) -> Batch {
        var batch = try sourceBatch(indices, key)
        if let numbers, let labels = numbers.labels(batch.classes, indices.count) {
            batch.labels = .classes(labels)
        }
        return batch
    }

    /// With the source's labels.
    private func sourceBatch(
        _ indices: [Int], _ key: (@Sendable (Int) -> RandomKey)?
    ) throws(USPError) -> Batch {
        switch source {
        case .images(let images):
            let labels = images.folder.labels.map { _ in indices.map { images.folder.label($0) } }
            let (inputs, features) = try images.batch(indices, key)
            var batch = Batch(inputs, labels: labels)
            batch.features = features
            return batch
        case .memory(let images):
            return Batch(try images.batch(indices), labels: try images.labels(indices))
        case .latents(let set):
            let latents = try set.batch(
                indices, samples: options.samplePosterior && set.hasVariance && key != nil,
                key: options.isStill ? nil : key)
            var batch = Batch(latents, labels: set.labels(indices))
            if let features = set.features { batch.features = [try features.rows(indices)] }
            return batch
        case .features(let set):
            let features = try set.batch(indices, key: key)
            return Batch(
                try features.reshaped([indices.count, set.channels]), labels: set.labels(indices))
        case .scenes(let scenes): return try scenes.batch(indices, options.isStill ? nil : key)
        case .maps(let maps): return try maps.batch(indices)
        }
    }
}
