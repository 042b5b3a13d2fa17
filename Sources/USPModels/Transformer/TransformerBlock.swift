// The pre-norm transformer block of all our models: plain, or modulated by adaLN-Zero.

import USPBase
import USPTensor

/// Sizes and switches of one block.
package struct BlockConfiguration: Sendable, Equatable {
    /// Width of a token, D.
    package var width: Int
    /// Attention heads; they divide the width.
    package var heads: Int
    /// Width of the hidden layer.
    package var hidden: Int
    package var activation: Activation
    /// Of the norms.
    package var epsilon: Float
    /// Norms with γ and β of their own.
    package var affine: Bool
    /// Shift, scale and gate from a condition (adaLN-Zero).
    package var modulated: Bool
    /// Of the linear layers that are not modulations.
    package var start: LinearStart

    package init(
        width: Int, heads: Int, hidden: Int, activation: Activation, epsilon: Float = 1e-6,
        affine: Bool = true, modulated: Bool = false, start: LinearStart = .xavier
    ) {
        (self.width, self.heads, self.hidden) = (width, heads, hidden)
        (self.activation, self.epsilon) = (activation, epsilon)
        (self.affine, self.modulated, self.start) = (affine, modulated, start)
    }

    /// Parameters of the block called `name`, in the originals' order.
    package func specs(_ name: String) -> [ParameterSpec] {
        var specs: [ParameterSpec] = []
        if affine { specs += NormLayer.specs("\(name).norm1", width: width) }
        specs += LinearLayer.specs("\(name).attn.qkv", inputs: width, outputs: 3 * width, start)
        specs += LinearLayer.specs("\(name).attn.proj", inputs: width, outputs: width, start)
        if affine { specs += NormLayer.specs("\(name).norm2", width: width) }
        specs += LinearLayer.specs("\(name).mlp.fc1", inputs: width, outputs: hidden, start)
        specs += LinearLayer.specs("\(name).mlp.fc2", inputs: hidden, outputs: width, start)
        if modulated {
            specs += LinearLayer.specs(
                "\(name).adaLN_modulation.1", inputs: width, outputs: 6 * width, .zeros)
        }
        return specs
    }
}

/// x += gate₁·attention(modulate(norm1(x))); x += gate₂·mlp(modulate(norm2(x)))
/// (Dosovitskiy et al. 2021; adaLN-Zero: Peebles and Xie 2023).
package struct TransformerBlock {
    package let configuration: BlockConfiguration
    package let norm1: NormLayer
    package let qkv: LinearLayer
    package let projection: LinearLayer
    package let norm2: NormLayer
    package let fc1: LinearLayer
    package let fc2: LinearLayer
    /// The projection of the condition to shift, scale and gate of both halves: `[B, 6·D]`.
    package let modulation: LinearLayer?
    /// Probability of dropping each half of the block for a sample.
    package var dropPath: Float = 0

    /// - Throws: `.missingWeight`
    package init(
        _ configuration: BlockConfiguration, _ parameters: Parameters, _ name: String,
        dropPath: Float = 0
    ) throws(USPError) {
        self.configuration = configuration
        norm1 = try NormLayer(parameters, "\(name).norm1", epsilon: configuration.epsilon)
        qkv = try LinearLayer(parameters, "\(name).attn.qkv")
        projection = try LinearLayer(parameters, "\(name).attn.proj")
        norm2 = try NormLayer(parameters, "\(name).norm2", epsilon: configuration.epsilon)
        fc1 = try LinearLayer(parameters, "\(name).mlp.fc1")
        fc2 = try LinearLayer(parameters, "\(name).mlp.fc2")
        modulation =
            configuration.modulated
            ? try LinearLayer(parameters, "\(name).adaLN_modulation.1") : nil
        self.dropPath = dropPath
    }

    /// - x: `[B, T, D]`, f32
    /// - modulation: `[B, 6·D]` (shift, scale, gate of attention, then of the MLP) for modulated
    ///   blocks, else nil
    /// - overwritesInput: without a tape the result takes x's memory
    /// - recomputesHidden: do not keep the hidden layer for the gradient, compute it again
    /// - leavesResultUndefined, beside: see `LinearOptions`
    /// - context: its `random`, if any, is this block's own stream
    /// - Returns: `[B, T, D]`, f32
    package func forward(
        _ x: Tensor, modulation: Tensor? = nil, overwritesInput: Bool = false,
        recomputesHidden: Bool = false, leavesResultUndefined: Bool = false,
        beside: LinearBeside? = nil, in context: Context
    ) throws(USPError) -> Tensor {
        let type = context.activationType
        func chunk(_ index: Int) -> Chunk? {
            modulation.map { Chunk($0, index, width: configuration.width) }
        }
        var h = try qkv.forward(
            x,
            LinearOptions(norm: norm1.layerNorm(shift: chunk(0), scale: chunk(1)), output: type),
            in: context)
        h = try context.attention(qkv: h, heads: configuration.heads, output: type)
        let middle = try projection.forward(
            h,
            LinearOptions(
                gate: try gate(chunk(2), x, 0, context), residual: x,
                overwritesResidual: overwritesInput), in: context)
        h = try fc1.forward(
            middle,
            LinearOptions(
                norm: norm2.layerNorm(shift: chunk(3), scale: chunk(4)),
                activation: configuration.activation, output: type,
                recomputesActivationInput: recomputesHidden, beside: beside), in: context)
        return try fc2.forward(
            h,
            LinearOptions(
                gate: try gate(chunk(5), x, 1, context), residual: middle,
                overwritesResidual: true, leavesResultUndefined: leavesResultUndefined),
            in: context)
    }

    /// The gate of one half: the modulation's, or the factors of drop path.
    private func gate(
        _ chunk: Chunk?, _ x: Tensor, _ half: Int, _ context: Context
    ) throws(USPError) -> Chunk? {
        if let chunk { return chunk }
        guard dropPath > 0, let random = context.random else { return nil }
        return try context.with(random: random.stream(half)).dropPathGate(
            samples: x.shape[0], width: configuration.width, rate: dropPath)
    }

    package var tensors: [Tensor] {
        norm1.tensors + qkv.tensors + projection.tensors + norm2.tensors + fc1.tensors
            + fc2.tensors
    }
}

