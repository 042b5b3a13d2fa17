// The masked autoencoder of He et al. (2022) on pixels or, as USP pretrains it, on latents.

import USPBase
import USPTensor

/// A masked autoencoder.
public final class MaskedAutoencoder: Model, @unchecked Sendable {
    // SAFETY of @unchecked: all but `recomputes`, which who trains sets first, is only read.
    public static let families = [Family.mae]
    public let configuration: Configuration
    public let weights: ModelWeights
    public let arithmetic: Arithmetic
    /// In each block, instead of keeping it for the gradient.
    package var recomputes = Recomputation.nothing

    let encoder: ViTEncoder
    private let norm: NormLayer
    private let decoder: Decoder?

    private struct Decoder {
        let embedding: LinearLayer
        let maskToken: Tensor
        let positions: Tensor
        let blocks: [TransformerBlock]
        let rotation: RotaryEmbedding?
        let norm: NormLayer
        let prediction: LinearLayer
    }

    /// A result of `forward` on a tape.
    package struct Reconstruction {
        /// Scalar.
        package let loss: Tensor
        /// `[B, T, P·P·C]`, patches in channel-last order.
        package let prediction: Tensor
        /// B·T: 1 for removed tokens.
        package let mask: [Float]
    }

    public init(
        _ configuration: Configuration, _ weights: ModelWeights, _ arithmetic: Arithmetic
    ) throws(USPError) {
        try configuration.check()
        (self.configuration, self.weights, self.arithmetic) = (configuration, weights, arithmetic)
        let parameters = weights.parameters
        encoder = try ViTEncoder(configuration.transformer, parameters)
        norm = try NormLayer(
            parameters, "norm", configuration.transformer.norm, epsilon: configuration.epsilon)
        decoder = configuration.hasDecoder ? try Self.decoder(configuration, parameters) : nil
    }

    private static func decoder(
        _ configuration: Configuration, _ parameters: Parameters
    ) throws(USPError) -> Decoder {
        var blocks: [TransformerBlock] = []
        for index in 0..<configuration.decoderDepth {
            blocks.append(
                try TransformerBlock(
                    configuration.decoderBlock, parameters, "decoder_blocks.\(index)"))
        }
        return Decoder(
            embedding: try LinearLayer(parameters, "decoder_embed"),
            maskToken: try parameters.tensor("mask_token"),
            positions: try parameters.tensor("decoder_pos_embed"), blocks: blocks,
            rotation: try configuration.decoder.rotation(parameters, "decoder_feat_rope"),
            norm: try NormLayer(
                parameters, "decoder_norm", configuration.transformer.norm,
                epsilon: configuration.epsilon),
            prediction: try LinearLayer(parameters, "decoder_pred"))
    }

    /// Encoder features after the final norm: `[B, leading + S, D]`; without a masking S is T.
    ///
    /// - images: `[B, C, H, W]`, f32
    package func encode(
        _ images: Tensor, masking: Masking? = nil, in context: Context
    ) throws(USPError) -> Tensor {
        let tokens = try encoder.forward(
            images, masking: masking, recomputes: recomputes, in: context)
        return try norm.forward(tokens, in: context)
    }

    /// Predicted patches of all tokens from the encoder's features of the kept ones.
    ///
    /// - latent: `[B, leading + S, D]`
    /// - Returns: `[B, T, P·P·C]`
    /// - Throws: `.unsupported` without a decoder
    package func decode(
        _ latent: Tensor, masking: Masking, in context: Context
    ) throws(USPError) -> Tensor {
        guard let decoder else {
            throw USPError(
                .unsupported,
                "this masked autoencoder has no decoder (no decoder_* tensors): "
                    + "it gives features, but cannot reconstruct")
        }
        let leading = configuration.leading
        let kept = try decoder.embedding.forward(latent, in: context)
        var x = try context.restoreTokens(
            kept, leading: leading, maskToken: decoder.maskToken, restore: masking.restore,
            table: decoder.positions)
        let own = context.with(random: context.random?.stream("decoder"))
        x = try runBlocks(
            decoder.blocks[...], x, rotation: decoder.rotation?.of(), recomputes: recomputes,
            in: own)
        if leading > 0 {
            x = try context.sliceTokens(x, leading..<leading + configuration.tokens)
        }
        return try decoder.prediction.forward(
            x, LinearOptions(norm: decoder.norm.layerNorm()), in: context)
    }

    /// Masks, encodes, decodes and compares.
    ///
    /// - images: `[B, C, H, W]`, f32
    /// - target: images that the prediction is compared with; nil: `images`
    /// - normalisation: of the target's patches (`norm_pix_loss`, `norm_image`)
    package func forward(
        _ images: Tensor, masking: Masking, target: Tensor? = nil,
        normalisation: PatchNormalisation = .patch, in context: Context
    ) throws(USPError) -> Reconstruction {
        if let target { try expect(target, images.shape, "target") }
        let latent = try encode(images, masking: masking, in: context)
        let prediction = try decode(latent, masking: masking, in: context)
        let silent = context.recording(on: nil)
        let patches = try silent.patchify(
            target ?? images, patch: configuration.patch, order: .channelLast)
        let wanted = try silent.normalisePatches(patches, normalisation)
        let loss = try context.maskedPatchError(prediction, target: wanted, mask: masking.mask)
        return Reconstruction(loss: loss, prediction: prediction, mask: masking.mask)
    }

    /// Predicted patches as images: `[B, T, P·P·C]` -> `[B, C, H, W]`.
    package func image(
        _ prediction: Tensor, in context: Context
    ) throws(USPError) -> Tensor {
        let encoder = configuration.transformer
        return try context.unpatchify(
            prediction, patch: encoder.patch, channels: encoder.channels,
            height: encoder.grid.height * encoder.patch, width: encoder.grid.width * encoder.patch)
    }

    /// √t·x + √(1 − t)·noise for each image: the input of USP's `--add_noise`, whose target stays
    /// clean.
    ///
    /// - t: one value an image, in 0 ... 1 (the original draws from 0.5 ..< 1)
    package static func noisy(
        _ images: Tensor, t: [Float], noise: Tensor
    ) throws(USPError) -> Tensor {
        try require(
            images.shape.rank > 0 && noise.shape == images.shape && t.count == images.shape[0],
            .shape, "noisy images: \(images.shape), noise \(noise.shape), \(t.count) times")
        let result = try Tensor(images.shape)
        let size = images.count / max(t.count, 1)
        for (sample, time) in t.enumerated() {
            let (signal, rest) = (time.squareRoot(), (1 - time).squareRoot())
            for i in sample * size..<(sample + 1) * size {
                result.floats[i] = signal * images.floats[i] + rest * noise.floats[i]
            }
        }
        return result
    }
}
