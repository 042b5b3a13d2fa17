// `usp autoencoder FOLDER -o vae.safetensors`: an autoencoder of one's own images.

import ArgumentParser
import USPBase
import USPFiles
import USPKit
import USPTensor

struct Autoencoder: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Train a small autoencoder on a folder of images.",
        discussion: """
            A convolutional autoencoder with a Gaussian bottleneck, small enough for a CPU: one \
            block a level, no attention. Where no option says otherwise: factor 8, 4 latent \
            channels, 2,000 steps of 16 random crops and their mirror images, absolute error, \
            AdamW, rate 1e-3 falling to 1e-5, gradients clipped at 1. A part of the images is kept to \
            measure on, evenly over the folder.

            OUT has the scale that gives its latents unit variance, measured on the images. \
            Beside it stand OUT-reconstructions.png (held-out images over what came back), \
            OUT-state.safetensors and OUT-log.jsonl. An interrupted run has saved both; the same \
            command goes on to the same bits.
            """)

    @Argument(help: "A folder of images, with or without a subfolder for each class.")
    var data: String

    @OptionGroup(title: "Run") var training: RunArguments

    @Option(help: "Side of the square that images are cut to.")
    var size = 64

    @Option(help: "1 makes images grey; 3 by default.")
    var channels: Int?

    @Option(help: "Image pixels to a latent one, along each side: a power of 2.")
    var factor: Int?

    @Option(help: "Channels of a latent.")
    var latentChannels: Int?

    @Option(help: "Channels at full resolution, a multiple of 8.")
    var baseWidth: Int?

    @Option(help: "Weight of the divergence.")
    var klWeight: Float?

    @Option(help: "How images are compared: absolute, squared.")
    var reconstruction: String?

    @Option(
        help: """
            Weight of the alignment of latents with a teacher's features (VA-VAE: 0.1 to 0.5), balanced \
            with the reconstruction; needs --teacher.
            """)
    var align: Float?

    @Option(help: "Difference of cosines that costs nothing (VA-VAE: 0, in the end 0.25).")
    var distmatMargin: Float?

    @Option(help: "Distance from a feature that costs nothing (VA-VAE: 0, in the end 0.5).")
    var cosMargin: Float?

    @OptionGroup(title: "Teacher") var teacher: TeacherArguments

    @Option(help: "Images to measure on, in place of a part of the folder's.")
    var val: String?

    @Option(help: "Share of the folder's images that is kept to measure on.")
    var heldOut: Double?

    @OptionGroup var images: ReadingArguments

    func validate() throws { try training.requireOutput() }

    func run() throws {
        try Job.begin(threads: training.threads)
        Interrupt.listen()
        try Run.checkOutput(training.output)
        let stage = try stage()
        let numbers = try CommandRun(stage, training).train(evaluate: { _ throws(USPError) in
            try stage.measure(isStopped: { Interrupt.isRaised })
        })
        // Of all ranks: each may have a share of its average.
        let model = try stage.model()
        guard Job.writes else { return }
        try model.save(training.output)
        guard let vae = model as? VAE else { return }
        if let images = stage.validation { try drawReconstructions(vae, images) }
        say(
            "\(training.output): \(grouped(stage.parameters)) parameters, \(grouped(stage.steps)) "
                + "steps, scale \(decimal(Double(vae.scales.first ?? 1), 4))"
                + numbers.map { ", \($0.phrase)" }.joined())
    }

    private func stage() throws -> Stage {
        let own: [(String, String?)] = [
            ("factor", factor.map(String.init)),
            ("latent_channels", latentChannels.map(String.init)),
            ("base_width", baseWidth.map(String.init)), ("kl_weight", klWeight.map { "\($0)" }),
            ("reconstruction", reconstruction), ("align", align.map { "\($0)" }),
            ("distmat_margin", distmatMargin.map { "\($0)" }),
            ("cos_margin", cosMargin.map { "\($0)" }), ("held_out", heldOut.map { "\($0)" }),
        ]
        let said = own.compactMap { name, value in value.map { (name: name, value: $0) } }
        var options = try Recipe.autoencoder.with(training.said + said)
        options.join(Job.ranks)
        let images = try open(data, options)
        return try Stage(
            .autoencoder, on: images, through: nil, options,
            validation: val.map { path throws(USPError) in try open(path, options) })
    }

    private func open(_ path: String, _ options: StageOptions) throws(USPError) -> DataSet {
        try require(
            FolderListing.isFolder(path), .argument, "\(path): expected a folder of images")
        var reading = options.reading
        (reading.size, reading.channels) = (size, channels)
        self.images.apply(to: &reading)
        try teacher.apply(to: &reading)
        let images = try DataSet(path, nil, reading)
        for note in images.leftOut { complain("note: \(path): \(note)") }
        return images
    }

    /// Up to eight images, and below each what came back.
    private func drawReconstructions(_ vae: VAE, _ images: DataSet) throws {
        let count = min(8, images.count)
        let whole = try images.samples(0..<count).inputs
        let again = try vae.decode(vae.encode(whole).mean)
        let path = ImageFiles.withoutEnding(training.output) + "-reconstructions.png"
        try ImageFiles.writeRows(path, [whole, again])
    }
}
