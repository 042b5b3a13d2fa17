// Gradients of operations against central differences, each with all that it may do besides.

import TestSupport
import Testing
import USPBase
import USPTensor

/// One operation on inputs of these shapes.
struct GradientCase: Sendable, CustomTestStringConvertible {
    let name: String
    let shapes: [Shape]
    let operation: @Sendable ([Tensor], Context) throws(USPError) -> Tensor
    var testDescription: String { name }

    init(
        _ name: String, _ shapes: [Shape],
        _ operation: @escaping @Sendable ([Tensor], Context) throws(USPError) -> Tensor
    ) {
        (self.name, self.shapes, self.operation) = (name, shapes, operation)
    }

    static let linear: [GradientCase] =
        Activation.allCases.map { activation in
            GradientCase("linear \(activation)", [[3, 5], [4, 5], [4]]) {
                v, context throws(USPError) in
                try context.linear(v[0], v[1], v[2], LinearOptions(activation: activation))
            }
        } + [
            GradientCase("linear, gate, residual", [[2, 3, 5], [4, 5], [4], [2, 8], [2, 3, 4]]) {
                v, context throws(USPError) in
                let options = LinearOptions(
                    activation: .silu, gate: Chunk(v[3], 1, width: 4), residual: v[4])
                return try context.linear(v[0], v[1], v[2], options)
            },
            GradientCase("linear, drop path", [[6, 2, 5], [4, 5], [6, 2, 4]]) {
                v, context throws(USPError) in
                let random = Context(tape: context.tape, random: RandomKey(seed: 5))
                let gate = try random.dropPathGate(samples: 6, width: 4, rate: 0.4)
                return try context.linear(
                    v[0], v[1], nil, LinearOptions(gate: gate, residual: v[2]))
            },
        ]

    static let norms: [GradientCase] = [
        GradientCase("layer norm", [[5, 8]]) { v, context throws(USPError) in
            try context.layerNorm(v[0])
        },
        GradientCase("layer norm, affine, modulated", [[2, 3, 8], [8], [8], [2, 16]]) {
            v, context throws(USPError) in
            try context.layerNorm(
                v[0],
                LayerNorm(
                    weight: v[1], bias: v[2], shift: Chunk(v[3], 0, width: 8),
                    scale: Chunk(v[3], 1, width: 8)))
        },
        batchNorm(training: true), batchNorm(training: false),
    ]

    private static func batchNorm(training: Bool) -> GradientCase {
        GradientCase("batch norm, training \(training)", [[6, 4], [4], [4]]) {
            v, context throws(USPError) in
            try context.batchNorm(
                v[0],
                BatchNorm(
                    runningMean: Tensor([4], [1, 0, -1, 2]),
                    runningVariance: Tensor([4], [1, 2, 3, 4]), weight: v[1], bias: v[2],
                    epsilon: 1e-6),
                training: training)
        }
    }

    static let elements: [GradientCase] =
        [
            GradientCase("attention of joined q, k, v", [[2, 5, 24]]) {
                v, context throws(USPError) in
                try context.attention(qkv: v[0], heads: 2)
            },
            GradientCase("dropout", [[4, 9]]) { v, context throws(USPError) in
                try Context(tape: context.tape, random: RandomKey(seed: 3)).dropout(v[0], rate: 0.3)
            },
            GradientCase("drop path", [[8, 3]]) { v, context throws(USPError) in
                try Context(tape: context.tape, random: RandomKey(seed: 3)).dropPath(
                    v[0], rate: 0.3)
            },
            GradientCase("scaled channels", [[3, 4]]) { v, context throws(USPError) in
                try context.scaleChannels(v[0], by: [2, -1, 0.5, 3], offsets: [1, 2, 3, 4])
            },
            GradientCase("restored tokens", [[2, 3, 4], [1, 1, 4], [1, 6, 4]]) {
                v, context throws(USPError) in
                try context.restoreTokens(
                    v[0], leading: 1, maskToken: v[1], restore: [3, 0, 1, 4, 2, 1, 4, 2, 3, 0],
                    table: v[2])
            },
            GradientCase("computed again", [[3, 5], [5, 5]]) { v, context throws(USPError) in
                try context.recomputed([v[0]], uses: [v[1]]) { inner, own, again throws(USPError) in
                    let options = LinearOptions(
                        activation: .geluErf, leavesResultUndefined: again)
                    return try own.linear(inner[0], v[1], nil, options)
                }
            },
            GradientCase("computed again, gate and residual", [[2, 3, 4], [4, 4], [2, 4]]) {
                v, context throws(USPError) in
                try context.recomputed([v[0], v[2]], uses: [v[1]]) {
                    inner, own, again throws(USPError) in
                    let options = LinearOptions(
                        gate: Chunk(inner[1], 0, width: 4), residual: inner[0],
                        leavesResultUndefined: again)
                    return try own.linear(inner[0], v[1], nil, options)
                }
            },
            GradientCase("hidden layer computed again", [[3, 5], [6, 5], [6], [2, 6]]) {
                v, context throws(USPError) in
                let h = try context.linear(
                    v[0], v[1], v[2],
                    LinearOptions(activation: .silu, recomputesActivationInput: true))
                return try context.linear(h, v[3])
            },
        ]
        + [Activation.geluErf, .geluTanh, .silu].map { activation in
            GradientCase("\(activation)", [[4, 6]]) { v, context throws(USPError) in
                try context.activate(v[0], activation)
            }
        }

    static let losses: [GradientCase] =
        [
            GradientCase("cross entropy, smoothed", [[4, 5]]) { v, context throws(USPError) in
                try context.softmaxCrossEntropy(logits: v[0], labels: [0, 4, 2, 2], smoothing: 0.1)
            },
            GradientCase("cross entropy, soft", [[2, 3]]) { v, context throws(USPError) in
                try context.softmaxCrossEntropy(
                    logits: v[0], targets: Tensor([2, 3], [0.2, 0.5, 0.3, 0, 1, 0]))
            },
        ]
        + PatchNormalisation.allCases.flatMap { normalisation in
            // The smaller target is of a scalar's size: were it not kept, the loss's own gradient
            // would take its memory.
            [[2, 3, 4], [1, 3, 4]].map { shape in
                GradientCase("masked error, \(normalisation), \(shape)", [Shape(shape)]) {
                    v, context throws(USPError) in
                    let patches = try Tensor(
                        v[0].shape, (0..<v[0].count).map { Float($0 * $0 % 7) })
                    return try context.maskedPatchError(
                        v[0], target: context.normalisePatches(patches, normalisation),
                        mask: Array([1, 0, 1, 1, 1, 0].prefix(v[0].shape.rows)))
                }
            }
        }
}

@Test(
    arguments: GradientCase.linear + GradientCase.norms + GradientCase.elements
        + GradientCase.losses)
func gradientsFollowDifferences(_ c: GradientCase) throws {
    let inputs = try c.shapes.enumerated().map { try randomTensor($1, "\(c.name) \($0)") }
    let error = try gradientError(inputs, samples: 40, c.operation)
    #expect(error < 2e-3, "\(c.name): \(error)")
}
