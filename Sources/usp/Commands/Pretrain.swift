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

    func validate() throws { try training.requireOutput() }

    func run() throws {
        try Job.begin(threads: training.threads)
        Interrupt.listen()
        try Run.checkOutput(training.output, from: start.from)
        let options = try StageOptions(
            .pretrain, training, start, settings,
            [
                ("decoder_width", decoderWidth.map(String.init)),
                ("decoder_depth", decoderDepth.map(String.init)),
                ("decoder_heads", decoderHeads.map(String.init)),
            ])
        let source = try data.source(settings.dtype())
        let images = try source.open(options.reading, training) { _ in 224 }
        let stage = try Stage(.pretrain, on: images, through: source.vae, options)
        try CommandRun(stage, training).train()
        say(
            "\(training.output): \(grouped(stage.parameters)) parameters, \(stage.steps) steps")
    }
}
