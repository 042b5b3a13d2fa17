// The pre-norm transformer block of all our models: plain, or modulated by adaLN-Zero.

import USPBase
import USPTensor

/// x += gate₁·attention(modulate(norm1(x))); x += gate₂·mlp(modulate(norm2(x)))
/// (Dosovitskiy et al. 2021; adaLN-Zero: Peebles and Xie 2023).
package struct TransformerBlock {
    package let configuration: BlockConfiguration
    package let norm1: NormLayer
    package let qkv: LinearLayer
    /// Of queries and keys.
    let headNorms: (query: NormLayer, key: NormLayer)?
    package let projection: LinearLayer
    package let norm2: NormLayer
    let first: LinearLayer
    let second: LinearLayer
    /// γ of both halves (layer scale).
    let scales: [Tensor]
    /// Of the scores of attention.
    let bias: RelativeBias?
    /// The projection of the condition to shift, scale and gate of both halves: `[B, n·D]`.
    package let modulation: LinearLayer?
    /// Probability of dropping each half of the block for a sample.
    package var dropPath: Float = 0
    /// Probability of dropping a value behind each product but that of queries, keys and values.
    package var dropout: Float = 0

    /// - places: of the pairs of tokens, where attention has a table of biases
    /// - Throws: `.missingWeight`
    package init(
        _ configuration: BlockConfiguration, _ parameters: Parameters, _ name: String,
        places: RelativePlaces? = nil, dropPath: Float = 0
    ) throws(USPError) {
        self.configuration = configuration
        func norm(_ part: String, _ epsilon: Float) throws(USPError) -> NormLayer {
            try NormLayer(parameters, "\(name).\(part)", configuration.norm, epsilon: epsilon)
        }
        func layer(_ part: String, isQuantizable: Bool = true) throws(USPError) -> LinearLayer {
            try LinearLayer(parameters, "\(name).\(part)", isQuantizable: isQuantizable)
        }
        let (epsilon, mlp) = (configuration.epsilon, configuration.mlp)
        let ofHeads = configuration.queryKeyEpsilon
        norm1 = try norm("norm1", configuration.attentionEpsilon ?? epsilon)
        norm2 = try norm("norm2", epsilon)
        (qkv, projection) = (try layer("attn.qkv"), try layer("attn.proj"))
        headNorms =
            configuration.queryKeyNorm
            ? (try norm("attn.q_norm", ofHeads), try norm("attn.k_norm", ofHeads)) : nil
        (first, second) = (try layer(mlp.first), try layer(mlp.second))
        scales =
            configuration.layerScale
            ? [
                try parameters.tensor("\(name).ls1.gamma"),
                try parameters.tensor("\(name).ls2.gamma"),
            ] : []
        let table = "\(name).attn.relative_position_bias_table"
        bias = try places.map { places throws(USPError) in
            RelativeBias(table: try parameters.tensor(table), places: places)
        }
        modulation =
            configuration.modulation == nil
            ? nil : try layer("adaLN_modulation.1", isQuantizable: false)
        self.dropPath = dropPath
    }

    /// - x: `[B, T, D]`, f32
    /// - modulation: `[B, n·D]` (shift, scale, gate of attention, then of the MLP) for modulated
    ///   blocks, else nil
    /// - rotation: of queries and keys
    /// - overwritesInput: without a tape the result takes x's memory
    /// - recomputesHidden: do not keep the hidden layer for the gradient, compute it again
    /// - leavesResultUndefined, beside: see `LinearOptions`
    /// - keeping: the result's tokens, all of which attend to all of x's; nil: all of x's
    /// - context: its `random`, if any, is this block's own stream
    /// - Returns: `[B, T, D]`, f32
    package func forward(
        _ x: Tensor, modulation: Tensor? = nil, rotation: Rotation? = nil,
        overwritesInput: Bool = false, recomputesHidden: Bool = false,
        leavesResultUndefined: Bool = false, beside: LinearBeside? = nil,
        keeping kept: TokenChoice? = nil, in context: Context
    ) throws(USPError) -> Tensor {
        let context = context.inBlock
        let type = context.activationType
        var h = try qkv.forward(
            x, LinearOptions(norm: modulated(norm1, 0, modulation), output: type), in: context)
        h = try context.attention(
            qkv: h, heads: configuration.heads,
            queryKey: QueryKeyOptions(
                queryNorm: headNorms?.query.layerNorm(), keyNorm: headNorms?.key.layerNorm(),
                rotation: rotation), bias: bias,
            output: kept == nil ? type : .float32)
        var x = x
        if let kept {
            (h, x) = (try kept.gather(h, in: context), try kept.gather(x, in: context))
        }
        let drops = dropout > 0 && context.random != nil
        let middle = try dropped(projection, h, residual: x, 2, drops, context) {
            () throws(USPError) in
            LinearOptions(
                gate: try gate(0, modulation, x, context), residual: x,
                overwritesResidual: overwritesInput)
        }
        h = try first.forward(
            middle,
            LinearOptions(
                norm: modulated(norm2, 1, modulation),
                activation: configuration.isGatedUnit ? .silu : configuration.activation,
                isGatedUnit: configuration.isGatedUnit, output: drops ? .float32 : type,
                recomputesActivationInput: recomputesHidden, beside: beside), in: context)
        if drops {
            h = try context.with(random: context.random?.stream(3)).dropout(h, rate: dropout)
        }
        return try dropped(second, h, residual: middle, 4, drops, context) {
            () throws(USPError) in
            LinearOptions(
                gate: try gate(1, modulation, x, context), residual: middle,
                overwritesResidual: true, leavesResultUndefined: leavesResultUndefined)
        }
    }

    /// A layer with its residual; what it adds is dropped in part where that is asked for.
    private func dropped(
        _ layer: LinearLayer, _ h: Tensor, residual: Tensor, _ place: Int, _ drops: Bool,
        _ context: Context, _ options: () throws(USPError) -> LinearOptions
    ) throws(USPError) -> Tensor {
        guard drops else { return try layer.forward(h, options(), in: context) }
        let own = context.with(random: context.random?.stream(place))
        return try context.add(residual, own.dropout(layer.forward(h, in: context), rate: dropout))
    }

    func modulated(_ norm: NormLayer, _ half: Int, _ modulation: Tensor?) -> LayerNorm {
        guard let modulation, let parts = configuration.modulation else { return norm.layerNorm() }
        let width = configuration.width
        return norm.layerNorm(
            shift: parts.shift(half).map { Chunk(modulation, $0, width: width) },
            scale: Chunk(modulation, parts.scale(half), width: width))
    }

    /// The gate of one half: the modulation's, the factors of drop path, layer scale.
    private func gate(
        _ half: Int, _ modulation: Tensor?, _ x: Tensor, _ context: Context
    ) throws(USPError) -> Chunk? {
        let (samples, width) = (x.shape[0], configuration.width)
        let scale = scales.isEmpty ? nil : scales[half]
        if let modulation, let parts = configuration.modulation {
            let gate = Chunk(modulation, parts.gate(half), width: width)
            guard let scale else { return gate }
            let rows = try context.broadcastToken(scale, batch: samples, count: 1)
            return Chunk(
                try context.gate(rows, by: gate).reshaped([samples, width]), 0, width: width)
        }
        let own = context.with(random: context.random?.stream(half))
        if let scale {
            return try own.dropPathGate(samples: samples, scale: scale, rate: dropPath)
        }
        return try own.dropPathGate(samples: samples, width: width, rate: dropPath)
    }

    package var tensors: [Tensor] {
        norm1.tensors + qkv.tensors + projection.tensors + norm2.tensors + first.tensors
            + second.tensors + scales
            + (bias.map { [$0.table] } ?? [])
            + (headNorms.map { $0.query.tensors + $0.key.tensors } ?? [])
    }
}

