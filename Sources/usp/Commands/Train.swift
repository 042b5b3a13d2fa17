// `usp train DATA --from init.safetensors -o sit.safetensors`: a DiT or SiT.

import ArgumentParser
import USPBase
import USPKit
import USPTensor

struct Train: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Train a DiT or SiT from transferred weights, or from scratch.",
        discussion: """
            The recipe of DiT, SiT and USP, where no option says otherwise: latents drawn from the \
            posterior of 256x256 images, cut in the middle as ADM does, and of their mirror images; \
            AdamW (0.9, 0.999) at a constant rate of 1e-4, no weight decay, batch 256, 1400 epochs, \
            a tenth of the labels dropped, a moving average of decay 0.9999. A SiT learns the \
            velocity on the straight path at uniform times, a DiT the noise and its variance over \
            1000 linear steps. Images are cut to what a model of --from takes. With --cache the \
            latents are the same, but each image is encoded only once.

            OUT has the averaged weights, which are the ones to sample from. Beside it stand \
            OUT-state.safetensors, with the weights as trained, and OUT-log.jsonl. An interrupted \
            run has saved both; the same command goes on to the same bits, with --steps or --epochs \
            for longer.
            """)

    @OptionGroup var data: DataArguments
    @OptionGroup(title: "Run") var training: RunArguments
    @OptionGroup(title: "Model") var start: StartArguments

    @Option(help: "DiT or SiT, where the file does not tell.")
    var family: String?

    @OptionGroup(title: "Training") var settings: DiffusionSettings

    @Option(help: "DiT's noise schedule: linear (default), cosine.")
    var noiseSchedule: String?

    @Option(help: "SiT's path: Linear (default), GVP, VP.")
    var path: String?

    @Option(
        help: "What is learned: DiT epsilon (default), x0; SiT velocity (default), score, noise.")
    var prediction: String?

    @Option(help: "Weight of SiT's loss over time: none (default), velocity, likelihood.")
    var lossWeight: String?

    func validate() throws { try start.requireOne() }

    func run() throws {
        ThreadPool.shared.threads = training.threads
        Interrupt.listen()
        try Run.checkOutput(training.output)
        let loaded = try start.from.map { path throws(USPError) in try load(path) }
        let data = try open(loaded)
        let model = try loaded ?? fresh(data)
        var options = TrainerOptions()
        let length = try training.schedule(.diffusion, data, &options)
        (options.averageDecay, options.labelDropout) = (0.9999, 0.1)
        try settings.apply(to: &options)
        try check(data, model, options)
        try setProcess(&options, model)
        try CommandRun(
            "train", Trainer(model, options), on: data, length, training, record: process,
            notes: data.notes, averaged: options.averageDecay > 0
        ).train()
        print(
            "\(training.output): \(model.family), \(grouped(model.weights.count)) parameters, "
                + "\(grouped(length.steps)) steps")
    }

    private func load(_ path: String) throws(USPError) -> DiT {
        var loading = LoadOptions()
        (loading.family, loading.heads) = (family, start.heads)
        return try DiT.load(path, loading)
    }

    private func open(_ model: DiT?) throws(USPError) -> DataSet {
        var options = DataOptions()
        (options.augmentation, options.samplePosterior) = (.generation, true)
        (options.batch, options.seed) = (training.batch ?? Recipe.diffusion.batch, training.seed)
        let data = try self.data.source(settings.dtype()).open(options) { factor in
            model.map { $0.inputShape(batch: 1)[2] * factor } ?? 256
        }
        try data.requireLabels(self.data.data)
        return data
    }

    private func fresh(_ data: DataSet) throws(USPError) -> DiT {
        var sizes = try DiT.Configuration(named: start.model ?? "")
        sizes.patch = start.patch ?? sizes.patch
        sizes.width = start.width ?? sizes.width
        sizes.depth = start.depth ?? sizes.depth
        sizes.heads = start.heads ?? sizes.heads
        (sizes.channels, sizes.classes) = (data.sampleShape[0], data.classes)
        sizes.grid = try tokenGrid(data.sampleShape, patch: sizes.patch)
        return try DiT(sizes, seed: training.seed)
    }

    private func check(
        _ data: DataSet, _ model: DiT, _ options: TrainerOptions
    ) throws(USPError) {
        let place = start.from ?? "the model"
        try expectSamples(data, model, place)
        try require(
            data.classes <= model.classes, .shape,
            "\(place): has \(model.classes) classes, \(self.data.data) has \(data.classes); "
                + "transfer with --classes \(data.classes)")
        try require(
            model.nullClass != nil || options.labelDropout == 0, .argument,
            "\(place): has no null class; give --label-dropout 0")
    }

    private func setProcess(
        _ options: inout TrainerOptions, _ model: DiT
    ) throws(USPError) {
        let isFlow = model.configuration.isFlow
        for (name, value, hasPart) in [
            ("noise-schedule", noiseSchedule, !isFlow), ("path", path, isFlow),
            ("loss-weight", lossWeight, isFlow),
        ] where value != nil && !hasPart {
            throw USPError(.argument, "--\(name) has no part in a \(model.family)")
        }
        if isFlow {
            var process = Transport.Options()
            if let path { try process.set("path", path) }
            if let prediction { try process.set("prediction", prediction) }
            if let lossWeight { try process.set("loss_weight", lossWeight) }
            options.transport = try Transport(process)
        } else {
            var process = Diffusion.Options()
            if let noiseSchedule { try process.set("schedule", noiseSchedule) }
            if let prediction { try process.set("prediction", prediction) }
            process.variance = .of(learnsSigma: model.configuration.learnsSigma)
            options.diffusion = try Diffusion(process)
        }
    }

    /// What the record says of the process.
    private var process: [(name: String, value: String)] {
        let usual = "usual"
        return [
            ("noise-schedule", noiseSchedule ?? usual), ("path", path ?? usual),
            ("prediction", prediction ?? usual), ("loss-weight", lossWeight ?? usual),
        ]
    }
}

extension Recipe {
    /// DiT's, SiT's and USP's.
    fileprivate static let diffusion = Recipe(
        batch: 256, epochs: 1400, lr: 1e-4, isConstant: true)
}
