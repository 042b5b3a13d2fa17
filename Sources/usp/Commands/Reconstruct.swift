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

    @Argument(help: "Images, or folders of them.")
    var images: [String]

    @Option(help: "The autoencoder whose latents the model was trained on; none for pixels.")
    var vae: String?

    @OptionGroup var autoencoder: AutoencoderArguments
    @OptionGroup var fitting: FittingSettings

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

    @Flag(help: "Read images as PIL gives them to the originals, not turned upright by Exif.")
    var asStored = false

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
        var loading = LoadOptions()
        (loading.heads, loading.decoderHeads) = (heads, decoderHeads)
        try fitting.apply(to: &loading)
        let masked = try MaskedAutoencoder.load(model, loading).told()
        let seen = try SeenImages(
            masked, model, vae: autoencoder.load(ifAny: vae), asStored: asStored)
        Interrupt.listen()
        let all = try Images.paths(images)
        let count = min(num, all.count)
        let whole = try seen.inputs((0..<count).map { all[$0 * all.count / count] })
        var options = MaskedAutoencoder.Options()
        (options.maskRatio, options.seed, options.normalizesPatches) = (
            maskRatio, seed, normPixLoss
        )
        let (completed, mask) = try masked.completion(of: whole, options)
        let decoded = try seen.pixels(whole)
        try ImageFiles.writeRows(
            output, [masked.hiding(mask, in: decoded), seen.pixels(completed), decoded])
        print("\(output): \(count) images, \(decimal(100 * maskRatio, 0)) % of the tokens masked")
    }
}

/// Images as a model sees them: pixels, or the latents of an autoencoder.
struct SeenImages {
    let vae: VAE?
    private let side: Int
    private let channels: Int
    private let asStored: Bool

    /// - path: what messages call the model
    /// - Throws: for a model of latents without an autoencoder, and for one of other latents
    init(
        _ model: any Model, _ path: String, vae: VAE?, asStored: Bool
    ) throws(USPError) {
        let shape = model.inputShape(batch: 1)
        self.vae = vae
        if let vae {
            try require(
                vae.configuration.latentChannels == shape[1], .shape,
                "\(path): takes latents of \(shape[1]) channels, the autoencoder gives "
                    + "\(vae.configuration.latentChannels)")
            if let known = model.notes.autoencoder, known != vae.fingerprint {
                complain(otherAutoencoder(known, vae))
            }
        } else {
            try require(
                [1, 3].contains(shape[1]), .argument,
                "\(path): takes latents of \(shape[1]) channels: give --vae")
        }
        side = shape[2] * (vae?.factor ?? 1)
        channels = vae?.configuration.imageChannels ?? shape[1]
        self.asStored = asStored
    }

    /// `[B, C, H, W]` as the model takes them.
    func inputs(
        _ paths: [String], crop: Augmentation = .middle
    ) throws(USPError) -> Tensor {
        var parts: [Tensor] = []
        for path in paths {
            try Interrupt.check()
            let image = try Images.square(
                path, side: side, channels: channels, crop: crop, asStored: asStored)
            parts.append(
                try vae.map { model throws(USPError) in try model.encode(image).mean } ?? image)
        }
        let result = try Tensor(Shape([parts.count] + parts[0].shape.extents.dropFirst()))
        for (index, part) in parts.enumerated() {
            try result.detachedRows(index..<index + 1).copy(from: part)
        }
        return result
    }

    /// Images of what the model takes or gives.
    func pixels(_ latents: Tensor) throws(USPError) -> Tensor {
        try vae?.decode(latents) ?? latents
    }
}

/// What is said when latents go through another autoencoder than a model was trained on.
func otherAutoencoder(_ known: String, _ vae: VAE) -> String {
    "note: the model was trained on latents of the autoencoder \(known), this one is "
        + "\(vae.fingerprint): what it decodes may be noise"
}