/// Runs x through blocks in order.
///
/// Where neither gradients nor random numbers ask for the whole batch at once, it goes through them
/// in groups of samples: then one group's activations are all that there are beside x.
/// - x: `[B, T, D]`, f32; given up: without a tape its memory may become the result's
/// - recomputes: instead of keeping it for the gradient
/// - modulations: one for each block, or none
/// - rotation: of all blocks' queries and keys
package func runBlocks(
    _ blocks: ArraySlice<TransformerBlock>, _ x: Tensor, modulations: [Modulation] = [],
    rotation: Rotation? = nil, recomputes: Recomputation = .nothing, in context: Context
) throws(USPError) -> Tensor {
    if context.tape == nil && context.random == nil {
        try runInPlace(blocks, x, modulations: modulations, rotation: rotation, in: context)
        return x
    }
    var x = x
    for (place, block) in blocks.enumerated() {
        let index = blocks.startIndex + place
        let own = context.with(random: context.random?.stream("block").stream(index))
        let modulation = modulations.isEmpty ? nil : try modulations[place].value()
        guard recomputes == .blocks else {
            x = try block.forward(
                x, modulation: modulation, rotation: rotation,
                recomputesHidden: recomputes == .hidden, in: own)
            continue
        }
        x = try own.recomputed([x] + (modulation.map { [$0] } ?? []), uses: block.tensors) {
            inputs, context, leavesResultUndefined throws(USPError) in
            try block.forward(
                inputs[0], modulation: inputs.count > 1 ? inputs[1] : nil, rotation: rotation,
                leavesResultUndefined: leavesResultUndefined, in: context)
        }
    }
    return x
}

/// Each group of samples through all blocks, the result in its place; a block's modulation is
/// computed beside the first layer of the MLP before it.
private func runInPlace(
    _ blocks: ArraySlice<TransformerBlock>, _ x: Tensor, modulations: [Modulation],
    rotation: Rotation?, in context: Context
) throws(USPError) {
    for samples in sampleGroups(x.shape[0], tokens: x.shape[1]) {
        let part = try x.detachedRows(samples)
        let turned = rotation?.of(samples, tokens: x.shape[1])
        for (index, block) in blocks.enumerated() {
            let modulation = modulations.isEmpty ? nil : try modulations[index].value()
            let next = index + 1 < modulations.count ? try modulations[index + 1].beside() : nil
            _ = try block.forward(
                part, modulation: modulation?.detachedRows(samples), rotation: turned,
                overwritesInput: true, beside: next, in: context)
        }
    }
}

/// 0..<batch in nearly equal ranges of so many samples that every thread has a full block of a
/// product, 512 rows: with fewer its rate falls. Where whole samples fill less than three quarters
/// of a block it gets two of them.
package func sampleGroups(_ batch: Int, tokens: Int) -> [Range<Int>] {
    let block = max(512 / max(tokens, 1), 1)
    let wanted = ThreadPool.shared.threads * (block * tokens < 384 ? 2 * block : block)
    let count = min(max((batch + wanted / 2) / wanted, 1), batch)
    return (0..<count).map { batch * $0 / count..<batch * ($0 + 1) / count }
}
