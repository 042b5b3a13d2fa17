// The sizes of a convolutional autoencoder with a Gaussian bottleneck, and the published ones.

import USPBase

/// How latents leave the encoder: (z − shift)·scale, each one value or one a channel. It belongs to
/// the autoencoder, so that nobody can forget it.
public struct LatentNormalization: Sendable, Equatable {
    public var shift: [Float]
    public var scale: [Float]

    public init(shift: [Float] = [0], scale: [Float] = [1]) {
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

extension VAE {
    /// The sizes of the autoencoder of latent diffusion (Rombach et al. 2022) and its descendants.
    public struct Configuration: ModelConfiguration {
        /// Channels of the images.
        public var imageChannels = 3
        /// Channels at full resolution.
        public var baseWidth = 128
        /// Channels of each level as multiples of the base width; each level but the first halves
        /// the resolution.
        public var multipliers = [1, 2, 4, 4]
        /// Residual blocks of an encoder level; the decoder has one more.
        public var blocksPerLevel = 2
        /// Levels with self-attention after each block (0 is full resolution).
        public var encoderAttentionLevels: [Int] = []
        public var decoderAttentionLevels: [Int] = []
        /// Whether self-attention stands between the two middle blocks.
        public var hasMiddleAttention = true
        /// Channels of the latent.
        public var latentChannels = 4
        /// Groups of every group normalisation.
        public var groups = 32
        /// Whether the encoder gives mean and log variance (otherwise a mean only).
        public var doublesLatent = true
        /// Whether 1x1 convolutions follow the encoder (`quant_conv`) and precede the decoder.
        public var hasLatentConvolutions = true
        /// Whether it is a tiny autoencoder (TAESD): plain blocks without norms, a mean only.
        public var isTiny = false
        /// Of a tiny autoencoder: blocks of each level of the encoder, and of the decoder; none:
        /// it has no such part.
        public var encoderBlocks: [Int] = []
        public var decoderBlocks: [Int] = []
        /// Channels of each level of a tiny decoder.
        public var decoderWidths: [Int] = []
        /// Whether a tiny encoder begins with two convolutions at stride 2 (TAESANA).
        public var hasStridedStem = false
        /// Whether the blocks at the latents' resolution look at all pixels through a group norm
        /// (TAEF2).
        public var hasPooledBlocks = false
        /// What leaves `encode` and enters `decode`.
        public var normalization = LatentNormalization()

        public init() {}

        public var family: String { "VAE" }
        /// Image pixels to a latent one, along each side.
        public var factor: Int { 1 << max(multipliers.count - 1, 0) }
        /// Channels that the encoder gives.
        public var momentChannels: Int { doublesLatent ? 2 * latentChannels : latentChannels }

        func width(_ level: Int) -> Int { baseWidth * multipliers[level] }
    }
}

extension VAE.Configuration: Described {
    public static let title = "VAE"
    public static let fields: [Field<Self>] = [
        .integer("image_channels", \.imageChannels, .size, "Channels of the images."),
        .integer("base_width", \.baseWidth, .size, "Channels at full resolution."),
        .integers(
            "multipliers", \.multipliers, FieldRange(1, 64),
            "Channels of each level over the base width; each level but the first halves the "
                + "resolution."),
        .integer(
            "blocks_per_level", \.blocksPerLevel, FieldRange(1, 256),
            "Residual blocks of an encoder level; the decoder has one more."),
        .integer("latent_channels", \.latentChannels, .size, "Channels of a latent, z."),
        .integer("groups", \.groups, .size, "Groups of every group norm."),
        .integers(
            "encoder_attention", \.encoderAttentionLevels, FieldRange(0, 7),
            "Levels of the encoder with self-attention; 0 is full resolution."),
        .integers(
            "decoder_attention", \.decoderAttentionLevels, FieldRange(0, 7),
            "Levels of the decoder with self-attention."),
        .flag(
            "mid_attention", \.hasMiddleAttention,
            "Self-attention stands between the two middle blocks."),
        .flag(
            "double_z", \.doublesLatent, "The encoder gives mean and log variance, not a mean only."
        ),
        .flag(
            "quant_conv", \.hasLatentConvolutions,
            "1x1 convolutions follow the encoder and precede the decoder."),
        .reals(
            "scale", \.normalization.scale, .any,
            "Latents are (z - shift) * scale; one number, or one a channel."),
        .reals("shift", \.normalization.shift, .any, "See scale."),
        .flag("tiny", \.isTiny, "A tiny autoencoder (TAESD): blocks without norms, a mean only."),
        .integers(
            "encoder_blocks", \.encoderBlocks, FieldRange(0, 64),
            "Blocks of a tiny encoder's levels; none: it has no encoder."),
        .integers(
            "decoder_blocks", \.decoderBlocks, FieldRange(0, 64),
            "Blocks of a tiny decoder's levels; none: it has no decoder."),
        .integers(
            "decoder_widths", \.decoderWidths, FieldRange(1, 65536),
            "Channels of a tiny decoder's levels."),
        .flag(
            "strided_stem", \.hasStridedStem,
            "A tiny encoder begins with two convolutions at stride 2 (TAESANA)."),
        .flag(
            "pooled_blocks", \.hasPooledBlocks,
            "Blocks of a tiny autoencoder at the latents' resolution see all pixels through a group "
                + "norm (TAEF2)."),
    ]

    public func checkTogether() throws(USPError) {
        try require(
            (1...8).contains(multipliers.count), .argument,
            "multipliers: \(multipliers.count) levels, expected 1 to 8")
        if isTiny { try checkTiny() }
        for level in multipliers.indices where !isTiny {
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
                values.count == 1 || values.count == latentChannels, .argument,
                "autoencoder: \(values.count) latent statistics for \(latentChannels) channels")
        }
        try require(
            normalization.scale.allSatisfy { $0 != 0 }, .argument,
            "autoencoder: a latent scale of zero")
    }
}

extension VAE.Configuration {
    /// Stable Diffusion's `kl-f8` (sd-vae-ft-ema, sd-vae-ft-mse): 8x8 pixels to 4 channels.
    package static let f8: VAE.Configuration = {
        var sizes = VAE.Configuration()
        sizes.normalization = LatentNormalization(scale: [0.18215])
        return sizes
    }()

    /// MAR's `kl16`: 16x16 pixels to 16 channels, attention in the encoder's lowest level.
    package static let mar: VAE.Configuration = {
        var sizes = VAE.Configuration()
        sizes.multipliers = [1, 1, 2, 2, 4]
        sizes.latentChannels = 16
        sizes.encoderAttentionLevels = [4]
        sizes.normalization = LatentNormalization(scale: [0.2325])
        return sizes
    }()

    /// VA-VAE `f16d32`: 16x16 pixels to 32 channels, attention in both lowest levels. The latent
    /// statistics come in a file of their own.
    package static let vavae: VAE.Configuration = {
        var sizes = VAE.Configuration.mar
        sizes.latentChannels = 32
        sizes.decoderAttentionLevels = [4]
        sizes.normalization = LatentNormalization()
        return sizes
    }()
}

extension Family {
    static let vae = Family(
        "VAE", VAE.self, .autoencoder, stream: "vae",
        presets: [
            Preset(name: "kl-f8", configuration: VAE.Configuration.f8),
            Preset(name: "kl16", configuration: VAE.Configuration.mar),
            Preset(name: "vavae", configuration: VAE.Configuration.vavae),
            Preset(name: "taesd", configuration: VAE.Configuration.taesd),
        ],
        infer: { file, options throws(USPError) in try file.autoencoderConfiguration(options) })
}
