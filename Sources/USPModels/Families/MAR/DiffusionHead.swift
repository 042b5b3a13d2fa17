// The network that denoises single tokens, each under its own condition: an MLP with adaLN.

import USPBase
import USPTensor

/// A residual MLP whose norms are shifted, scaled and gated by time and condition.
package struct DiffusionHead {
    private let time: (first: LinearLayer, second: LinearLayer)
    private let condition: LinearLayer
    private let input: LinearLayer
    private let blocks: [Block]
    private let final: LinearLayer
    private let finalModulation: LinearLayer

    /// Width of the timesteps' cosines and sines.
    private static let frequencies = 256
    private static let epsilon: Float = 1e-6

    package static func specs(
        _ name: String, values: Int, condition: Int, width: Int, depth: Int
    ) -> [ParameterSpec] {
        func layer(
            _ part: String, _ inputs: Int, _ outputs: Int, _ start: LinearStart = .xavier
        ) -> [ParameterSpec] {
            LinearLayer.specs("\(name).\(part)", inputs: inputs, outputs: outputs, start)
        }
        var specs =
            layer("time_embed.mlp.0", frequencies, width, .normal(0.02))
            + layer("time_embed.mlp.2", width, width, .normal(0.02))
            + layer("cond_embed", condition, width) + layer("input_proj", values, width)
        for index in 0..<depth {
            let block = "res_blocks.\(index)"
            specs +=
                NormLayer.specs("\(name).\(block).in_ln", width: width)
                + layer("\(block).mlp.0", width, width) + layer("\(block).mlp.2", width, width)
                + layer("\(block).adaLN_modulation.1", width, 3 * width, .zeros)
        }
        return specs
            + layer("final_layer.linear", width, 2 * values, .zeros)
            + layer("final_layer.adaLN_modulation.1", width, 2 * width, .zeros)
    }

    /// - Throws: `.missingWeight`
    package init(_ parameters: Parameters, _ name: String, depth: Int) throws(USPError) {
        time = (
            try LinearLayer(parameters, "\(name).time_embed.mlp.0"),
            try LinearLayer(parameters, "\(name).time_embed.mlp.2")
        )
        condition = try LinearLayer(parameters, "\(name).cond_embed")
        input = try LinearLayer(parameters, "\(name).input_proj")
        var blocks: [Block] = []
        for index in 0..<depth {
            blocks.append(try Block(parameters, "\(name).res_blocks.\(index)"))
        }
        self.blocks = blocks
        final = try LinearLayer(parameters, "\(name).final_layer.linear")
        finalModulation = try LinearLayer(parameters, "\(name).final_layer.adaLN_modulation.1")
    }

    private var width: Int { input.weight.shape[0] }

    /// The condition's part of the modulations, the same at every time: `[N, D]` -> `[N, W]`.
    package func embed(_ condition: Tensor, in context: Context) throws(USPError) -> Tensor {
        try self.condition.forward(condition, in: context)
    }

    /// Noise and variance of each token.
    ///
    /// - x: `[N, E]`, f32
    /// - times: N steps of the whole process
    /// - condition: `[N, W]`, embedded
    /// - Returns: `[N, 2·E]`
    package func forward(
        _ x: Tensor, times: [Float], condition: Tensor, recomputes: Recomputation = .nothing,
        in context: Context
    ) throws(USPError) -> Tensor {
        let modulation = try modulation(times, condition, in: context)
        var x = try input.forward(x, in: context)
        for block in blocks {
            guard recomputes == .blocks, context.tape != nil else {
                x = try block.forward(x, modulation, in: context)
                continue
            }
            x = try context.recomputed([x, modulation], uses: block.tensors) {
                inputs, context, _ throws(USPError) in
                try block.forward(inputs[0], inputs[1], in: context)
            }
        }
        let chunks = try finalModulation.forward(modulation, in: context)
        let norm = LayerNorm(
            epsilon: DiffusionHead.epsilon, shift: Chunk(chunks, 0, width: width),
            scale: Chunk(chunks, 1, width: width))
        return try final.forward(x, LinearOptions(norm: norm), in: context)
    }

    /// silu(time + condition) of each token, `[N, W]`; a time is embedded once, in f32.
    private func modulation(
        _ times: [Float], _ condition: Tensor, in context: Context
    ) throws(USPError) -> Tensor {
        try require(
            condition.shape.rank == 2 && times.count == condition.shape[0], .shape,
            "\(times.count) steps for conditions \(condition.shape)")
        let precise = Context(tape: context.tape, random: context.random, exact: context.exact)
        let distinct = DistinctConditions(times, [Int](repeating: 0, count: times.count))
        let waves = try precise.timestepEmbedding(
            distinct.times, width: DiffusionHead.frequencies)
        let hidden = try time.first.forward(
            waves, LinearOptions(activation: .silu), in: precise)
        let embedded = try time.second.forward(hidden, in: precise)
        let sum = try precise.add(condition, precise.embedding(embedded, distinct.rows))
        return try precise.activate(sum, .silu)
    }

    /// x + gate ⊙ mlp(norm(x)·(1 + scale) + shift)
    private struct Block {
        let norm: NormLayer
        let first: LinearLayer
        let second: LinearLayer
        let modulation: LinearLayer

        init(_ parameters: Parameters, _ name: String) throws(USPError) {
            norm = try NormLayer(parameters, "\(name).in_ln", epsilon: DiffusionHead.epsilon)
            first = try LinearLayer(parameters, "\(name).mlp.0")
            second = try LinearLayer(parameters, "\(name).mlp.2")
            modulation = try LinearLayer(parameters, "\(name).adaLN_modulation.1")
        }

        /// - condition: activated, `[N, W]`
        func forward(
            _ x: Tensor, _ condition: Tensor, in context: Context
        ) throws(USPError) -> Tensor {
            let width = x.shape[1]
            let chunks = try modulation.forward(condition, in: context)
            let norm = norm.layerNorm(
                shift: Chunk(chunks, 0, width: width), scale: Chunk(chunks, 1, width: width))
            let hidden = try first.forward(
                x,
                LinearOptions(norm: norm, activation: .silu, output: context.activationType),
                in: context)
            return try second.forward(
                hidden,
                LinearOptions(
                    gate: Chunk(chunks, 2, width: width), residual: x, overwritesResidual: true),
                in: context)
        }

        var tensors: [Tensor] {
            norm.tensors + first.tensors + second.tensors + modulation.tensors
        }
    }
}
