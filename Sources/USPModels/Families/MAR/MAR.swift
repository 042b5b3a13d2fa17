// Masked autoregressive generation (Li et al. 2024, "Autoregressive Image Generation without Vector
// Quantization"): a masked encoder and decoder whose output conditions a diffusion head at each
// hidden token.

import USPBase
import USPTensor

/// A masked autoregressive model of latents.
public final class MAR: Model, @unchecked Sendable {
    // SAFETY of @unchecked: all but what who trains sets first is only read.
    public static let families = [Family.mar]
    /// What the names of the head's parameters begin with.
    static let head = "diffloss.net"
    public let configuration: Configuration
    public let weights: ModelWeights
    public let arithmetic: Arithmetic
    /// In each block, instead of keeping it for the gradient.
    package var recomputes = Recomputation.nothing
    /// See `TransformerBlock.dropout`; of training only.
    package var dropout: Float {
        get { encoder.blocks.first?.dropout ?? 0 }
        set {
            for i in encoder.blocks.indices { encoder.blocks[i].dropout = newValue }
            for i in decoder.blocks.indices { decoder.blocks[i].dropout = newValue }
        }
    }

    private let classTable: Tensor
    private let noLabel: Tensor
    private let projection: LinearLayer
    private let projectionNorm: NormLayer
    private var encoder: Stack
    private let decoderEmbedding: LinearLayer
    private let maskToken: Tensor
    private var decoder: Stack
    /// `[1, T, D]`, added to what the decoder gives.
    private let headPositions: Tensor
    package let head: DiffusionHead

    /// Blocks with the table of positions before them and the norm behind them.
    private struct Stack {
        /// `[1, Bf + T, D]`
        let positions: Tensor
        var blocks: [TransformerBlock] = []
        let norm: NormLayer

        init(
            _ block: BlockConfiguration, depth: Int, _ parameters: Parameters, _ name: String
        ) throws(USPError) {
            positions = try parameters.tensor("\(name)_pos_embed_learned")
            norm = try NormLayer(parameters, "\(name)_norm", epsilon: block.epsilon)
            for index in 0..<depth {
                blocks.append(try TransformerBlock(block, parameters, "\(name)_blocks.\(index)"))
            }
        }
    }

    public init(
        _ configuration: Configuration, _ weights: ModelWeights, _ arithmetic: Arithmetic
    ) throws(USPError) {
        try configuration.check()
        (self.configuration, self.weights, self.arithmetic) = (configuration, weights, arithmetic)
        let parameters = weights.parameters
        classTable = try parameters.tensor("class_emb.weight")
        noLabel = try parameters.tensor("fake_latent")
        projection = try LinearLayer(parameters, "z_proj")
        projectionNorm = try NormLayer(parameters, "z_proj_ln", epsilon: 1e-6)
        encoder = try Stack(
            configuration.transformer.block(), depth: configuration.depth, parameters, "encoder")
        decoderEmbedding = try LinearLayer(parameters, "decoder_embed")
        maskToken = try parameters.tensor("mask_token")
        decoder = try Stack(
            configuration.decoderBlock, depth: configuration.decoderDepth, parameters, "decoder")
        headPositions = try parameters.tensor("diffusion_pos_embed_learned")
        head = try DiffusionHead(parameters, MAR.head, depth: configuration.headDepth)
    }

    /// Latents as tokens of E values, channel slowest: `[B, C, H, W]` -> `[B, T, E]`.
    package func tokens(_ latents: Tensor, in context: Context) throws(USPError) -> Tensor {
        let batch = latents.shape.rank == 4 ? latents.shape[0] : 0
        try expect(latents, configuration.imageShape(batch), "latents")
        return try context.patchify(
            latents, patch: configuration.patch, order: .channelFirst)
    }

    /// Tokens as latents: `[B, T, E]` -> `[B, C, H, W]`.
    package func latents(_ tokens: Tensor, in context: Context) throws(USPError) -> Tensor {
        let (grid, patch) = (configuration.grid, configuration.patch)
        return try context.unpatchify(
            tokens, patch: patch, channels: configuration.channels, height: grid.height * patch,
            width: grid.width * patch, order: .channelFirst)
    }

