// A stage of the pipeline, ready to run: a recipe, data, and what it starts from, become a trainer.

import USPBase
import USPData
import USPFiles
import USPModels
import USPTensor
import USPTraining

/// What a stage starts from.
public enum StageStart: Sendable {
    /// Fresh weights of a published name's sizes.
    case fresh
    /// Weights of any family's file that can become the stage's model.
    case file(String)
    case model(any Model)
}

extension StageStart {
    /// Whether it is a masked autoregressive model.
    func isAutoregressive(table: String?) -> Bool {
        switch self {
        case .fresh: return false
        case .model(let model): return model is MAR
        case .file(let path):
            let file = try? FileModel(Archive.open(path), table: table)
            return file?.kind == .maskedAutoregressive
        }
    }

    /// The side of the latents that its model takes; nil for fresh weights.
    public func side(_ stage: StageOptions = StageOptions()) throws(USPError) -> Int? {
        switch self {
        case .fresh: return nil
        case .model(let model): return model.inputShape(batch: 1)[2]
        case .file(let path):
            var options = LoadOptions()
            options.needsHeads = false
            let file = try FileModel(
                Archive.open(path), table: stage.table, ignoring: stage.ignore)
            let sizes = try file.sizes(options)
            guard let encoder = (sizes as? any TransformerConfiguration)?.transformer else {
                return nil
            }
            return encoder.grid.height * encoder.patch
        }
    }
}

/// A training that a recipe describes, on its data. One thread at a time.
public final class Stage: Sendable {
    public let recipe: Recipe
    public let options: StageOptions
    public let trainer: Trainer
    public let data: DataSet
    /// What is measured on.
    public let validation: DataSet?
    /// Steps in all.
    public let steps: Int
    /// What was moved, left out or made smaller, one line each.
    public let notes: [String]
    /// Those of them that tell of what is likely a mistake.
    public let warnings: [String]
    private let encoder: LatentEncoder?
    private let watch: StageWatch?
    /// Whether pictures go to event files.
    private let drawsPreviews = Lock(false)
    private let drawn = DrawnPictures()

    /// - data: a folder of images, which is read as the recipe says, or latents
    /// - vae: what images go through; nil: what `data` has
    /// - options: the recipe's, with what was given in their place
    /// - validation: of the same classes, to measure on
    /// - progress: told while images are encoded for good; its error ends the call
    /// - Throws: for data that the stage cannot learn from, naming what is missing; for a start that
    ///   does not become its model
    public init(
        _ recipe: Recipe, on data: DataSet, through vae: VAE?, _ options: StageOptions,
        from start: StageStart = .fresh, validation: DataSet? = nil,
        progress: DataSet.EncodingProgress = { _, _ in }
    ) throws(USPError) {
        var options = options
        var notes: [String] = []
        let start = try Self.start(start, options)
        let count =
            validation == nil && recipe.stage == "autoencoder"
            ? data.count - Self.held(options, data.count) : data.count
        if options.batch > count, options.batch == recipe.options.batch, count > 0 {
            notes.append("batch \(count), all samples there are; the recipe's is \(options.batch)")
            options.batch = count
        }
        try require(
            options.batch <= count, .argument,
            "batch \(options.batch): there are \(count) samples")
        if data.isEncoded { notes += try options.leaveImages(recipe) }
        let prepared = try StageData(recipe, data, vae, options, validation, progress)
        notes += prepared.notes
        let model = try StageModel(recipe, options, start, prepared.data)
        let (named, note) = try prepared.numbered(for: model.model)
        if let note { notes.append(note) }
        (self.data, self.validation) = try named.features(of: model.model, progress)
        steps = try options.length(self.data.stepsPerEpoch)
        var trained = try options.scheduled(steps, stepsPerEpoch: self.data.stepsPerEpoch)
        try model.setProcess(&trained, options)
        if model.model is VAE, trained.align != 0 {
            guard let shape = self.data.featureShape else {
                throw USPError(
                    .argument, "align: the data has no features of a teacher; give a teacher")
            }
            trained.teacherWidth = shape[1]
        }
        // What is no class is 255 in the data.
        trained.ignored = TrainerOptions().ignored
        trainer = try Trainer(model.model, trained)
        try trainer.describe(self.data)
        (self.recipe, self.options) = (recipe, options)
        encoder = vae?.latentEncoder ?? prepared.data.latentEncoder
        let draws = model.model is DiT || model.model is MAR
        watch = draws ? try StageWatch(options, self.data, through: vae) : nil
        if let network = model.model as? Segmenter {
            notes += try Self.checkLabels(prepared.data, network.classes)
            if let seen = prepared.data.normalization {
                notes.append("pixels become \(seen.words) (normalization \(seen.rawValue))")
            }
        }
        self.notes = notes + model.notes
        warnings = model.warnings
    }

