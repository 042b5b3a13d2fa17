// Products that share sums (Strassen's method), on every instruction set.

import CKernels
import TestSupport
import Testing
import USPBase
import USPTensor

/// Sizes of one linear layer, and what ends it.
private struct SharedCase: CustomTestStringConvertible {
    var batch, tokens, inputs, outputs: Int
    var activation = Activation.none
    var output = DType.float32
    var hasEnds = false

    var testDescription: String {
        "[\(batch), \(tokens), \(inputs)] -> \(outputs) \(activation) \(output) \(hasEnds)"
    }
}

private let sharedCases: [SharedCase] = [
    SharedCase(batch: 2, tokens: 64, inputs: 256, outputs: 64),
    SharedCase(batch: 3, tokens: 65, inputs: 258, outputs: 192, activation: .geluErf),
    SharedCase(batch: 2, tokens: 99, inputs: 2500, outputs: 128, hasEnds: true),
    SharedCase(batch: 5, tokens: 99, inputs: 2500, outputs: 128, hasEnds: true),
    SharedCase(batch: 1, tokens: 640, inputs: 256, outputs: 128, activation: .geluTanh),
    SharedCase(batch: 4, tokens: 70, inputs: 1200, outputs: 64, output: .bfloat16),
]

@Test(arguments: sharedCases)
private func sharedSumsAgreeWithDoublePrecision(_ test: SharedCase) throws {
    try alone {
        let best = uspi_isa()
        let layer = try SharedLayer(test)
        let expected = layer.expected
        let largest = expected.map { abs($0) }.max() ?? 0
        let bound = test.output == .float32 ? 3e-6 : 5e-3
        for level in 0...best {
            useInstructions(level)
            let shared = try layer.run(exact: false)
            let plain = try layer.run(exact: true)
            for (mine, theirs) in zip(shared, expected) {
                #expect(abs(Double(mine) - theirs) <= bound * largest)
            }
            if test.output == .float32 {
                #expect(shared != plain, "level \(level): sums were not shared")
            }
        }
    }
}

@Test(arguments: sharedCases)
private func sharedSumsDependOnNothingElse(_ test: SharedCase) throws {
    try alone {
        let layer = try SharedLayer(test)
        let whole = try layer.run(exact: false)
        let size = whole.count / test.batch
        for sample in 0..<test.batch {
            let alone = try layer.run(exact: false, sample: sample)
            #expect(alone == Array(whole[sample * size..<(sample + 1) * size]), "sample \(sample)")
        }
        for count in [1, 2, 3] {
            useThreads(count)
            #expect(try layer.run(exact: false) == whole, "\(count) threads")
        }
    }
}

@Test private func whatIsNotFiniteStaysInItsSample() throws {
    let layer = try SharedLayer(SharedCase(batch: 2, tokens: 65, inputs: 256, outputs: 64))
    layer.x.floats[64 * 256 + 3] = .nan  // the last row of the first sample
    let y = try layer.run(exact: false)
    #expect(y[..<(65 * 64)].contains { $0.isNaN })
    #expect(y[(65 * 64)...].allSatisfy { $0.isFinite })
}

@Test private func derivedContextsStayExact() {
    let context = Context(compute: .bfloat16, exact: true)
    let derived = [
        context.recording(on: nil), context.recording(on: Tape()), context.with(random: nil),
    ]
    #expect(derived.allSatisfy { $0.exact && $0.compute == .bfloat16 })
}

/// The tensors of one case.
private struct SharedLayer {
    let test: SharedCase
    let x, weight, bias, gate, residual: Tensor

    init(_ test: SharedCase) throws {
        self.test = test
        var random = SplitNumbers(seed: UInt64(test.tokens * 10_000 + test.inputs))
        let (rows, inputs, outputs) = (test.batch * test.tokens, test.inputs, test.outputs)
        x = try Tensor([test.batch, test.tokens, inputs], random.floats(rows * inputs))
        weight = try Tensor([outputs, inputs], random.floats(outputs * inputs))
        bias = try Tensor([outputs], random.floats(outputs))
        gate = try Tensor([test.batch, outputs], random.floats(test.batch * outputs))
        residual = try Tensor([test.batch, test.tokens, outputs], random.floats(rows * outputs))
    }

    /// The layer's output for all samples or one.
    func run(exact: Bool, sample: Int? = nil) throws -> [Float] {
        func part(_ tensor: Tensor) throws -> Tensor {
            guard let sample else { return tensor }
            return try tensor.detachedRows(sample..<sample + 1)
        }
        var options = LinearOptions(activation: test.activation, output: test.output)
        if test.hasEnds {
            options.gate = Chunk(try part(gate), 0, width: test.outputs)
            options.residual = try part(residual)
        }
        return try Context(exact: exact).linear(part(x), weight, bias, options).values
    }

    private var kernelActivation: uspi_activation {
        switch test.activation {
        case .none: USPI_ACT_NONE
        case .geluErf: USPI_ACT_GELU_ERF
        case .geluTanh: USPI_ACT_GELU_TANH
        case .silu: USPI_ACT_SILU
        case .relu: USPI_ACT_RELU
        case .geluQuick: USPI_ACT_GELU_QUICK
        }
    }

    var expected: [Double] {
        let (n, k) = (test.outputs, test.inputs)
        return (0..<test.batch * test.tokens * n).map { index in
            let (i, j) = index.quotientAndRemainder(dividingBy: n)
            var sum = Double(bias.floats[j])
            for p in 0..<k { sum += Double(x.floats[i * k + p]) * Double(weight.floats[j * k + p]) }
            var value = activated(kernelActivation, sum)
            if test.hasEnds {
                value *= Double(gate.floats[i / test.tokens * n + j])
                value += Double(residual.floats[index])
            }
            return value
        }
    }
}
