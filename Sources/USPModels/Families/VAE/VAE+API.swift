// What people ask of an autoencoder.

import USPBase
import USPTensor

extension VAE {
    /// Image pixels to a latent one, along each side.
    public var factor: Int { configuration.factor }

    /// Whether its latents should be normalised by mean and deviation of each channel, and nothing
    /// told those: what leaves `encode` then is z itself, on which nothing should be trained.
    public var lacksStatistics: Bool { weights.loading?.lacksStatistics ?? false }

    public func inputShape(batch: Int) -> Shape {
        [batch, configuration.imageChannels, 0, 0]
    }

    /// How an image or latent passes through.
    public struct Options: Sendable {
        /// Latents are (z − shift)·scale; off gives and takes z itself.
        public var scaled = true
        /// Side of a tile in latent pixels; 0 takes the whole image.
        public var tile = 0
        /// Latent pixels that neighbouring tiles share at least, fewer than a tile has; nil: 16, and
        /// a quarter of smaller tiles.
        public var overlap: Int?
        /// Plain sums in 3x3 convolutions, which take twice as long as Winograd's method.
        public var exact = false

        public init() {}

        var tiling: Tiling? {
            tile > 0 ? Tiling(tile: tile, overlap: overlap ?? min(16, tile / 4)) : nil
        }
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
        let posterior: RawPosterior
        if let tiling = options.tiling {
            posterior = try self.posterior(
                moments: momentsTiled(images, tiling, in: context), in: context)
        } else {
            posterior = try self.posterior(images, in: context)
        }
        let mean = try latents(posterior, normalizes: options.scaled, in: context)
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
        let channels = configuration.latentChannels
        try require(
            noise.shape.rank == 4 && noise.shape[1] == channels, .shape,
            "latents \(noise.shape), expected \(channels) channels")
        let context = Context()
        var spread = try context.sampleGaussian(
            mean: Tensor.zeros(noise.shape), logVariance: posterior.logVariance, noise: noise)
        if options.scaled {
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
            return try decodeTiled(
                latents, tiling, normalized: options.scaled, in: context)
        }
        return try decode(latents, normalized: options.scaled, in: context)
    }

    /// One scale a latent channel.
    public var scales: [Float] { expanded(configuration.normalization.scale) }
    public var shifts: [Float] { expanded(configuration.normalization.shift) }

    private func expanded(_ values: [Float]) -> [Float] {
        let channels = configuration.latentChannels
        return values.count == 1 ? [Float](repeating: values[0], count: channels) : values
    }
}

extension VAE.Options: Described {
    public static let title = "VAE"
    public static let fields: [Field<VAE.Options>] = [
        .flag("scaled", \.scaled, "Latents are (z - shift) * scale; off gives and takes z itself."),
        .integer(
            "tile", \.tile, .notNegative,
            "Side of a tile in latent pixels; 0 takes the whole image at once."),
        .integer(
            "overlap", \.overlap, .notNegative,
            "Latent pixels that neighbouring tiles share at least, fewer than a tile has; without "
                + "it 16, and a quarter of smaller tiles."),
        .flag(
            "exact", \.exact,
            "Plain sums in 3x3 convolutions: twice the time. Without it Winograd's method, within "
                + "1e-5 of the largest value of exact arithmetic."),
    ]
}
