// The encoder of a vision transformer: patches to tokens, positions, blocks.

import USPBase
import USPTensor

/// Parameters `cls_token`, `register_tokens`, `pos_embed`, `patch_embed.proj.*`, `norm_pre.*`,
/// `blocks.i.*`, behind a prefix where they are a part of a model.
package struct ViTEncoder {
    package let configuration: TransformerSizes
    package let patchEmbedding: PatchEmbedding
    package let classToken: Tensor?
    /// `[1, R, D]`
    let registers: Tensor?
    /// `[1, leadingPositions + T, D]`; nil where only relative positions tell places apart.
    package let positions: Tensor?
    package let blocks: [TransformerBlock]
    private let preNorm: NormLayer?
    private let rotation: RotaryEmbedding?
    /// Of the position table, for images of another size.
    private let resampling: PositionResampling

    /// - prefix: of the names, such as `backbone.`
    /// - Throws: `.missingWeight`
    package init(
        _ configuration: TransformerSizes, _ parameters: Parameters, at prefix: String = "",
        resampling: PositionResampling = .bicubic, dropPath: Float = 0
    ) throws(USPError) {
        (self.configuration, self.resampling) = (configuration, resampling)
        func tensor(_ name: String, _ isThere: Bool) throws(USPError) -> Tensor? {
            isThere ? try parameters.tensor(prefix + name) : nil
        }
        patchEmbedding = try PatchEmbedding(
            parameters, "\(prefix)patch_embed", channels: configuration.channels,
            patch: configuration.patch)
        classToken = try tensor("cls_token", configuration.classToken)
        registers = try tensor("register_tokens", configuration.registers > 0)
        let isRelative =
            configuration.relativePositions && !parameters.contains("\(prefix)pos_embed")
        positions = try tensor("pos_embed", !isRelative)
        preNorm =
            configuration.preNorm
            ? try NormLayer(
                parameters, "\(prefix)norm_pre", configuration.norm, epsilon: configuration.epsilon)
            : nil
        rotation = try configuration.rotation(parameters, "\(prefix)feat_rope")
        let places =
            configuration.relativePositions
            ? try RelativePlaces(height: configuration.grid.height, width: configuration.grid.width)
            : nil
        var blocks: [TransformerBlock] = []
        for index in 0..<configuration.depth {
            // The rate grows linearly over the depth, as in timm.
            let rate = dropPath * Float(index) / Float(max(configuration.depth - 1, 1))
            blocks.append(
                try TransformerBlock(
                    configuration.block(.xavier), parameters, "\(prefix)blocks.\(index)",
                    places: places, dropPath: rate))
        }
        self.blocks = blocks
    }

    /// Tokens with their positions, class token and registers first: `[B, leading + S, D]`.
    ///
    /// - images: `[B, C, H, W]` of the configuration's size, f32
    /// - masking: keeps S tokens of each sample; nil keeps all
    /// - table: positions for images of another size, see `positions(of:)`
    package func embed(
        _ images: Tensor, masking: Masking? = nil, table: Tensor? = nil, in context: Context
    ) throws(USPError) -> Tensor {
        let batch = images.shape.rank == 4 ? images.shape[0] : 0
        if table == nil { try expect(images, configuration.imageShape(batch), "images") }
        let patches = try patchEmbedding.patches(images, in: context)
        let leading = configuration.leadingPositions
        let positions = table ?? self.positions
        var tokens: Tensor
        if let masking {
            try require(
                masking.batch == batch && masking.tokens == configuration.tokens, .shape,
                "masking of \(masking.batch) x \(masking.tokens) tokens "
                    + "for \(batch) x \(configuration.tokens)")
            // Only kept patches are projected: the product is row by row.
            let kept = try context.gatherTokens(
                patches, masking.kept, perSample: masking.keptPerSample)
            let places = try positions.map { positions throws(USPError) in
                let rows = try positions.reshaped(
                    Shape(Array(positions.shape.extents.dropFirst())))
                return try context.embedding(rows, masking.kept.map { $0 + leading })
            }
            tokens = try patchEmbedding.projection.forward(
                kept, LinearOptions(residual: places), in: context)
        } else {
            tokens = try patchEmbedding.projection.forward(patches, in: context)
            if let positions {
                tokens = try context.addTable(
                    tokens, positions, rows: leading..<leading + tokens.shape[1])
            }
        }
        var parts: [Tensor] = []
        if let classToken {
            var first = classToken
            if leading > 0, let positions {
                first = try context.add(classToken, try context.sliceTokens(positions, 0..<1))
            }
            parts.append(try context.broadcastToken(first, batch: batch, count: 1))
        }
        if let registers { parts.append(try context.repeated(registers, batch)) }
        if !parts.isEmpty { tokens = try context.concatenateTokens(parts + [tokens]) }
        return try preNorm?.forward(tokens, in: context) ?? tokens
    }

    /// Tokens after the first `depth` blocks (all by default), before any norm.
    ///
    /// - images: of any sides that are multiples of the patch, see `maps`; masked ones of the
    ///   configuration's
    package func forward(
        _ images: Tensor, masking: Masking? = nil, depth: Int? = nil,
        recomputes: Recomputation = .nothing, in context: Context
    ) throws(USPError) -> Tensor {
        let count = depth ?? blocks.count
        try require(
            count >= 0 && count <= blocks.count, .argument,
            "block \(count), expected 0 to \(blocks.count)")
        let table = masking == nil ? try positions(for: images, in: context) : nil
        let tokens = try embed(images, masking: masking, table: table, in: context)
        return try runBlocks(
            blocks[..<count], tokens, rotation: rotation?.of(masking), recomputes: recomputes,
            in: context)
    }

    /// Patches' tokens after each of these blocks (from 0), before any norm: `[B, h·w, D]` each.
    ///
    /// - images: `[B, C, H, W]` of any sides that are multiples of the patch; for another size than
    ///   the configuration's the position table is resampled, which takes no gradient
    /// - indices: not falling
    /// - Throws: `.unsupported` for another size where positions are relative or tokens turn
    package func maps(
        _ images: Tensor, after indices: [Int], recomputes: Recomputation = .nothing,
        in context: Context
    ) throws(USPError) -> (tokens: [Tensor], grid: Grid) {
        let grid = try grid(of: images)
        let table = try positions(for: images, in: context)
        var x = try embed(images, table: table, in: context)
        var (done, result) = (0, [Tensor]())
        for index in indices {
            try require(
                (0..<blocks.count).contains(index) && index + 1 >= done, .argument,
                "block \(index), expected 0 to \(blocks.count - 1), not falling")
            x = try runBlocks(
                blocks[done..<index + 1], x, rotation: rotation?.of(), recomputes: recomputes,
                in: context)
            done = index + 1
            result.append(
                try context.sliceTokens(x, configuration.leading..<x.shape[1]))
        }
        return (result, grid)
    }

    /// Patches' tokens, or their means, after these blocks (from 1): `[B, h·w, D]` or `[B, D]` each.
    package func features(
        _ images: Tensor, layers: [Int], tokens: Bool, in context: Context
    ) throws(USPError) -> [Tensor] {
        try afterLayers(layers, depth: blocks.count) { ascending throws(USPError) in
            var result = try maps(images, after: ascending.map { $0 - 1 }, in: context).tokens
            if !tokens {
                for place in result.indices {
                    result[place] = try context.meanTokens(result[place])
                }
            }
            return result
        }
    }

    /// Attention's probabilities in a block (from 1): `[B, N, leading + T, leading + T]`.
    package func attention(
        _ images: Tensor, layer: Int, in context: Context
    ) throws(USPError) -> Tensor {
        try afterLayers([layer], depth: blocks.count) { ascending throws(USPError) in
            let x = try forward(images, depth: ascending[0] - 1, in: context)
            return [
                try blocks[ascending[0] - 1].attentionMap(x, rotation: rotation?.of(), in: context)
            ]
        }[0]
    }

    /// The patches of images of any size.
    private func grid(of images: Tensor) throws(USPError) -> Grid {
        let (shape, patch) = (images.shape, configuration.patch)
        try require(
            shape.rank == 4 && shape[1] == configuration.channels && shape[2] > 0 && shape[3] > 0
                && shape[2] % patch == 0 && shape[3] % patch == 0, .shape,
            "images: \(shape), expected [B, \(configuration.channels), H, W] with sides that are "
                + "multiples of the patch, \(patch)")
        return Grid(shape[2] / patch, shape[3] / patch)
    }

    /// The position table for images of another size than the configuration's, else nil.
    private func positions(
        for images: Tensor, in context: Context
    ) throws(USPError) -> Tensor? {
        let own = configuration
        let grid = try grid(of: images)
        if grid == own.grid { return nil }
        guard let positions, !own.relativePositions, !own.rope else {
            throw USPError(
                .unsupported,
                "images of \(grid) patches: this model's \(own.rope ? "rotary" : "relative") "
                    + "positions are of \(own.grid); give crops of "
                    + "\(own.grid.height * own.patch) x \(own.grid.width * own.patch)")
        }
        try require(
            context.tape == nil || !positions.node.requiresGradient, .unsupported,
            "images of \(grid) patches: positions are trained for \(own.grid) only; transfer the "
                + "model to another grid first")
        let values = try PositionTable.resize(
            positions.values, width: own.width, from: own.grid, to: grid,
            leading: own.leadingPositions, resampling)
        return try Tensor([1, own.leadingPositions + grid.count, own.width], values)
    }
}