/// Runs x through blocks in order.
///
/// Where neither gradients nor random numbers ask for the whole batch at once, it goes through them
/// in groups of samples: then one group's activations are all that there are beside x.
/// - x: `[B, T, D]`, f32; given up: without a tape its memory may become the result's
/// - recomputes: instead of keeping it for the gradient
/// - modulations: one for each block, or none
package func runBlocks(
    _ blocks: ArraySlice<TransformerBlock>, _ x: Tensor, modulations: [Modulation] = [],
    recomputes: Recomputation = .nothing, in context: Context
) throws(USPError) -> Tensor {
    if context.tape == nil && context.random == nil {
        try runInPlace(blocks, x, modulations: modulations, in: context)
        return x
    }
    var x = x
    for (index, block) in blocks.enumerated() {
        let own = context.with(random: context.random?.stream("block").stream(index))
        let modulation = modulations.isEmpty ? nil : try modulations[index].value()
        guard recomputes == .blocks else {
            x = try block.forward(
                x, modulation: modulation, recomputesHidden: recomputes == .hidden, in: own)
            continue
        }
        x = try own.recomputed([x] + (modulation.map { [$0] } ?? []), uses: block.tensors) {
            inputs, context, leavesResultUndefined throws(USPError) in
            try block.forward(
                inputs[0], modulation: inputs.count > 1 ? inputs[1] : nil,
                leavesResultUndefined: leavesResultUndefined, in: context)
        }
    }
    return x
}

/// Each group of samples through all blocks, the result in its place; a block's modulation is
/// computed beside the first layer of the MLP before it.
private func runInPlace(
    _ blocks: ArraySlice<TransformerBlock>, _ x: Tensor, modulations: [Modulation],
    in context: Context
) throws(USPError) {
    for samples in sampleGroups(x.shape[0], tokens: x.shape[1]) {
        let part = try x.detachedRows(samples)
        for (index, block) in blocks.enumerated() {
            let modulation = modulations.isEmpty ? nil : try modulations[index].value()
            let next = index + 1 < modulations.count ? try modulations[index + 1].beside() : nil
            _ = try block.forward(
                part, modulation: modulation?.detachedRows(samples), overwritesInput: true,
                beside: next, in: context)
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
