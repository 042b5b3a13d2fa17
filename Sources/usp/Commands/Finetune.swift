// `usp finetune DATA --from mae.safetensors -o classifier.safetensors`: a classifier, or a probe.

import ArgumentParser
import USPBase
import USPKit
import USPTensor

struct Finetune: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Train a classifier of images from pretrained weights, or a linear probe.",
        discussion: """
            USP's recipe, where no option says otherwise. Fine-tuning: the posterior mean of \
            224x224 random resized crops (8 to 100 % of the area) and their mirror images, the \
            patches' tokens averaged, AdamW (0.9, 0.999), weight decay 0.05, layer decay 0.75, drop \
            path 0.1, label smoothing 0.1, 50 epochs, rate 1e-3 for a batch of 256, in proportion \
            for others, warm-up over the first tenth, then half a cosine to 1e-6; the batch is 64. \
            RandAugment and random erasing, which the original adds, are left out.

            --probe: the encoder stays as it is, and a linear classifier of its class token is \
            trained behind a batch norm: LARS, rate 0.1 for a batch of 256, 90 epochs, warm-up over \
            the first ninth, batch 512. With --cache or from latents the features are made once.

            Accuracy is measured on --val at the end of each epoch: the shorter side of its images \
            becomes 256 and the middle 224 are seen, or in that proportion; with --cache they are \
            cut as the cache's are.

            Beside OUT stand OUT-state.safetensors and OUT-log.jsonl. An interrupted run has saved \
            both; the same command goes on to the same bits.
            """)

    @OptionGroup var data: DataArguments
    @OptionGroup(title: "Run") var training: RunArguments
    @OptionGroup(title: "Model") var start: StartArguments

    @Option(help: "Images (or latents) of the same classes, to measure accuracy on.")
    var val: String?

    @Flag(help: "Train a linear classifier on the frozen encoder.")
    var probe = false

    @Option(help: "What is classified: token, average; by default average, token in a probe.")
    var pool: String?

    @OptionGroup(title: "Training") var settings: FinetuningSettings

    func validate() throws {
        try start.requireOne()
        let classifiers = ["layer_decay", "drop_path", "label_smoothing"]
        if probe && settings.said.contains(where: classifiers.contains) {
            throw ValidationError(
                "--layer-decay, --drop-path, --label-smoothing: have no part in a probe")
        }
    }

    func run() throws {
        ThreadPool.shared.threads = training.threads
        Interrupt.listen()
        try Run.checkOutput(training.output)
        let compute = try settings.dtype()
        let classifier = ClassifierStart(start, pool: pool, probe: probe, training.seed, compute)
        let source = try self.data.source(compute)
        var (data, val) = try open(source, side: classifier.side())
        let model = try classifier.model(data)
        try expectSamples(data, model, start.from ?? "the model")
        var options = TrainerOptions()
        let length = try training.schedule(published, data, &options)
        set(&options)
        try settings.apply(to: &options)
        if probe && data.isEncoded {
            data = try data.features(of: model, progress: encodingProgress("features"))
            val = try val?.encoded().features(of: model, progress: encodingProgress("features"))
        }
        let run = try CommandRun(
            "finetune", Trainer(model, options), on: data, length, training,
            record: [("probe", "\(probe)"), ("pool", model.configuration.pool.rawValue)],
            notes: data.notes)
        let shares = try run.train(evaluate: { trainer throws(USPError) in
            guard let val else { return [] }
            return try accuracy(of: trainer.model(), on: val)
        })
        print(
            "\(training.output): \(grouped(length.steps)) steps"
                + shares.map { ", \($0.name) \(decimal(100 * $0.value, 2)) %" }.joined())
    }

    private func open(
        _ source: DataSource, side: Int
    ) throws(USPError) -> (DataSet, DataSet?) {
        var options = DataOptions()
        options.augmentation = probe ? .probe : .classification
        (options.batch, options.seed) = (training.batch ?? published.batch, training.seed)
        let data = try source.open(options) { side * $0 }
        try data.requireLabels(self.data.data)
        guard let path = val else { return (data, nil) }
        (options.augmentation, options.batch) = (data.isEncoded ? .middle : .evaluation, 1)
        let val = try source.open(path, options, cache: self.data.validationCache) { side * $0 }
        try val.requireLabels(path)
        try require(
            val.classes <= data.classes
                && (val.classNames.isEmpty || val.classNames == data.classNames), .argument,
            "\(path): classes \(val.classText); \(self.data.data) has \(data.classText)")
        return (data, try val.encoded(progress: encodingProgress("encode")))
    }

    private var published: Recipe { probe ? .probe : .finetune }

    private func set(_ options: inout TrainerOptions) {
        if probe {
            (options.optimizer, options.headOnly) = (.lars, true)
            return
        }
        (options.layerDecay, options.dropPath, options.labelSmoothing) = (0.75, 0.1, 0.1)
    }
}

