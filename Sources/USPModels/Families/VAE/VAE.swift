// The autoencoder of latent diffusion: images to the moments of a Gaussian over latents, and back.

import USPBase
import USPTensor

/// A convolutional autoencoder with a diagonal Gaussian posterior (Rombach et al. 2022, and the
/// descendants that its presets name), and the normalisation of its latents.
public final class VAE: Model {
    public static let families = [Family.vae]
    public let configuration: Configuration
    public let weights: ModelWeights
    public let arithmetic: Arithmetic

    public init(
        _ configuration: Configuration, _ weights: ModelWeights, _ arithmetic: Arithmetic
    ) throws(USPError) {
        for spec in try configuration.specs() {
            try expect(weights.parameters.tensor(spec.name), spec.shape, spec.name)
        }
        (self.configuration, self.weights, self.arithmetic) = (configuration, weights, arithmetic)
    }

    /// The posterior of each latent element: mean and log variance (limited to −30 ... 20), both
    /// `[B, h, w, z]`, before normalisation. Without a variance (`doublesLatent` off) the second is
    /// nil.
    package struct RawPosterior {
        package let mean: Tensor
        package let logVariance: Tensor?
    }

    /// Mean and log variance as the encoder gives them, `[B, 2z, H/f, W/f]` (or z): what latent
    /// caches store, neither limited nor normalised.
    /// - images: `[B, C, H, W]` in −1 ... 1; H and W are multiples of the factor
    package func moments(_ images: Tensor, in context: Context) throws(USPError) -> Tensor {
        try context.toChannelsFirst(encoder(context.toChannelsLast(images), context))
    }

    /// The posterior of `[B, C, H, W]` images.
    package func posterior(_ images: Tensor, in context: Context) throws(USPError) -> RawPosterior {
        try posterior(channelsLast: encoder(context.toChannelsLast(images), context), context)
    }

    /// The posterior from stored moments `[B, 2z, h, w]`.
    package func posterior(moments: Tensor, in context: Context) throws(USPError) -> RawPosterior {
        try require(
            moments.shape.rank == 4 && moments.shape[1] == configuration.momentChannels, .shape,
            "autoencoder: moments \(moments.shape), \(configuration.momentChannels) channels "
                + "expected")
        return try posterior(channelsLast: context.toChannelsLast(moments), context)
    }

    /// `[B, z, h, w]` latents of a posterior: its mean, or mean + deviation·noise.
    /// - noise: `[B, z, h, w]`, standard normal
    /// - normalizes: whether the latents leave as (z − shift)·scale
    package func latents(
        _ posterior: RawPosterior, noise: Tensor? = nil, normalizes: Bool = true,
        in context: Context
    ) throws(USPError) -> Tensor {
        let z = try sample(posterior, noise: noise, in: context)
        return try context.toChannelsFirst(normalizes ? normalized(z, context) : z)
    }

    /// Images to latents in one step; see `posterior` and `latents`.
    package func encode(
        _ images: Tensor, noise: Tensor? = nil, normalizes: Bool = true, in context: Context
    ) throws(USPError) -> Tensor {
        try latents(
            posterior(images, in: context), noise: noise, normalizes: normalizes, in: context)
    }

    /// Latents `[B, z, h, w]` to images `[B, C, f·h, f·w]`, about −1 ... 1.
    /// - normalized: whether the latents are (z − shift)·scale, as `encode` gives them
    package func decode(
        _ latents: Tensor, normalized: Bool = true, in context: Context
    ) throws(USPError) -> Tensor {
        try require(
            latents.shape.rank == 4 && latents.shape[1] == configuration.latentChannels, .shape,
            "autoencoder: latents \(latents.shape), \(configuration.latentChannels) channels "
                + "expected")
        let z = try context.toChannelsLast(latents)
        return try context.toChannelsFirst(
            decoder(normalized ? denormalized(z, context) : z, context))
    }

