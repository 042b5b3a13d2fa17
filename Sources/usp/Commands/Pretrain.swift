// `usp pretrain DATA --vae VAE -o mae.safetensors`: masked latent modelling.

import ArgumentParser
import USPBase
import USPKit
import USPTensor

struct Pretrain: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Pretrain a masked autoencoder on the latents of images.",
        discussion: """
            USP's first stage. Its recipe, where no option says otherwise: MAE-B/2 on the posterior \
            mean of 224x224 random resized crops (20 to 100 % of the area) and their mirror \
            images, 75 % of the tokens masked, patches normalised, AdamW (0.9, 0.95), weight decay \
            0.05, 800 epochs, rate 1.5e-4 for a batch of 256, in proportion for others, linear \
            warm-up over the first twentieth, then half a cosine to 0. The batch is 64, what one \
            of the original's 64 processes has. From a cache latents are drawn from the posterior, \
            as in the original.

            Beside OUT stand OUT-state.safetensors and OUT-log.jsonl (loss, rate, images a second). \
            An interrupted run has saved both; the same command goes on to the same bits.

            transfer, finetune, inspect and the library's loaders take OUT.
            """)

    @OptionGroup var data: DataArguments
    @OptionGroup(title: "Run") var training: RunArguments
    @OptionGroup(title: "Model") var start: StartArguments

    @Option(help: "A fresh decoder's width.")
    var decoderWidth: Int?

    @Option(help: "A fresh decoder's blocks.")
    var decoderDepth: Int?

    @Option(help: "A decoder's heads.")
    var decoderHeads: Int?

    @OptionGroup(title: "Training") var settings: PretrainingSettings

    func run() throws {
        ThreadPool.shared.threads = training.threads
        Interrupt.listen()
        try Run.checkOutput(training.output)
        let data = try open()
        let model = try model(data.sampleShape)
        try expectSamples(data, model, start.from ?? "the model")
        var options = TrainerOptions()
        let length = try training.schedule(.pretraining, data, &options)
        (options.beta1, options.beta2) = (0.9, 0.95)
        try settings.apply(to: &options)
        try CommandRun("pretrain", Trainer(model, options), on: data, length, training).train()
        print(
            "\(training.output): \(grouped(model.weights.count)) parameters, \(length.steps) steps")
    }

    private func open() throws(USPError) -> DataSet {
        var options = DataOptions()
        (options.augmentation, options.samplePosterior) = (.pretraining, data.cache != nil)
        (options.batch, options.seed) = (training.batch ?? Recipe.pretraining.batch, training.seed)
        return try data.source(settings.dtype()).open(options) { _ in 224 }
    }

    private func model(_ sample: Shape) throws(USPError) -> MaskedAutoencoder {
        if let from = start.from {
            var loading = LoadOptions()
            (loading.heads, loading.decoderHeads) = (start.heads, decoderHeads)
            return try MaskedAutoencoder.load(from, loading)
        }
        var sizes = try MaskedAutoencoder.Configuration(named: start.model ?? "MAE-B/2")
        try start.apply(to: &sizes.transformer, sample)
        sizes.decoderWidth = decoderWidth ?? sizes.decoderWidth
        sizes.decoderDepth = decoderDepth ?? sizes.decoderDepth
        sizes.decoderHeads = decoderHeads ?? sizes.decoderHeads
        return try MaskedAutoencoder(sizes, seed: training.seed)
    }
}

extension Recipe {
    /// USP's and MAE's pretraining.
    fileprivate static let pretraining = Recipe(
        batch: 64, epochs: 800, blr: 1.5e-4, warmup: 1 / 20, weightDecay: 0.05)
}
