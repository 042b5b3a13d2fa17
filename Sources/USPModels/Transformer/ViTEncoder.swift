// The encoder of a vision transformer: patches to tokens, positions, blocks.

import USPBase
import USPTensor

/// Parameters `cls_token`, `register_tokens`, `pos_embed`, `patch_embed.proj.*`, `blocks.i.*`.
package struct ViTEncoder {
    package let configuration: TransformerSizes
    package let patchEmbedding: PatchEmbedding
    package let classToken: Tensor?
    /// `[1, R, D]`
    let registers: Tensor?
    /// `[1, leadingPositions + T, D]`
    package let positions: Tensor
    package let blocks: [TransformerBlock]
    private let rotation: RotaryEmbedding?

    /// - Throws: `.missingWeight`
    package init(
        _ configuration: TransformerSizes, _ parameters: Parameters, dropPath: Float = 0
    ) throws(USPError) {
        self.configuration = configuration
        patchEmbedding = try PatchEmbedding(
            parameters, "patch_embed", channels: configuration.channels, patch: configuration.patch)
        classToken = configuration.classToken ? try parameters.tensor("cls_token") : nil
        registers =
            configuration.registers > 0 ? try parameters.tensor("register_tokens") : nil
        positions = try parameters.tensor("pos_embed")
        rotation = try configuration.rotation(parameters)
        var blocks: [TransformerBlock] = []
        for index in 0..<configuration.depth {
            // The rate grows linearly over the depth, as in timm.
            let rate = dropPath * Float(index) / Float(max(configuration.depth - 1, 1))
            blocks.append(
                try TransformerBlock(
                    configuration.block(.xavier), parameters, "blocks.\(index)", dropPath: rate))
        }
        self.blocks = blocks
    }

    /// Tokens with their positions, class token and registers first: `[B, leading + S, D]`.
    ///
    /// - images: `[B, C, H, W]` of the configuration's size, f32
    /// - masking: keeps S tokens of each sample; nil keeps all
    package func embed(
        _ images: Tensor, masking: Masking? = nil, in context: Context
    ) throws(USPError) -> Tensor {
        let batch = images.shape.rank == 4 ? images.shape[0] : 0
        try expect(images, configuration.imageShape(batch), "images")
        let patches = try patchEmbedding.patches(images, in: context)
        let leading = configuration.leadingPositions
        var tokens: Tensor
        if let masking {
            try require(
                masking.batch == batch && masking.tokens == configuration.tokens, .shape,
                "masking of \(masking.batch) x \(masking.tokens) tokens "
                    + "for \(batch) x \(configuration.tokens)")
            // Only kept patches are projected: the product is row by row.
            let kept = try context.gatherTokens(
                patches, masking.kept, perSample: masking.keptPerSample)
            let table = try positions.reshaped(Shape(Array(positions.shape.extents.dropFirst())))
            let places = try context.embedding(table, masking.kept.map { $0 + leading })
            tokens = try patchEmbedding.projection.forward(
                kept, LinearOptions(residual: places), in: context)
        } else {
            tokens = try patchEmbedding.projection.forward(patches, in: context)
            tokens = try context.addTable(
                tokens, positions, rows: leading..<leading + configuration.tokens)
        }
        var parts: [Tensor] = []
        if let classToken {
            let first =
                leading == 0
                ? classToken
                : try context.add(classToken, try context.sliceTokens(positions, 0..<1))
            parts.append(try context.broadcastToken(first, batch: batch, count: 1))
        }
        if let registers { parts.append(try context.repeated(registers, batch)) }
        return parts.isEmpty ? tokens : try context.concatenateTokens(parts + [tokens])
    }

    /// Tokens after the first `depth` blocks (all by default), before any norm.
    package func forward(
        _ images: Tensor, masking: Masking? = nil, depth: Int? = nil,
        recomputes: Recomputation = .nothing, in context: Context
    ) throws(USPError) -> Tensor {
        let count = depth ?? blocks.count
        try require(
            count >= 0 && count <= blocks.count, .argument,
            "block \(count), expected 0 to \(blocks.count)")
        let tokens = try embed(images, masking: masking, in: context)
        return try runBlocks(
            blocks[..<count], tokens, rotation: rotation?.of(masking), recomputes: recomputes,
            in: context)
    }
}
