// Images as a model sees them, for commands that show it some.

import ArgumentParser
import USPBase
import USPKit
import USPTensor

/// Images that a model is shown, and what they go through.
struct SeenArguments: ParsableArguments {
    @Argument(help: "Images, or folders of them.")
    var images: [String]

    @Option(help: "The autoencoder whose latents the model was trained on; none for pixels.")
    var vae: String?

    @OptionGroup var autoencoder: AutoencoderArguments
    @OptionGroup var fitting: FittingSettings

    @Flag(help: "Read images as PIL gives them to the originals, not turned upright by Exif.")
    var asStored = false

    /// - path: what messages call the model
    func images(for model: any Model, _ path: String) throws -> SeenImages {
        try SeenImages(model, path, vae: autoencoder.load(ifAny: vae), asStored: asStored)
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
