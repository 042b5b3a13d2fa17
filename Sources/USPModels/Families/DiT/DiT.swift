// The diffusion transformer of Peebles and Xie (2023); SiT (Ma et al. 2024) is a preset of it.

import USPBase
import USPTensor

/// A DiT or SiT.
public final class DiT: Model, @unchecked Sendable {
    // SAFETY of @unchecked: all but `recomputes`, which who trains sets first, is only read.
    public static let families = [Family.lightningDiT, .dit, .sit]
    public let configuration: Configuration
    public let weights: ModelWeights
    public let arithmetic: Arithmetic
    /// In each block, instead of keeping it for the gradient.
    package var recomputes = Recomputation.nothing

    let patchEmbedding: PatchEmbedding
    let positions: Tensor
    private let registers: Tensor?
    private let rotation: RotaryEmbedding?
    let timestep: (first: LinearLayer, second: LinearLayer)
    let labelTable: Tensor
    package let blocks: [TransformerBlock]
    let finalNorm: NormLayer
    let finalLinear: LinearLayer
    let finalModulation: LinearLayer
    private let projectors: [[LinearLayer]]

    public init(
        _ configuration: Configuration, _ weights: ModelWeights, _ arithmetic: Arithmetic
    ) throws(USPError) {
        try configuration.check()
        var own = configuration
        // RMS norms have their γ anyway, which shapes cannot tell from affine ones'.
        if own.rmsNorm { own.affine = false }
        (self.configuration, self.weights, self.arithmetic) = (own, weights, arithmetic)
        let parameters = weights.parameters
        patchEmbedding = try PatchEmbedding(
            parameters, "x_embedder", channels: configuration.channels, patch: configuration.patch)
        positions = try parameters.tensor("pos_embed")
        registers =
            configuration.registers > 0 ? try parameters.tensor("register_tokens") : nil
        rotation = try configuration.transformer.rotation(parameters)
        timestep = (
            try LinearLayer(parameters, "t_embedder.mlp.0"),
            try LinearLayer(parameters, "t_embedder.mlp.2")
        )
        labelTable = try parameters.tensor("y_embedder.embedding_table.weight")
        var blocks: [TransformerBlock] = []
        for index in 0..<configuration.depth {
            blocks.append(
                try TransformerBlock(configuration.block, parameters, "blocks.\(index)"))
        }
        self.blocks = blocks
        var projectors: [[LinearLayer]] = []
        for index in configuration.projections.indices {
            var layers: [LinearLayer] = []
            for layer in Configuration.projectorLayers {
                layers.append(try LinearLayer(parameters, "projectors.\(index).\(layer)"))
            }
            projectors.append(layers)
        }
        self.projectors = projectors
        // 1e-6 in every layout: diffusers' `norm_eps` is of the blocks only.
        finalNorm = try NormLayer(
            parameters, "final_layer.norm_final", configuration.transformer.norm, epsilon: 1e-6)
        finalLinear = try LinearLayer(parameters, "final_layer.linear")
        finalModulation = try LinearLayer(parameters, "final_layer.adaLN_modulation.1")
    }

    /// The network's prediction for latents at times t with labels y.
    ///
    /// - x: `[B, C, H, W]`, f32
    /// - t: B times: DiT's integer timesteps as floats, SiT's in 0 ... 1
    /// - y: B labels; `classes` is the null class. Training drops labels before it calls.
    ///   r·B times and labels are r passes over the same latents: what knows neither is done once.
    /// - Returns: `[r·B, C, H, W]`, or 2·C channels with a returned sigma; f32
    /// - Throws: `.shape`, `.argument` for a label outside the table
    package func forward(
        _ x: Tensor, t: [Float], y: [Int], in context: Context
    ) throws(USPError) -> Tensor {
        try forward(x, try conditioning(t: t, y: y, in: context), in: context)
    }