    /// `[B, h, w, z]`
    package func sample(
        _ posterior: RawPosterior, noise: Tensor?, in context: Context
    ) throws(USPError) -> Tensor {
        guard let noise, let logVariance = posterior.logVariance else { return posterior.mean }
        let (b, h, w, z) = (
            posterior.mean.shape[0], posterior.mean.shape[1], posterior.mean.shape[2],
            posterior.mean.shape[3]
        )
        try expect(noise, [b, z, h, w], "autoencoder: noise")
        return try context.sampleGaussian(
            mean: posterior.mean, logVariance: logVariance, noise: Context().toChannelsLast(noise))
    }

    private func posterior(
        channelsLast moments: Tensor, _ context: Context
    ) throws(USPError) -> RawPosterior {
        let z = configuration.latentChannels
        guard configuration.doublesLatent else {
            return RawPosterior(mean: moments, logVariance: nil)
        }
        let variance = try context.sliceChannels(moments, z..<2 * z)
        return RawPosterior(
            mean: try context.sliceChannels(moments, 0..<z),
            logVariance: try context.clampLogVariance(variance))
    }

    private func normalized(_ z: Tensor, _ context: Context) throws(USPError) -> Tensor {
        let values = configuration.normalization.expanded(configuration.latentChannels)
        let offsets = zip(values.shift, values.scale).map { -$0 * $1 }
        return try context.scaleChannels(z, by: values.scale, offsets: offsets)
    }

    private func denormalized(_ z: Tensor, _ context: Context) throws(USPError) -> Tensor {
        let values = configuration.normalization.expanded(configuration.latentChannels)
        return try context.scaleChannels(z, by: values.scale.map { 1 / $0 }, offsets: values.shift)
    }

    /// `[B, H, W, C]` to `[B, H/f, W/f, 2z]`
    func encoder(_ images: Tensor, _ context: Context) throws(USPError) -> Tensor {
        let sizes = configuration
        try require(
            images.shape[3] == sizes.imageChannels && images.shape[1] > 0 && images.shape[2] > 0
                && images.shape[1] % sizes.factor == 0 && images.shape[2] % sizes.factor == 0,
            .shape,
            "autoencoder: images of \(images.shape[3]) channels, "
                + "\(images.shape[1])x\(images.shape[2]), "
                + "expected \(sizes.imageChannels) channels and multiples of \(sizes.factor)")
        let layers = AutoencoderLayers(
            parameters: parameters, groups: sizes.groups, context: context)
        if sizes.isTiny { return try layers.tinyEncoder(sizes, images) }
        var x = try layers.convolution("encoder.conv_in", images)
        for level in sizes.multipliers.indices {
            for block in 0..<sizes.blocksPerLevel {
                x = try layers.levelBlock("encoder.down.\(level)", block, x)
            }
            if level < sizes.multipliers.count - 1 {
                x = try layers.convolution(
                    "encoder.down.\(level).downsample.conv", x, stride: 2,
                    padding: Padding(bottom: 1, right: 1))
            }
        }
        x = try layers.end("encoder", layers.middle("encoder", x))
        return sizes.hasLatentConvolutions ? try layers.convolution("quant_conv", x) : x
    }

    /// `[B, h, w, z]` to `[B, f·h, f·w, C]`
    func decoder(_ latents: Tensor, _ context: Context) throws(USPError) -> Tensor {
        let sizes = configuration
        let layers = AutoencoderLayers(
            parameters: parameters, groups: sizes.groups, context: context)
        if sizes.isTiny { return try layers.tinyDecoder(sizes, latents) }
        var x =
            sizes.hasLatentConvolutions
            ? try layers.convolution("post_quant_conv", latents) : latents
        x = try layers.middle("decoder", layers.convolution("decoder.conv_in", x))
        for level in sizes.multipliers.indices.reversed() {
            for block in 0...sizes.blocksPerLevel {
                x = try layers.levelBlock("decoder.up.\(level)", block, x)
            }
            if level > 0 {
                x = try layers.convolution("decoder.up.\(level).upsample.conv", x, upsample: 2)
            }
        }
        return try layers.end("decoder", x)
    }
}