    /// What the head is conditioned by at some tokens of each sample, or at all.
    ///
    /// - tokens: `[B, T, E]`, f32; hidden ones are not read
    /// - labels: B, 0 … K; K is no label
    /// - chosen: the same number of tokens of each sample, such as the hidden ones; nil: all
    /// - Returns: `[B, R, D]`, D the decoder's width
    /// - Throws: `.shape`, `.argument` for a label outside of the table
    package func condition(
        _ tokens: Tensor, labels: [Int], masking: Masking, at chosen: TokenChoice? = nil,
        in context: Context
    ) throws(USPError) -> Tensor {
        let latent = try encode(tokens, labels: labels, masking: masking, in: context)
        return try decode(latent, masking: masking, at: chosen, in: context)
    }

    /// The encoder's tokens before its norm: `[B, Bf + S, D]`, S visible ones.
    private func encode(
        _ tokens: Tensor, labels: [Int], masking: Masking, in context: Context
    ) throws(USPError) -> Tensor {
        let (batch, buffer) = (masking.batch, configuration.buffer)
        try require(
            masking.tokens == configuration.tokens && labels.count == batch, .shape,
            "mask of \(batch) x \(masking.tokens) tokens and \(labels.count) labels for tokens "
                + "\(tokens.shape)")
        try expect(tokens, [batch, configuration.tokens, configuration.patchSize], "tokens")
        var x = try classRows(labels, in: context)
        x = try context.addTable(x, encoder.positions, rows: 0..<buffer)
        if masking.keptPerSample > 0 {
            let kept = try context.gatherTokens(
                tokens, masking.kept, perSample: masking.keptPerSample)
            let places = try context.embedding(
                rows(encoder.positions), masking.kept.map { $0 + buffer })
            let visible = try projection.forward(
                kept, LinearOptions(residual: places), in: context)
            x = try context.concatenateTokens([x, visible])
        }
        x = try projectionNorm.forward(x, in: context)
        let own = context.with(random: context.random?.stream("encoder"))
        return try runBlocks(encoder.blocks[...], x, recomputes: recomputes, in: own)
    }

    /// The class's row, or that of no label, for each place of the buffer: `[B, Bf, D]`.
    private func classRows(_ labels: [Int], in context: Context) throws(USPError) -> Tensor {
        let (width, classes) = (configuration.width, configuration.classes)
        for (sample, label) in labels.enumerated() where label < 0 || label > classes {
            throw USPError(
                .argument,
                "labels: \(label) of sample \(sample), expected 0 to \(classes - 1), or "
                    + "\(classes) for none")
        }
        let table = try context.concatenateTokens([
            classTable.reshaped([1, classes, width]), noLabel.reshaped([1, 1, width]),
        ])
        let repeated = labels.flatMap { repeatElement($0, count: configuration.buffer) }
        return try context.embedding(table.reshaped([classes + 1, width]), repeated)
            .reshaped([labels.count, configuration.buffer, width])
    }

    private func decode(
        _ latent: Tensor, masking: Masking, at chosen: TokenChoice?, in context: Context
    ) throws(USPError) -> Tensor {
        let buffer = configuration.buffer
        let kept = try decoderEmbedding.forward(
            latent, LinearOptions(norm: encoder.norm.layerNorm()), in: context)
        var x = try context.restoreTokens(
            kept, leading: buffer, maskToken: maskToken, restore: masking.restore,
            table: decoder.positions)
        let own = context.with(random: context.random?.stream("decoder"))
        guard let chosen, let last = decoder.blocks.last else {
            x = try runBlocks(decoder.blocks[...], x, recomputes: recomputes, in: own)
            x = try context.sliceTokens(x, buffer..<buffer + configuration.tokens)
            x = try decoder.norm.forward(x, in: context)
            return try context.addTable(x, headPositions, rows: 0..<configuration.tokens)
        }
        // The last block is wanted for some tokens only; all are keys and values of it.
        x = try runBlocks(decoder.blocks.dropLast(), x, recomputes: recomputes, in: own)
        let random = own.random?.stream("block").stream(decoder.blocks.count - 1)
        x = try last.forward(
            x, keeping: chosen.shifted(by: buffer), in: own.with(random: random))
        x = try decoder.norm.forward(x, in: context)
        let places = try context.embedding(rows(headPositions), chosen.positions)
        return try context.add(x, places.reshaped(x.shape))
    }

    /// The rows of a table `[1, R, D]`.
    private func rows(_ table: Tensor) throws(USPError) -> Tensor {
        try table.reshaped([table.shape[1], table.shape[2]])
    }
}
