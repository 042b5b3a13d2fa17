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
    @OptionGroup var computing: ComputeArguments

    @Flag(help: "Read images as PIL gives them to the originals, not turned upright by Exif.")
    var asStored = false

    @Flag(
        help: """
            Leave out images that cannot be read; which they are is said. Else such an image is an \
            error.
            """)
    var skipUnreadable = false

    /// How a model is loaded.
    func loading(heads: Int?) throws(USPError) -> LoadOptions {
        var result = LoadOptions()
        result.heads = heads
        try fitting.apply(to: &result)
        try computing.apply(to: &result)
        return result
    }

    /// What is read of an image file; nil, and a note, if it cannot be and may be left out.
    func reading<Value>(_ read: () throws(USPError) -> Value) throws(USPError) -> Value? {
        try Interrupt.check()
        do throws(USPError) {
            return try read()
        } catch {
            guard skipUnreadable, error.isOfContent else { throw error }
            complain("note: left out \(error.message)")
            return nil
        }
    }

    /// - path: what messages call the model
    func images(for model: any Model, _ path: String) throws -> SeenImages {
        try SeenImages(model, path, vae: autoencoder.load(ifAny: vae), self)
    }
}

/// Images as a model sees them: pixels, or the latents of an autoencoder.
struct SeenImages {
    let vae: VAE?
    private let side: Int
    private let channels: Int
    private let arguments: SeenArguments

    /// - path: what messages call the model
    /// - Throws: for a model of latents without an autoencoder, and for one of other latents
    init(
        _ model: any Model, _ path: String, vae: VAE?, _ arguments: SeenArguments
    ) throws(USPError) {
        let shape = model.inputShape(batch: 1)
        self.vae = vae
        if let vae {
            try require(
                vae.configuration.latentChannels == shape[1], .shape,
                "\(path): takes latents of \(shape[1]) channels, the autoencoder gives "
                    + "\(vae.configuration.latentChannels)")
            if let note = model.otherLatents(than: vae) { complain("note: \(path): \(note)") }
        } else {
            try require(
                [1, 3].contains(shape[1]), .argument,
                "\(path): takes latents of \(shape[1]) channels: give --vae")
        }
        side = shape[2] * (vae?.factor ?? 1)
        channels = vae?.configuration.imageChannels ?? shape[1]
        self.arguments = arguments
    }

    /// `[1, C, H, W]` as the model takes it; nil for an image that is left out.
    func input(_ path: String, crop: Augmentation = .middle) throws(USPError) -> Tensor? {
        let image = try arguments.reading { () throws(USPError) in
            try Images.square(
                path, side: side, channels: channels, crop: crop, asStored: arguments.asStored)
        }
        guard let image, let vae else { return image }
        return try vae.encode(image).mean
    }

    /// `[B, C, H, W]`, of those that are not left out.
    func inputs(_ paths: [String]) throws(USPError) -> Tensor {
        var parts: [Tensor] = []
        for path in paths {
            if let part = try input(path) { parts.append(part) }
        }
        try require(!parts.isEmpty, .format, "none of the \(paths.count) images can be read")
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
