// The masked autoencoder: pretraining by prediction of what was masked.

import USPBase
import USPModels
import USPTensor

/// Sizes of a vision transformer's encoder.
public struct EncoderConfiguration: Sendable, Equatable {
    /// Rows and columns of patches.
    public var gridHeight = 14
    public var gridWidth = 14
    public var channels = 4
    /// Side of a patch.
    public var patch = 2
    /// Width of a token, D.
    public var width = 384
    public var depth = 12
    public var heads = 6

    public init() {}

    init(_ sizes: ViTConfiguration) {
        gridHeight = sizes.grid.height
        gridWidth = sizes.grid.width
        channels = sizes.channels
        patch = sizes.patch
        width = sizes.width
        depth = sizes.depth
        heads = sizes.heads
    }

    var network: ViTConfiguration {
        ViTConfiguration(
            grid: Grid(gridHeight, gridWidth), channels: channels, patch: patch, width: width,
            depth: depth, heads: heads)
    }
}

/// A masked autoencoder on latents or pixels (He et al. 2022; USP trains it on latents).
public final class MaskedAutoencoder: Model, @unchecked Sendable {
    // SAFETY of @unchecked: the network and its parameters are only read once it is made.
    public struct Configuration: Sendable, Equatable {
        public var encoder = EncoderConfiguration()
        /// 0 has no decoder: features only.
        public var decoderWidth = 512
        public var decoderDepth = 8
        public var decoderHeads = 16

        public init() {}
    }

    package let network: USPModels.MaskedAutoencoder
    public let weights: ModelWeights
    package let arithmetic: Arithmetic
    public var family: String { "MAE" }

    package init(
        _ network: USPModels.MaskedAutoencoder, _ weights: ModelWeights, _ arithmetic: Arithmetic
    ) {
        self.network = network
        self.weights = weights
        self.arithmetic = arithmetic
    }

    /// Fresh parameters from a seed.
    public convenience init(_ configuration: Configuration, seed: UInt64 = 0) throws(USPError) {
        let sizes = MaskedAutoencoderConfiguration(
            encoder: configuration.encoder.network, decoderWidth: configuration.decoderWidth,
            decoderDepth: configuration.decoderDepth, decoderHeads: configuration.decoderHeads)
        let network = try USPModels.MaskedAutoencoder(
            sizes, key: RandomKey(seed: seed).stream("mae"))
        self.init(network, ModelWeights(network.parameters), Arithmetic())
    }

    public var configuration: Configuration { Configuration(network.configuration) }

    public var metadata: [(key: String, value: String)] {
        [
            ("usp.family", "MAE"), ("usp.heads", "\(network.configuration.encoder.heads)"),
            ("usp.grid", "\(network.configuration.encoder.grid)"),
            ("usp.decoder_heads", "\(network.configuration.decoderHeads)"),
        ]
    }

    public func inputShape(batch: Int) -> Shape { network.configuration.encoder.imageShape(batch) }

    /// Patches of an input.
    public var tokens: Int { network.configuration.encoder.tokens }
    /// Values of a patch.
    public var patchSize: Int { network.configuration.encoder.patchSize }

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

        var normalisation: PatchNormalisation {
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
        let output = try network.forward(
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
        let latent = try network.encode(input(images, options), masking: masking, in: context)
        return (
            try network.decode(latent, masking: masking, in: context),
            try Tensor([masking.batch, masking.tokens], masking.mask)
        )
    }

    /// The same loss with the gradient of every trainable parameter.
    public func gradients(
        _ images: Tensor, _ options: Options = Options()
    ) throws(USPError) -> LossGradients {
        let masking = try masking(batch: batch(images), options)
        let input = try input(images, options)
        return try USPKit.gradients(of: weights, arithmetic) {
            parameters, context throws(USPError) in
            let copy = try USPModels.MaskedAutoencoder(network.configuration, parameters)
            let output = try copy.forward(
                input, masking: masking, target: options.target ?? images,
                normalisation: options.normalisation, in: context)
            return .scalar(output.loss)
        }
    }

    /// Features of all tokens after the encoder's norm, class token first: `[B, 1 + T, D]`.
    public func features(_ images: Tensor) throws(USPError) -> Tensor {
        try network.encode(images, in: Context(arithmetic))
    }

    /// Predicted patches `[B, T, E]` as images `[B, C, H, W]`.
    public func image(_ prediction: Tensor) throws(USPError) -> Tensor {
        try network.image(prediction, in: Context())
    }

    private func batch(_ images: Tensor) throws(USPError) -> Int {
        try require(
            images.shape.rank == 4, .shape, "images: shape \(images.shape), expected [B, C, H, W]")
        try expect(images, inputShape(batch: images.shape[0]), "images")
        return images.shape[0]
    }

    /// The images, with noise if asked for; one stream of numbers an image.
    private func input(_ images: Tensor, _ options: Options) throws(USPError) -> Tensor {
        guard options.addsNoise else { return images }
        let key = RandomKey(seed: options.seed)
        let times = try Tensor.uniform([images.shape[0]], key.stream("time"))
        return try USPModels.MaskedAutoencoder.noisy(
            images, t: times.values.map { 0.5 + 0.5 * $0 },
            noise: Tensor.normal(images.shape, key.stream("noise")))
    }

    func masking(batch: Int, _ options: Options) throws(USPError) -> Masking {
        guard let noise = options.noise else {
            return try Masking(
                key: RandomKey(seed: options.seed).stream("masking"), batch: batch, tokens: tokens,
                ratio: options.maskRatio)
        }
        return try Masking(
            noise: noise.values, batch: batch, tokens: tokens, ratio: options.maskRatio)
    }
}

extension MaskedAutoencoder.Configuration {
    init(_ sizes: MaskedAutoencoderConfiguration) {
        encoder = EncoderConfiguration(sizes.encoder)
        decoderWidth = sizes.decoderWidth
        decoderDepth = sizes.decoderDepth
        decoderHeads = sizes.decoderHeads
    }
}
