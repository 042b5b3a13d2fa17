// What people ask of a masked autoencoder.

import USPBase
import USPTensor

extension MaskedAutoencoder {
    public func inputShape(batch: Int) -> Shape { configuration.imageShape(batch) }

    /// Patches of an input.
    public var tokens: Int { configuration.tokens }
    /// Values of a patch.
    public var patchSize: Int { configuration.patchSize }

    /// What is masked and what the prediction is compared with.
    public struct Options: Sendable {
        public var maskRatio = 0.75
        /// `[B, T]` in 0 … 1: the tokens of least noise are kept; nil draws it from `seed`.
        public var noise: Tensor?
        public var seed: UInt64 = 0
        /// `[B, C, H, W]`; nil compares with the input.
        public var target: Tensor?
        /// Normalise each patch of the target.
        public var normalizesPatches = false
        /// Normalise each target over all of its patches.
        public var normalizesImage = false
        /// The input becomes √t·x + √(1 − t)·ε with t in 0.5 … 1 and ε from `seed`, as USP's
        /// `--add_noise`; the target stays clean.
        public var addsNoise = false

        public init() {}

        package var normalisation: PatchNormalisation {
            normalizesImage ? .image : normalizesPatches ? .patch : .none
        }
    }

    /// What a masked pass gives.
    public struct Output {
        /// Mean over the masked patches.
        public let loss: Float
        /// `[B, T, E]`, E = P·P·C with the channel fastest.
        public let prediction: Tensor
        /// `[B, T]`: 1 for masked tokens.
        public let mask: Tensor
    }

    /// Masks, encodes, decodes and compares `[B, C, H, W]`.
    ///
    /// - Throws: in words for a model without a decoder; `.argument` if nothing is masked, because
    ///   the ratio is 0 or the batch is empty.
    public func forward(_ images: Tensor, _ options: Options = Options()) throws(USPError) -> Output
    {
        let masking = try masking(batch: batch(images), options)
        let output = try forward(
            input(images, options), masking: masking, target: options.target ?? images,
            normalisation: options.normalisation, in: Context(arithmetic))
        return Output(
            loss: output.loss.floats[0], prediction: output.prediction,
            mask: try Tensor([masking.batch, masking.tokens], output.mask))
    }

    /// The prediction and the mask of `forward`, without a loss: for any masking, also none.
    public func predict(
        _ images: Tensor, _ options: Options = Options()
    ) throws(USPError) -> (prediction: Tensor, mask: Tensor) {
        let masking = try masking(batch: batch(images), options)
        let context = Context(arithmetic)
        let latent = try encode(input(images, options), masking: masking, in: context)
        return (
            try decode(latent, masking: masking, in: context),
            try Tensor([masking.batch, masking.tokens], masking.mask)
        )
    }

    /// Features of all tokens after the encoder's norm, class token first, if there is one: `[B, leading + T, D]`.
    public func features(_ images: Tensor) throws(USPError) -> Tensor {
        try encode(images, in: Context(arithmetic))
    }

    /// The patches' tokens after these blocks of the encoder (1 is the first), before any norm,
    /// `[B, T, D]` each, or their means, `[B, D]`; nothing is masked.
    public func features(
        _ images: Tensor, layers: [Int], tokens: Bool = false
    ) throws(USPError) -> [Tensor] {
        try encoder.features(images, layers: layers, tokens: tokens, in: Context(arithmetic))
    }

    /// Attention's probabilities in a block of the encoder (1 is the first), for each head, class token
    /// in front: `[B, N, leading + T, leading + T]`.
    public func attention(_ images: Tensor, layer: Int) throws(USPError) -> Tensor {
        try encoder.attention(images, layer: layer, in: Context(arithmetic))
    }

    /// Predicted patches `[B, T, E]` as images `[B, C, H, W]`.
    public func image(_ prediction: Tensor) throws(USPError) -> Tensor {
        try image(prediction, in: Context())
    }

    package func batch(_ images: Tensor) throws(USPError) -> Int {
        try require(
            images.shape.rank == 4, .shape, "images: shape \(images.shape), expected [B, C, H, W]")
        try expect(images, inputShape(batch: images.shape[0]), "images")
        return images.shape[0]
    }

    /// The images, with noise if asked for; one stream of numbers an image.
    package func input(_ images: Tensor, _ options: Options) throws(USPError) -> Tensor {
        guard options.addsNoise else { return images }
        let key = RandomKey(seed: options.seed)
        let times = try Tensor.uniform([images.shape[0]], key.stream("time"))
        return try MaskedAutoencoder.noisy(
            images, t: times.values.map { 0.5 + 0.5 * $0 },
            noise: Tensor.normal(images.shape, key.stream("noise")))
    }

    package func masking(batch: Int, _ options: Options) throws(USPError) -> Masking {
        guard let noise = options.noise else {
            return try Masking(
                key: RandomKey(seed: options.seed).stream("masking"), batch: batch, tokens: tokens,
                ratio: options.maskRatio)
        }
        return try Masking(
            noise: noise.values, batch: batch, tokens: tokens, ratio: options.maskRatio)
    }
}

extension MaskedAutoencoder.Options: Described {
    public static let title = "MAE"
    public static let members = [
        CMember(
            "const usp_tensor *", "noise",
            "[B, T] f32: the tokens of least noise are kept; NULL: drawn from seed."),
        CMember(
            "const usp_tensor *", "target", "[B, C, H, W] f32 to compare with; NULL: the input."),
    ]
    public static let fields: [Field<MaskedAutoencoder.Options>] = [
        .real(
            "mask_ratio", \.maskRatio, .belowOne,
            "Share of tokens that are masked; of none there is no loss."),
        .seed("seed", \.seed, "Of the masking and of what add_noise adds."),
        .flag("norm_pix_loss", \.normalizesPatches, "Normalise each patch of the target."),
        .flag("norm_image", \.normalizesImage, "Normalise each target over all of its patches."),
        .flag(
            "add_noise", \.addsNoise,
            "The input becomes sqrt(t) x + sqrt(1 - t) e with t in 0.5 ... 1 and normal e; the "
                + "target stays clean."),
    ]
}