    /// What is said of the masks' labels.
    ///
    /// - Throws: `.argument` for a label that is no class
    private static func checkLabels(
        _ data: DataSet, _ classes: Int
    ) throws(USPError) -> [String] {
        let counts = try data.labelCounts()
        guard counts.count == 256 else { return [] }
        for (label, count) in counts.enumerated() where count > 0 && label != 255 {
            try require(
                label < classes, .argument,
                "\(data.place): \(count) pixels have the label \(label), expected 0 to "
                    + "\(classes - 1), or 255 for none")
        }
        let absent = (0..<classes).filter { counts[$0] == 0 }
        guard !absent.isEmpty else { return [] }
        let some = absent.prefix(8).map(String.init).joined(separator: ", ")
        return [
            "\(absent.count) of \(classes) classes are in no mask: \(some)"
                + (absent.count > 8 ? ", ..." : "")
        ]
    }

    private static func start(
        _ start: StageStart, _ options: StageOptions
    ) throws(USPError) -> StageStart {
        guard let path = options.from else { return start }
        guard case .fresh = start else {
            throw USPError(.argument, "from: a model to start from is given already")
        }
        return .file(path)
    }

    /// How many images are kept to measure on.
    static func held(_ options: StageOptions, _ count: Int) -> Int {
        min(Int((options.heldOut * Double(count)).rounded(.up)), 1_000)
    }

    /// What the run's record says beside data, model and trainer.
    public var record: [(name: String, value: String)] {
        let model = trainer.network
        switch recipe.stage {
        case "finetune", "probe":
            let pool = (model as? ViT)?.configuration.pool.rawValue ?? ""
            return [("probe", "\(recipe.stage == "probe")"), ("pool", pool)]
        case "train":
            return [
                ("noise-schedule", options.noiseSchedule), ("path", options.path),
                ("prediction", options.prediction), ("loss-weight", options.lossWeight),
                ("times", options.times), ("cosine-loss", options.cosineLoss ? "yes" : nil),
            ].map { ($0, $1 ?? "usual") }
        default: return []
        }
    }

    /// The run to a file; steps, averaging and the name are the stage's.
    public func run(
        to output: String, _ options: RunOptions, heading: [(name: String, value: String)] = []
    ) throws(USPError) -> Run {
        var options = options
        (options.steps, options.epochs) = (steps, nil)
        (options.averaged, options.command) = (isAveraged, recipe.stage)
        options.evaluateEvery = watch?.interval
        let writes = trainer.options.ranks?.writes ?? true
        if writes { watch?.write(beside: output) }
        let run = try Run(
            trainer, on: data, to: output, options, record: record, heading: heading)
        drawsPreviews.withLock { $0 = writes && options.logDir != nil }
        run.previews = { [drawn, watch] in drawn.take() + (watch?.drawn.take() ?? []) }
        return run
    }

    /// Eight images that were kept to measure on, and below each what comes back.
    private func drawReconstructions(_ vae: VAE, _ data: DataSet) throws(USPError) {
        guard drawsPreviews.withLock({ $0 }), data.count > 0 else { return }
        let count = min(8, data.count)
        let images = try data.samples(0..<count).inputs
        let back = try vae.decode(vae.encode(images).mean)
        let picture = try ImageGrid(columns: count).picture(stacked([images, back]))
        drawn.add("reconstructions", picture)
    }

    /// Values of the model that is trained.
    public var parameters: Int { trainer.network.weights.count }

    /// Whether the moving average is what is used.
    public var isAveraged: Bool { trainer.options.averageDecay > 0 }

    /// The trained model, with its averaged weights where there are some; an autoencoder with the
    /// scale of its latents.
    public func model() throws(USPError) -> any Model {
        let model = try trainer.model(averaged: isAveraged)
        guard let vae = model as? VAE else { return model }
        return try vae.scaled(to: data)
    }

    /// What the model does on the validation data: `top1`, `top5` of a classifier, `psnr` of an
    /// autoencoder's reconstructions, `val_loss` of a generator; nothing where there is no such data, or
    /// if it is stopped. A generator also draws the samples that its options ask for at this step:
    /// pictures, `frechet`.
    ///
    /// - isStopped: asked between batches
    public func measure(
        isStopped: () -> Bool = { false }
    ) throws(USPError) -> [Run.Metric] {
        if let watch {
            return try watch.measure(
                trainer.model(averaged: isAveraged), trainer.options, at: trainer.steps, of: steps,
                epochSteps: data.stepsPerEpoch, data: data, validation: validation,
                isStopped: isStopped)
        }
        guard let validation else { return [] }
        switch try trainer.model(averaged: isAveraged) {
        case let model as ViT:
            let shares = try Evaluate.accuracy(
                of: model, on: validation, over: trainer.options.ranks ?? .alone,
                isStopped: isStopped)
            return shares.map { Run.Metric("top\($0.k)", $0.share) }
        case let model as Segmenter:
            let scores = try Evaluate.segmentation(
                of: model, on: validation, encoder: encoder, isStopped: isStopped)
            return [
                ("miou", scores.meanIoU), ("macc", scores.meanAccuracy), ("aacc", scores.accuracy),
            ].compactMap { name, value in value.map { Run.Metric(name, $0) } }
        case let model as VAE:
            try drawReconstructions(model, validation)
            guard trainer.steps >= steps else { return [] }
            return [Run.Metric("psnr", try model.peakSignalToNoise(on: validation))]
        default: return []
        }
    }
}
