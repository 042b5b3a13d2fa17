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

    @Option(help: "Share of the tokens that are masked.")
    var maskRatio = 0.75

    @Flag(inversion: .prefixedNo, help: "Normalise each patch of the target.")
    var normPixLoss = true

    @Flag(help: "Noise the input, not the target: sqrt(t) x + sqrt(1 - t) e, t in 0.5 ... 1.")
    var addNoise = false

    func run() throws {
        ThreadPool.shared.threads = training.threads
        Interrupt.listen()
        let files = try RunFiles(training.output)
        let data = try open()
        let model = try model(data.sampleShape)
        try expectSamples(data, model, start.from ?? "the model")
        var options = TrainerOptions()
        let length = try training.schedule(
            Recipe(batch: 64, epochs: 800, blr: 1.5e-4, warmup: 1 / 20, weightDecay: 0.05), data,
            &options)
        (options.beta1, options.beta2) = (0.9, 0.95)
        (options.maskRatio, options.normalizesPatches) = (maskRatio, normPixLoss)
        options.addsNoise = addNoise
        let session = TrainingSession(
            command: "pretrain", trainer: try USPKit.Trainer(model, options), data: data,
            length: length, files: files, run: training,
            recipe: runRecord(
                of: data, model, length, options,
                [
                    ("mask-ratio", "\(maskRatio)"), ("norm-pix-loss", "\(normPixLoss)"),
                    ("add-noise", "\(addNoise)"),
                ]))
        try session.train()
        print(
            "\(training.output): \(grouped(model.weights.count)) parameters, \(length.steps) steps")
    }

    private func open() throws(USPError) -> TrainingData {
        var options = TrainingData.Options()
        (options.augmentation, options.samples) = ("pretraining", data.cache != nil)
        options.seed = training.seed
        return try data.source(training.compute()).open(options) { _ in 224 }
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
