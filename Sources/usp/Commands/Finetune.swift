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
        try Job.begin(threads: training.threads)
        Interrupt.listen()
        try Run.checkOutput(training.output, from: start.from)
        let recipe = probe ? Recipe.probe : .finetune
        let options = try StageOptions(recipe, training, start, settings, [("pool", pool)])
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
}