    /// The same with a conditioning that was computed before.
    package func forward(
        _ x: Tensor, _ conditioning: DiTConditioning, in context: Context
    ) throws(USPError) -> Tensor {
        try prediction(
            features(x, conditioning, depth: blocks.count, in: context), conditioning, in: context)
    }

    /// The prediction, and what each projector makes of the tokens behind block `encoder_depth`:
    /// `[B, T, Z]`.
    package func projecting(
        _ x: Tensor, t: [Float], y: [Int], in context: Context
    ) throws(USPError) -> (output: Tensor, projections: [Tensor]) {
        let conditioning = try conditioning(t: t, y: y, in: context)
        var tokens = try embed(x, conditioning, in: context)
        let depth = configuration.encoderDepth
        tokens = try run(0..<depth, tokens, conditioning, in: context)
        // Before the next blocks, which may write over the tokens.
        let projections = try project(patches(tokens, in: context), in: context)
        tokens = try run(depth..<blocks.count, tokens, conditioning, in: context)
        let output = try prediction(
            patches(tokens, in: context), conditioning, in: context)
        return (output, projections)
    }

    /// The projections alone, without the blocks behind them.
    package func projections(
        _ x: Tensor, t: [Float], y: [Int], in context: Context
    ) throws(USPError) -> [Tensor] {
        try expectProjectors()
        let conditioning = try conditioning(t: t, y: y, in: context)
        return try project(
            features(x, conditioning, depth: configuration.encoderDepth, in: context), in: context)
    }

    /// - Throws: `.unsupported` for a model without projectors
    package func expectProjectors() throws(USPError) {
        try require(
            !projectors.isEmpty, .unsupported,
            "this \(family) has no projectors, which features of a teacher are compared with; create "
                + "it, or transfer to it, with projections: the teacher's width")
    }

    private func project(
        _ tokens: Tensor, in context: Context
    ) throws(USPError) -> [Tensor] {
        var result: [Tensor] = []
        for layers in projectors {
            var x = tokens
            for (index, layer) in layers.enumerated() {
                let isLast = index == layers.count - 1
                x = try layer.forward(
                    x, LinearOptions(activation: isLast ? .none : .silu), in: context)
            }
            result.append(x)
        }
        return result
    }

    /// `[B, C, H, W]` of the last block's tokens.
    package func prediction(
        _ tokens: Tensor, _ conditioning: DiTConditioning, in context: Context
    ) throws(USPError) -> Tensor {
        let (width, patch) = (configuration.width, configuration.patch)
        let final = conditioning.final
        let norm = finalNorm.layerNorm(
            shift: Chunk(final, 0, width: width), scale: Chunk(final, 1, width: width))
        let patches = try finalLinear.forward(tokens, LinearOptions(norm: norm), in: context)
        let (height, columns) = (
            configuration.grid.height * patch, configuration.grid.width * patch
        )
        let all = try context.unpatchify(
            patches, patch: patch, channels: configuration.predictedChannels, height: height,
            width: columns)
        guard configuration.outputChannels < configuration.predictedChannels else { return all }
        let planes = try all.reshaped(
            [all.shape[0], configuration.predictedChannels, height * columns])
        return try context.sliceTokens(planes, 0..<configuration.outputChannels)
            .reshaped([all.shape[0], configuration.outputChannels, height, columns])
    }

    /// Tokens `[B, T, D]` after the first `depth` blocks, before any norm: DiT as a feature
    /// extractor (USP probes t = 0 and the null class, averaged over tokens).
    package func features(
        _ x: Tensor, _ conditioning: DiTConditioning, depth: Int, in context: Context
    ) throws(USPError) -> Tensor {
        try require(
            depth >= 0 && depth <= blocks.count, .argument,
            "block \(depth), expected 0 to \(blocks.count)")
        let tokens = try run(
            0..<depth, embed(x, conditioning, in: context), conditioning, in: context)
        return try patches(tokens, in: context)
    }

