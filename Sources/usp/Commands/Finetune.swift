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
            for others, warm-up over the first tenth, then half a cosine to 1e-6; the batch is 64.

            --recipe: the published values, which add RandAugment (rand-m9-mstd0.5-inc1) and random \
            erasing (0.25, noise). usp-b: what USP's code does where nothing is said. mae-b: 100 \
            epochs of batch 1024, rate 5e-4, layer decay 0.65, mixup 0.8 and CutMix 1 in half of the \
            batches each, their labels smoothed. mae-l: 50 epochs, rate 1e-3, layer decay 0.75, drop \
            path 0.2. Latents are mixed, with --mix-pixels the images before they are encoded. What is \
            cached was cut and encoded before: --cache and files of latents leave RandAugment and \
            erasing out (a note says so); mixing and mirror images stay.

            --probe: the encoder stays as it is, and a linear classifier of its class token is \
            trained behind a batch norm: LARS, rate 0.1 for a batch of 256, 90 epochs, warm-up over \
            the first ninth, batch 512. With --cache or from latents the features are made once.

            Accuracy is measured on --val at the end of each epoch: the shorter side of its images \
            becomes 256 and the middle 224 are seen, or in that proportion; with --cache they are \
            cut as the cache's are.

            --eval trains nothing: the accuracy of the classifier --from on --val, or else on DATA.

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

    @Option(help: "Published values in place of those above: usp-b, mae-b, mae-l.")
    var recipe: String?

    @Flag(help: "Measure the accuracy of the classifier of --from, and train nothing.")
    var eval = false

    @Option(help: "What is classified: token, average; by default average, token in a probe.")
    var pool: String?

    @OptionGroup(title: "Training") var settings: FinetuningSettings
    @OptionGroup(title: "Augmentation") var augmentation: AugmentationSettings

    func validate() throws {
        if eval {
            if start.from == nil { throw ValidationError("--eval: give --from CLASSIFIER") }
            if training.file != nil { throw ValidationError("--eval writes nothing: no --output") }
            return
        }
        try start.requireOne()
        try training.requireOutput()
        if probe && recipe != nil { throw ValidationError("--recipe: has no part in a probe") }
        let classifiers = ["layer_decay", "drop_path", "label_smoothing"]
        if probe && settings.said.contains(where: classifiers.contains) {
            throw ValidationError(
                "--layer-decay, --drop-path, --label-smoothing: have no part in a probe")
        }
    }

    func run() throws {
        try Job.begin(threads: training.threads)
        Interrupt.listen()
        if eval { return try measure() }
        try Run.checkOutput(training.output, from: start.from)
        let recipe = probe ? Recipe.probe : try self.recipe.map(Recipe.fineTuning) ?? .finetune
        var options = try StageOptions(recipe, training, start, settings, [("pool", pool)])
        try augmentation.apply(to: &options.data)
        if try self.data.cache != nil || DataSet.holdsLatents(self.data.data) {
            for note in try options.leaveImages(recipe) { complain("note: \(note)") }
        }
        let source = try self.data.source(settings.dtype())
        let side = try start.from.map { path throws(USPError) in
            try StageStart.file(path).side(options)
        }
        let size = { (factor: Int) in ((side ?? nil) ?? 28) * factor }
        let data = try source.open(options.reading, training, size: size)
        let val = try val.map { path throws(USPError) in
            try source.open(
                path, options.reading, cache: self.data.validationCache, size: size)
        }
        let stage = try Stage(
            recipe, on: data, through: source.vae, options, validation: val,
            progress: encodingProgress("encode"))
        let run = try CommandRun(stage, training)
        let shares = try run.train(evaluate: { _ throws(USPError) in
            try stage.measure(isStopped: { Interrupt.isRaised })
        })
        say(
            "\(training.output): \(grouped(stage.steps)) steps"
                + shares.map { ", \($0.phrase)" }.joined())
    }
    /// The accuracy of a classifier as it is.
    private func measure() throws {
        var loading = try start.loading()
        loading.compute = try settings.dtype()
        let path = start.from ?? ""
        let model = try ViT.load(path, loading).told()
        let source = try self.data.source(loading.compute)
        var reading = Recipe.finetune.options.reading.measuring(.evaluation)
        reading.ranks = Job.ranks
        let side = model.inputShape(batch: 1)[2]
        let data = try source.open(
            val ?? self.data.data, reading, cache: val == nil ? self.data.cache : nil,
            size: { $0 * side })
        if let note = model.otherLatents(than: data) { complain("note: \(path): \(note)") }
        let shares = try model.accuracy(
            on: data, over: Job.ranks ?? .alone, isStopped: { Interrupt.isRaised })
        try Interrupt.check()
        say(
            "\(path): \(grouped(data.count)) images"
                + shares.map { ", top\($0.k) \(decimal(100 * $0.share, 2)) %" }.joined())
    }
}
