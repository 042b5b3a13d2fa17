// The autoencoder of latent diffusion: images to latents and back.

import USPBase
import USPModels
import USPTensor

/// A convolutional autoencoder with a Gaussian posterior, and the normalisation of its latents.
public final class VAE: Model {
    /// Sizes; see `usp_vae_config` in `include/usp.h`.
    public struct Configuration: Sendable, Equatable {
        public var imageChannels = 3
        /// Channels at full resolution.
        public var baseWidth = 128
        /// Channels of each level over the base width; each level but the first halves the
        /// resolution.
        public var multipliers = [1, 2, 4, 4]
        public var blocksPerLevel = 2
        public var encoderAttentionLevels: [Int] = []
        public var decoderAttentionLevels: [Int] = []
        public var latentChannels = 4
        public var groups = 32
        /// Latents leave as (z − shift)·scale.
        public var scale: [Float] = [1]
        public var shift: [Float] = [0]

        public init() {}
    }

    package let network: KLAutoencoder
    public let weights: ModelWeights
    package let arithmetic: Arithmetic
    public var family: String { "VAE" }

    package init(_ network: KLAutoencoder, _ weights: ModelWeights, _ arithmetic: Arithmetic) {
        self.network = network
        self.weights = weights
        self.arithmetic = arithmetic
    }

    /// Fresh parameters from a seed.
    ///
    /// - Throws: naming the size that cannot be.
    public convenience init(_ configuration: Configuration, seed: UInt64 = 0) throws(USPError) {
        let network = try KLAutoencoder(
            configuration.network, key: RandomKey(seed: seed).stream("vae"))
        self.init(network, ModelWeights(network.parameters), Arithmetic())
    }

    public var configuration: Configuration { Configuration(network.configuration) }
    /// Image pixels to a latent one, along each side.
    public var factor: Int { network.configuration.factor }

    public var metadata: [(key: String, value: String)] {
        [
            ("usp.family", "VAE"), ("usp.groups", "\(network.configuration.groups)"),
            ("usp.scale", scales.map { "\($0)" }.joined(separator: ",")),
            ("usp.shift", shifts.map { "\($0)" }.joined(separator: ",")),
        ]
    }

    public func inputShape(batch: Int) -> Shape {
        [batch, network.configuration.imageChannels, 0, 0]
    }

    /// How an image or latent passes through.
    public struct Options: Sendable {
        /// Latents are (z − shift)·scale; off gives and takes z itself.
        public var normalizes = true
        /// Side of a tile in latent pixels; 0 takes the whole image.
        public var tile = 0
        /// Latent pixels that neighbouring tiles share at least.
        public var overlap = 16
        /// Plain sums in 3x3 convolutions, which take twice as long as Winograd's method.
        public var exact = false

        public init() {}

        var tiling: Tiling? { tile > 0 ? Tiling(tile: tile, overlap: overlap) : nil }
    }

    /// The posterior of images.
    public struct Posterior {
        /// `[B, z, H/f, W/f]`, normalised as the options said.
        public let mean: Tensor
        /// `[B, z, H/f, W/f]`, of z itself, within −30 … 20.
        public let logVariance: Tensor

        public init(mean: Tensor, logVariance: Tensor) {
            self.mean = mean
            self.logVariance = logVariance
        }
    }

    private func context(_ options: Options) -> Context {
        var own = arithmetic
        own.exact = own.exact || options.exact
        return Context(own)
    }

    /// Images `[B, C, H, W]` in −1 … 1 to the posterior of their latents.
    public func encode(_ images: Tensor, _ options: Options = Options()) throws(USPError)
        -> Posterior
    {
        let context = context(options)
        let posterior: KLAutoencoder.Posterior
        if let tiling = options.tiling {
            posterior = try network.posterior(
                moments: network.momentsTiled(images, tiling, in: context), in: context)
        } else {
            posterior = try network.posterior(images, in: context)
        }
        let mean = try network.latents(posterior, normalizes: options.normalizes, in: context)
        guard let logVariance = posterior.logVariance else {
            return Posterior(mean: mean, logVariance: try Tensor.filled(mean.shape, -30))
        }
        return Posterior(mean: mean, logVariance: try context.toChannelsFirst(logVariance))
    }

    /// mean + deviation·noise, all `[B, z, h, w]`; mean and result normalised as the options say.
    public func sample(
        _ posterior: Posterior, noise: Tensor, _ options: Options = Options()
    ) throws(USPError) -> Tensor {
        try expect(posterior.logVariance, posterior.mean.shape, "logvar")
        try expect(noise, posterior.mean.shape, "noise")
        let channels = network.configuration.latentChannels
        try require(
            noise.shape.rank == 4 && noise.shape[1] == channels, .shape,
            "latents \(noise.shape), expected \(channels) channels")
        let context = Context()
        var spread = try context.sampleGaussian(
            mean: Tensor.zeros(noise.shape), logVariance: posterior.logVariance, noise: noise)
        if options.normalizes {
            spread = try context.toChannelsFirst(
                context.scaleChannels(
                    context.toChannelsLast(spread), by: scales,
                    offsets: [Float](repeating: 0, count: channels)))
        }
        return try context.add(posterior.mean, spread)
    }

    /// Latents `[B, z, h, w]` to images `[B, C, f·h, f·w]`, about −1 … 1.
    public func decode(_ latents: Tensor, _ options: Options = Options()) throws(USPError) -> Tensor
    {
        let context = context(options)
        if let tiling = options.tiling {
            return try network.decodeTiled(
                latents, tiling, normalized: options.normalizes, in: context)
        }
        return try network.decode(latents, normalized: options.normalizes, in: context)
    }

    /// One scale a latent channel.
    public var scales: [Float] { expanded(network.configuration.normalization.scale) }
    public var shifts: [Float] { expanded(network.configuration.normalization.shift) }

    private func expanded(_ values: [Float]) -> [Float] {
        let channels = network.configuration.latentChannels
        return values.count == 1 ? [Float](repeating: values[0], count: channels) : values
    }
}

extension VAE.Configuration {
    init(_ sizes: KLAutoencoderConfiguration) {
        imageChannels = sizes.imageChannels
        baseWidth = sizes.baseWidth
        multipliers = sizes.multipliers
        blocksPerLevel = sizes.blocksPerLevel
        encoderAttentionLevels = sizes.encoderAttentionLevels
        decoderAttentionLevels = sizes.decoderAttentionLevels
        latentChannels = sizes.latentChannels
        groups = sizes.groups
        scale = sizes.normalization.scale
        shift = sizes.normalization.shift
    }

    var network: KLAutoencoderConfiguration {
        var sizes = KLAutoencoderConfiguration()
        sizes.imageChannels = imageChannels
        sizes.baseWidth = baseWidth
        sizes.multipliers = multipliers
        sizes.blocksPerLevel = blocksPerLevel
        sizes.encoderAttentionLevels = encoderAttentionLevels
        sizes.decoderAttentionLevels = decoderAttentionLevels
        sizes.latentChannels = latentChannels
        sizes.groups = groups
        sizes.normalization = LatentNormalization(shift: shift, scale: scale)
        return sizes
    }
}