extension Recipe {
    /// MAE's and USP's fine-tuning.
    fileprivate static let finetune = Recipe(
        batch: 64, epochs: 50, blr: 1e-3, minLr: 1e-6, warmup: 1 / 10, weightDecay: 0.05)
    fileprivate static let probe = Recipe(batch: 512, epochs: 90, blr: 0.1, warmup: 1 / 9)
}

/// Shares of the samples whose label is first, or among the first five; none when interrupted.
private func accuracy(of model: any Model, on data: DataSet) throws(USPError) -> [Run.Metric] {
    guard let model = model as? ViT else { return [] }
    var accuracy = try TopAccuracy(data.classes > 5 ? [1, 5] : [1])
    for first in stride(from: 0, to: data.count, by: 64) {
        if Interrupt.isRaised { return [] }
        let batch = try data.samples(first..<min(first + 64, data.count))
        let logits =
            try batch.inputs.shape.rank == 2
            ? model.logits(features: batch.inputs) : model.logits(batch.inputs)
        try accuracy.add(logits, labels: batch.classes ?? [])
    }
    return zip(accuracy.ks, accuracy.shares).map { Run.Metric("top\($0)", $1) }
}

/// Where a classifier comes from.
private struct ClassifierStart {
    private let start: StartArguments
    private let pool: String?
    private let probe: Bool
    private let seed: UInt64
    private var loading = LoadOptions()

    init(
        _ start: StartArguments, pool: String?, probe: Bool, _ seed: UInt64, _ compute: DType
    ) {
        (self.start, self.pool, self.probe, self.seed) = (start, pool, probe, seed)
        (loading.heads, loading.compute) = (start.heads, compute)
    }

    /// Side of the latents that the source has seen.
    func side() throws(USPError) -> Int {
        guard let from = start.from else { return 28 }
        let encoder = try transferred(from, classes: 2, grid: nil).configuration.transformer
        return encoder.grid.height * encoder.patch
    }

    /// For the data's classes and size; positions are resampled where it is another.
    func model(_ data: DataSet) throws(USPError) -> ViT {
        let sample = data.sampleShape
        if let from = start.from {
            let encoder = try transferred(from, classes: 2, grid: nil).configuration.transformer
            return try transferred(
                from, classes: data.classes, grid: tokenGrid(sample, patch: encoder.patch))
        }
        var sizes = try ViT.Configuration(named: start.model ?? "")
        try start.apply(to: &sizes.transformer, sample)
        (sizes.classes, sizes.head) = (data.classes, probe ? .probe : .linear)
        sizes.pool = probe ? .token : .avg
        if let pool { try sizes.set("pool", pool) }
        return try ViT(sizes, seed: seed)
    }

    private func transferred(
        _ path: String, classes: Int, grid: Grid?
    ) throws(USPError) -> ViT {
        var options = TransferOptions()
        (options.classes, options.grid, options.seed) = (classes, grid, seed)
        (options.heads, options.head) = (start.heads, probe ? .probe : .fineTune)
        options.pool = probe ? nil : .avg
        if let pool { try options.set("pool", pool) }
        return try ViT.load(
            TransferPlan(path: path, to: "ViT", options).apply(), loading)
    }
}
