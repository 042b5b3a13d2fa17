// What newer transformer blocks are made of, against PyTorch: outputs within 1e-5, gradients 1e-4.

import CKernels
import TestSupport
import Testing
import USPBase
import USPTensor

private func check(_ errors: GoldenErrors, _ name: String) {
    #expect(errors.output < 1e-5, "\(name): output \(errors.output)")
    #expect(errors.worstGradient < 1e-4, "\(name): gradients \(errors.gradients)")
}

@Suite struct BlockOperationTests {
    @Test(arguments: [
        "rms_norm_plain", "rms_norm_affine", "rms_norm_affine_modulated", "rms_norm_affine_scaled",
        "layer_norm_scaled",
    ])
    func norm(_ name: String) throws {
        var inputs = ["x"]
        if name.contains("affine") { inputs.append("weight") }
        if name.hasSuffix("modulated") { inputs.append("shift") }
        if name.hasSuffix("modulated") || name.hasSuffix("scaled") { inputs.append("scale") }
        let errors = try goldenErrors("operations/\(name)", inputs: inputs) { values, _, context in
            try context.layerNorm(
                values["x"]!,
                LayerNorm(
                    name.hasPrefix("rms") ? .rms : .layer, weight: values["weight"],
                    shift: values["shift"].map { Chunk($0, 0, width: 40) },
                    scale: values["scale"].map { Chunk($0, 0, width: 40) }))
        }
        check(errors, name)
    }

    @Test(arguments: [false, true]) func swiGLU(recomputes: Bool) throws {
        let options = LinearOptions(
            activation: .silu, isGatedUnit: true, recomputesActivationInput: recomputes)
        let hidden = try goldenErrors(
            "operations/swiglu_hidden", inputs: ["x", "w12_weight", "w12_bias"]
        ) { values, _, context in
            try context.linear(
                values["x"]!, values["w12_weight"]!, values["w12_bias"], options)
        }
        check(hidden, "hidden layer")
        let whole = try goldenErrors(
            "operations/swiglu",
            inputs: ["x", "w12_weight", "w12_bias", "w3_weight", "w3_bias"]
        ) { values, _, context in
            let hidden = try context.linear(
                values["x"]!, values["w12_weight"]!, values["w12_bias"], options)
            return try context.linear(hidden, values["w3_weight"]!, values["w3_bias"])
        }
        check(whole, "MLP")
    }

    @Test(arguments: [
        ("cosine_similarity", Float(1e-8)), ("cosine_short", 1e-8), ("cosine_normalized", 1e-12),
    ])
    func cosine(_ name: String, _ epsilon: Float) throws {
        let errors = try goldenErrors("operations/\(name)", inputs: ["a", "b"]) {
            values, _, context in
            try context.cosineSimilarity(values["a"]!, values["b"]!, epsilon: epsilon)
        }
        check(errors, name)
    }

    @Test func layerScale() throws {
        let errors = try goldenErrors(
            "operations/layer_scale", inputs: ["residual", "x", "weight", "bias", "gamma"]
        ) { values, _, context in
            try context.linear(
                values["x"]!, values["weight"]!, values["bias"],
                LinearOptions(
                    gate: Chunk(values["gamma"]!, 0, width: 24), residual: values["residual"]!))
        }
        check(errors, "layer scale")
    }

    /// Drop path times layer scale: a dropped sample gives γ no gradient, the others 1/(1 − rate).
    @Test func layerScaleWithDropPath() throws {
        let gamma = try normalTensor([6], seed: 54)
        let found = try trainable(gamma)
        let (tape, key) = (Tape(), RandomKey(seed: 5))
        let context = Context(tape: tape, random: key)
        let factors = try context.dropPath(try Tensor.filled([8, 1], 1), rate: 0.5).values
        #expect(factors.contains(0) && factors.contains(2))
        let gate = try context.dropPathGate(samples: 8, scale: gamma, rate: 0.5)
        #expect(gate.tensor.values == factors.flatMap { f in gamma.values.map { f * $0 } })
        try tape.backward(from: gate.tensor, gradient: try Tensor.filled([8, 6], 1))
        #expect(found.values == [Float](repeating: factors.reduce(0, +), count: 6))
        let plain = try Context().dropPathGate(samples: 8, scale: gamma, rate: 0.5)
        #expect(plain.tensor.values == gamma.values)
    }

    /// Factors of channels over so many rows that their gradient is summed by parts.
    @Test func layerScaleOfManyRows() throws {
        let (rows, width) = (700, 24)
        let x = try normalTensor([2, rows / 2, width], seed: 51)
        let gamma = try normalTensor([width], seed: 52)
        let gradient = try normalTensor([2, rows / 2, width], seed: 53)
        let found = try trainable(gamma)
        var identity = [Float](repeating: 0, count: width * width)
        for i in 0..<width { identity[i * (width + 1)] = 1 }
        let tape = Tape()
        let y = try Context(tape: tape).linear(
            x, try Tensor([width, width], identity), nil,
            LinearOptions(gate: Chunk(gamma, 0, width: width)))
        try tape.backward(from: y, gradient: gradient)
        let expected = (0..<width).map { j in
            Float(
                (0..<rows).reduce(0.0) {
                    $0 + Double(x.values[$1 * width + j]) * Double(gradient.values[$1 * width + j])
                })
        }
        #expect(relativeError(found, expected) < 1e-5)
    }
}