    /// The mean of the tokens after each block, `[B, D]` each, from one pass.
    package func meansOfBlocks(
        _ x: Tensor, _ conditioning: DiTConditioning, in context: Context
    ) throws(USPError) -> [Tensor] {
        var tokens = try embed(x, conditioning, in: context)
        var means: [Tensor] = []
        for depth in blocks.indices {
            tokens = try run(depth..<depth + 1, tokens, conditioning, in: context)
            // Before the next block, which may write over the tokens.
            means.append(try context.meanTokens(patches(tokens, in: context), from: 0))
        }
        return means
    }

    /// Patches' tokens after these blocks (from 1), from one pass.
    package func tokens(
        _ x: Tensor, _ conditioning: DiTConditioning, layers: [Int], in context: Context
    ) throws(USPError) -> [Tensor] {
        try afterLayers(layers, depth: blocks.count) { ascending throws(USPError) in
            var (tokens, done) = (try embed(x, conditioning, in: context), 0)
            var result: [Tensor] = []
            for layer in ascending {
                tokens = try run(done..<layer, tokens, conditioning, in: context)
                done = layer
                // The next blocks may write over the tokens.
                result.append(try patches(tokens, in: context).copied())
            }
            return result
        }
    }

    /// Attention's probabilities in a block (from 1), registers in front.
    package func attention(
        _ x: Tensor, _ conditioning: DiTConditioning, layer: Int, in context: Context
    ) throws(USPError) -> Tensor {
        try afterLayers([layer], depth: blocks.count) { ascending throws(USPError) in
            let before = ascending[0] - 1
            let tokens = try run(
                0..<before, embed(x, conditioning, in: context), conditioning, in: context)
            return [
                try blocks[before].attentionMap(
                    tokens, modulation: conditioning.blocks[before].value(),
                    rotation: rotation?.of(), in: context)
            ]
        }[0]
    }

    /// Patches with their positions, registers in front.
    package func embed(
        _ x: Tensor, _ conditioning: DiTConditioning, in context: Context
    ) throws(USPError) -> Tensor {
        let batch = x.shape.rank == 4 ? x.shape[0] : 0
        try expect(x, configuration.imageShape(batch), "latents")
        try require(
            batch > 0 && conditioning.batch > 0 && conditioning.batch % batch == 0, .shape,
            "conditioning of \(conditioning.batch) samples for \(batch) latents")
        let patches = try patchEmbedding.patches(x, in: context)
        let embedded = try patchEmbedding.projection.forward(patches, in: context)
        let tokens = try repeated(
            context.addTable(embedded, positions, rows: 0..<configuration.tokens),
            conditioning.batch / batch, in: context)
        guard let registers else { return tokens }
        return try context.concatenateTokens(
            [try context.repeated(registers, conditioning.batch), tokens])
    }

    package func run(
        _ range: Range<Int>, _ tokens: Tensor, _ conditioning: DiTConditioning,
        in context: Context
    ) throws(USPError) -> Tensor {
        try runBlocks(
            blocks[range], tokens, modulations: Array(conditioning.blocks[range]),
            rotation: rotation?.of(), recomputes: recomputes, in: context)
    }

    /// Without the registers.
    package func patches(_ tokens: Tensor, in context: Context) throws(USPError) -> Tensor {
        let leading = configuration.leading
        return leading == 0
            ? tokens
            : try context.sliceTokens(tokens, leading..<leading + configuration.tokens)
    }

    /// The batch several times over: `[B, T, D]` to `[r·B, T, D]`.
    private func repeated(
        _ tokens: Tensor, _ times: Int, in context: Context
    ) throws(USPError) -> Tensor {
        if times == 1 { return tokens }
        let (batch, count, width) = (tokens.shape[0], tokens.shape[1], tokens.shape[2])
        let rows = (0..<times * batch).map { $0 % batch }
        return try context.embedding(tokens.reshaped([batch, count * width]), rows)
            .reshaped([times * batch, count, width])
    }
}
