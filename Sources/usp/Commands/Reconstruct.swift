// `usp reconstruct MAE IMAGES --vae VAE -o grid.png`: what a masked autoencoder completes.

import ArgumentParser
import USPBase
import USPFiles
import USPKit
import USPTensor

struct Reconstruct: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what a masked autoencoder completes of images.",
        discussion: """
            A picture of three rows: what the model sees, what it completes, the whole. Both of the \
            latter are decoded from latents. Of a model that learned normalised patches \
            (norm_pix_loss, the recipe's) the normalisation is undone with the statistics of the true \
            patch, as MAE's own pictures do.
            """)

    @Argument(help: "The masked autoencoder.")
    var model: String

    @OptionGroup var seen: SeenArguments

    @Option(help: "Share of tokens that are masked.")
    var maskRatio = 0.75

    @Option(help: "Images at most, spread over those given.")
    var num = 8

    @Option(help: "Seed of the masks.")
    var seed: UInt64 = 0

    @Flag(inversion: .prefixedNo, help: "The model learned normalised patches.")
    var normPixLoss = true

    @Option(help: "Attention heads, where the file does not tell.")
    var heads: Int?

    @Option(help: "Those of its decoder, likewise.")
    var decoderHeads: Int?

    @Option(name: [.short, .long], help: "The PNG to write.")
    var output: String

    func validate() throws {
        if num < 1 { throw ValidationError("--num: \(num), expected 1 or more") }
        if !(0..<1).contains(maskRatio) {
            throw ValidationError("--mask-ratio: \(maskRatio), expected 0 to below 1")
        }
    }

    func run() throws {
        try ImageFiles.expectWritable(output)
        var loading = try seen.loading(heads: heads)
        loading.decoderHeads = decoderHeads
        let masked = try MaskedAutoencoder.load(model, loading).told()
        let images = try seen.images(for: masked, model)
        Interrupt.listen()
        let all = try Images.paths(seen.images)
        let count = min(num, all.count)
        let whole = try images.inputs((0..<count).map { all[$0 * all.count / count] })
        var options = MaskedAutoencoder.Options()
        (options.maskRatio, options.seed, options.normalizesPatches) = (
            maskRatio, seed, normPixLoss
        )
        let (completed, mask) = try masked.completion(of: whole, options)
        let decoded = try images.pixels(whole)
        try ImageFiles.writeRows(
            output, [masked.hiding(mask, in: decoded), images.pixels(completed), decoded])
        print(
            "\(output): \(whole.shape[0]) images, \(decimal(100 * maskRatio, 0)) % of the tokens masked"
        )
    }
}