/// Sizes of a gated unit: `[samples, tokens, width]` to `hidden`.
struct GatedLayer: Sendable {
    let samples: Int
    let tokens: Int
    let width: Int
    let hidden: Int
}

@Suite(.serialized) struct GatedUnitTests {
    static let layers = [
        GatedLayer(samples: 2, tokens: 70, width: 256, hidden: 171),  // shares sums
        GatedLayer(samples: 2, tokens: 65, width: 256, hidden: 96),  // groups of odd rows
        GatedLayer(samples: 3, tokens: 7, width: 37, hidden: 50),
        GatedLayer(samples: 1, tokens: 1, width: 24, hidden: 1),
    ]

    /// Against the two halves of one product and double precision; the bits do not depend on batch,
    /// threads and whether a norm's rows exist.
    @Test(arguments: layers) func halvesOfOneProduct(_ layer: GatedLayer) throws {
        let x = try normalTensor([layer.samples, layer.tokens, layer.width], seed: 71)
        let weight = try normalTensor([2 * layer.hidden, layer.width], seed: 72, deviation: 0.1)
        let bias = try normalTensor([2 * layer.hidden], seed: 73)
        let norm = LayerNorm(.rms, weight: try normalTensor([layer.width], seed: 74))
        let plain = Context(exact: true)
        let halves = try plain.linear(try plain.layerNorm(x, norm), weight, bias).values
        let expected = (0..<layer.samples * layer.tokens).flatMap { row in
            (0..<layer.hidden).map { j in
                let at = 2 * row * layer.hidden + j
                return Float(
                    activated(USPI_ACT_SILU, Double(halves[at]))
                        * Double(halves[at + layer.hidden]))
            }
        }
        try alone {
            for level in 0...uspi_isa() {
                useInstructions(level)
                for compute in [DType.float32, .bfloat16] {
                    weight.node.packed.invalidate()
                    let context = Context(compute: compute)
                    let options = LinearOptions(
                        norm: norm, activation: .silu, isGatedUnit: true, output: compute)
                    let y = try context.linear(x, weight, bias, options)
                    #expect(relativeError(y, expected) < (compute == .float32 ? 1e-5 : 3e-2))
                    for count in 1...3 {
                        useThreads(count)
                        let again = try context.linear(x, weight, bias, options).values
                        #expect(again == y.values, "level \(level), \(compute), \(count) threads")
                        let rows = try x.detachedRows(layer.samples - 1..<layer.samples)
                        let one = try context.linear(rows, weight, bias, options).values
                        #expect(one == Array(y.values.suffix(one.count)))
                    }
                }
            }
        }
    }

    /// Kept or computed again, the gradients have the same bits; bf16 within 3e-2.
    @Test func recomputation() throws {
        let x = try normalTensor([2, 70, 256], seed: 75)
        let weights = try [[342, 256], [40, 171]].enumerated().map { index, shape in
            try normalTensor(Shape(shape), seed: UInt64(76 + index), deviation: 0.1)
        }
        func gradients(_ recomputes: Bool, _ compute: DType) throws -> [[Float]] {
            let tape = Tape()
            let found = try ([x] + weights).map { try trainable($0) }
            let context = Context(tape: tape, compute: compute)
            let hidden = try context.linear(
                x, weights[0], nil,
                LinearOptions(
                    activation: .silu, isGatedUnit: true, output: compute,
                    recomputesActivationInput: recomputes))
            let y = try context.linear(hidden, weights[1])
            try tape.backward(from: y, gradient: try normalTensor(y.shape, seed: 78))
            return found.map(\.values)
        }
        let plain = try gradients(false, .float32)
        #expect(try gradients(true, .float32) == plain)
        let half = try gradients(false, .bfloat16)
        #expect(try gradients(true, .bfloat16) == half)
        for (a, b) in zip(half, plain) { #expect(relativeError(a, b) < 3e-2) }
    }

    @Test func whatDoesNotFitIsToldInWords() throws {
        let x = try Tensor.zeros([3, 8])
        let odd = try Tensor.zeros([5, 8])
        let gate = Chunk(try Tensor.zeros([3, 4]), 0, width: 4)
        for (weight, options) in [
            (odd, LinearOptions(isGatedUnit: true)),
            (try Tensor.zeros([4, 8]), LinearOptions(isGatedUnit: true, gate: gate)),
            (
                try Tensor.zeros([4, 8]),
                LinearOptions(isGatedUnit: true, residual: try Tensor.zeros([3, 4]))
            ),
        ] {
            #expect(throws: USPError.self) { try Context().linear(x, weight, nil, options) }
        }
    }
}
