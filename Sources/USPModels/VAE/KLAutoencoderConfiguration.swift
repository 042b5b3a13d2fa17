// The sizes of a convolutional autoencoder with a Gaussian bottleneck, and the published ones.

import USPBase

/// How latents leave the encoder: (z − shift)·scale, each one value or one a channel. It belongs to
/// the autoencoder, so that nobody can forget it.
package struct LatentNormalization: Sendable, Equatable {
    package var shift: [Float]
    package var scale: [Float]

    package init(shift: [Float] = [0], scale: [Float] = [1]) {
        self.shift = shift
        self.scale = scale
    }

    /// (z − mean)/deviation·multiplier, as LightningDiT stores it.
    package init(mean: [Float], deviation: [Float], multiplier: Float = 1) {
        self.init(shift: mean, scale: deviation.map { multiplier / $0 })
    }

    /// The same normalisation with `count` values of each.
    func expanded(_ count: Int) -> LatentNormalization {
        func all(_ values: [Float]) -> [Float] {
            values.count == 1 ? Array(repeating: values[0], count: count) : values
        }
        return LatentNormalization(shift: all(shift), scale: all(scale))
    }
}

/// The sizes of the autoencoder of latent diffusion (Rombach et al. 2022) and its descendants.
package struct KLAutoencoderConfiguration: Sendable, Equatable {
    /// Channels of the images.
    package var imageChannels = 3
    /// Channels at full resolution.
    package var baseWidth = 128
    /// Channels of each level as multiples of the base width; each level but the first halves the
    /// resolution.
    package var multipliers = [1, 2, 4, 4]
    /// Residual blocks of an encoder level; the decoder has one more.
    package var blocksPerLevel = 2
    /// Levels with self-attention after each block (0 is full resolution).
    package var encoderAttentionLevels: [Int] = []
    package var decoderAttentionLevels: [Int] = []
    /// Whether self-attention stands between the two middle blocks.
    package var hasMiddleAttention = true
    /// Channels of the latent.
    package var latentChannels = 4
    /// Groups of every group normalisation.
    package var groups = 32
    /// Whether the encoder gives mean and log variance (otherwise a mean only).
    package var doublesLatent = true
    /// Whether 1x1 convolutions follow the encoder (`quant_conv`) and precede the decoder.
    package var hasLatentConvolutions = true
    /// What leaves `encode` and enters `decode`.
    package var normalization = LatentNormalization()

    package init() {}

    /// Image pixels to a latent one, along each side.
    package var factor: Int { 1 << (multipliers.count - 1) }
    /// Channels that the encoder gives.
    package var momentChannels: Int { doublesLatent ? 2 * latentChannels : latentChannels }

    func width(_ level: Int) -> Int { baseWidth * multipliers[level] }

    /// - Throws: `.argument` naming the first field that cannot be.
    package func validate() throws(USPError) {
        let most = 1 << 16
        try require(
            !multipliers.isEmpty && multipliers.count <= 8
                && multipliers.allSatisfy { (1...64).contains($0) },
            .argument, "autoencoder: multipliers \(multipliers)")
        for (name, value) in [
            ("imageChannels", imageChannels), ("baseWidth", baseWidth),
            ("blocksPerLevel", blocksPerLevel),
            ("latentChannels", latentChannels), ("groups", groups),
        ] {
            try require((1...most).contains(value), .argument, "autoencoder: \(name) \(value)")
        }
        for level in multipliers.indices {
            try require(
                width(level) % groups == 0, .argument,
                "autoencoder: \(groups) groups do not divide the \(width(level)) channels of level "
                    + "\(level)")
        }
        let levels = encoderAttentionLevels + decoderAttentionLevels
        try require(
            levels.allSatisfy(multipliers.indices.contains), .argument,
            "autoencoder: attention at levels \(levels) of \(multipliers.count)")
        for values in [normalization.shift, normalization.scale] {
            try require(
                (values.count == 1 || values.count == latentChannels)
                    && values.allSatisfy(\.isFinite),
                .argument,
                "autoencoder: \(values.count) latent statistics for \(latentChannels) channels")
        }
        try require(
            normalization.scale.allSatisfy { $0 != 0 }, .argument,
            "autoencoder: a latent scale of zero")
    }
}

extension KLAutoencoderConfiguration {
    /// Stable Diffusion's `kl-f8` (sd-vae-ft-ema, sd-vae-ft-mse): 8x8 pixels to 4 channels.
    package static let f8: KLAutoencoderConfiguration = {
        var sizes = KLAutoencoderConfiguration()
        sizes.normalization = LatentNormalization(scale: [0.18215])
        return sizes
    }()

    /// MAR's `kl16`: 16x16 pixels to 16 channels, attention in the encoder's lowest level.
    package static let mar: KLAutoencoderConfiguration = {
        var sizes = KLAutoencoderConfiguration()
        sizes.multipliers = [1, 1, 2, 2, 4]
        sizes.latentChannels = 16
        sizes.encoderAttentionLevels = [4]
        sizes.normalization = LatentNormalization(scale: [0.2325])
        return sizes
    }()

    /// VA-VAE `f16d32`: 16x16 pixels to 32 channels, attention in both lowest levels. The latent
    /// statistics come in a file of their own.
    package static let vavae: KLAutoencoderConfiguration = {
        var sizes = KLAutoencoderConfiguration.mar
        sizes.latentChannels = 32
        sizes.decoderAttentionLevels = [4]
        sizes.normalization = LatentNormalization()
        return sizes
    }()
}
