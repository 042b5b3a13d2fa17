// Convolution against its definition in f64, and its gradients against central differences.

import CKernels
import TestSupport
import Testing
import USPBase
import USPTensor

/// One geometry of a convolution.
struct ConvolutionCase: Sendable, CustomStringConvertible {
    var batch = 2, height = 7, width = 9, inputs = 5, outputs = 6
    var kernelHeight = 3, kernelWidth = 3, stride = 1, upsample = 1
    var padding = Padding(1)
    var description: String {
        "\(batch)x\(height)x\(width)x\(inputs)->\(outputs) k\(kernelHeight)x\(kernelWidth) "
            + "s\(stride) u\(upsample) \(padding)"
    }

    static let all: [ConvolutionCase] = [
        ConvolutionCase(),
        ConvolutionCase(batch: 1, height: 1, width: 1),
        ConvolutionCase(stride: 2, padding: Padding(bottom: 1, right: 1)),
        ConvolutionCase(height: 8, width: 10, stride: 2, padding: Padding(bottom: 1, right: 1)),
        ConvolutionCase(stride: 2),
        ConvolutionCase(upsample: 2),
        ConvolutionCase(batch: 1, height: 1, width: 3, upsample: 2),
        ConvolutionCase(kernelHeight: 1, kernelWidth: 1, padding: Padding(0)),
        ConvolutionCase(kernelHeight: 1, kernelWidth: 1, stride: 2, padding: Padding(0)),
        ConvolutionCase(
            kernelHeight: 2, kernelWidth: 4, stride: 3, padding: Padding(top: 1, left: 2)),
        ConvolutionCase(kernelHeight: 5, kernelWidth: 2, upsample: 2, padding: Padding(2)),
        ConvolutionCase(kernelHeight: 1, kernelWidth: 3, padding: Padding(left: 2, right: 0)),
        ConvolutionCase(height: 33, width: 17, inputs: 33, outputs: 40),
        ConvolutionCase(batch: 3, height: 20, width: 24, inputs: 16, outputs: 67, upsample: 2),
    ]

    var x: Tensor { get throws { try randomTensor([batch, height, width, inputs], "x") } }
    var weight: Tensor {
        get throws {
            try randomTensor([outputs, inputs, kernelHeight, kernelWidth], "w", scale: 0.3)
        }
    }
    var bias: Tensor { get throws { try randomTensor([outputs], "b") } }

    /// The definition, in f64.
    func reference(_ x: [Float], _ w: [Float], _ bias: [Float]) -> [Float] {
        let (h, wd) = (height * upsample, width * upsample)
        let outHeight = (h + padding.top + padding.bottom - kernelHeight) / stride + 1
        let outWidth = (wd + padding.left + padding.right - kernelWidth) / stride + 1
        var y: [Float] = []
        for b in 0..<batch {
            for i in 0..<outHeight {
                for j in 0..<outWidth {
                    for o in 0..<outputs { y.append(value(b, i, j, o, x, w, Double(bias[o]))) }
                }
            }
        }
        return y
    }

    private func value(
        _ b: Int, _ i: Int, _ j: Int, _ o: Int, _ x: [Float], _ w: [Float], _ bias: Double
    ) -> Float {
        var sum = bias
        for ky in 0..<kernelHeight {
            for kx in 0..<kernelWidth {
                let (y, z) = (i * stride + ky - padding.top, j * stride + kx - padding.left)
                if y < 0 || z < 0 || y >= height * upsample || z >= width * upsample { continue }
                let pixel = (b * height + y / upsample) * width + z / upsample
                for c in 0..<inputs {
                    let element = ((o * inputs + c) * kernelHeight + ky) * kernelWidth + kx
                    sum += Double(x[pixel * inputs + c]) * Double(w[element])
                }
            }
        }
        return Float(sum)
    }
}

@Test(arguments: ConvolutionCase.all)
func convolutionFollowsItsDefinition(_ c: ConvolutionCase) throws {
    let (x, weight, bias) = (try c.x, try c.weight, try c.bias)
    let y = try Context().convolution(
        x, weight: weight, bias: bias, stride: c.stride, padding: c.padding, upsample: c.upsample)
    let expected = c.reference(x.values, weight.values, bias.values)
    #expect(relativeError(y.values, expected) < 1e-5)
    let half = try Context(compute: .bfloat16).convolution(
        x, weight: weight, bias: bias, stride: c.stride, padding: c.padding, upsample: c.upsample)
    #expect(relativeError(half.values, expected) < 2e-2)
}

@Test(arguments: ConvolutionCase.all)
func convolutionGradientsFollowDifferences(_ c: ConvolutionCase) throws {
    try alone {
        let (x, weight, bias) = (try c.x, try c.weight, try c.bias)
        let error = try gradientError([x, weight, bias], step: 0.1) { _, context throws(USPError) in
            try context.convolution(
                x, weight: weight, bias: bias, stride: c.stride, padding: c.padding,
                upsample: c.upsample)
        }
        #expect(error < 1e-4)
    }
}

@Test func convolutionAddsAResidualAndAccumulatesGradients() throws {
    let x = try randomTensor([2, 6, 5, 8], "x")
    let weight = try randomTensor([8, 8, 3, 3], "w", scale: 0.3)
    let error = try gradientError([x, weight], step: 0.03) { _, context throws(USPError) in
        let once = try context.convolution(x, weight: weight, padding: Padding(1), residual: x)
        return try context.convolution(once, weight: weight, padding: Padding(1), residual: x)
    }
    #expect(error < 2e-3)
}

@Test(arguments: [24, 32])
func convolutionIsTheSameForAnyNumberOfThreads(_ inputs: Int) throws {
    let x = try randomTensor([5, 30, 31, inputs], "x")
    let weight = try randomTensor([48, inputs, 3, 3], "w", scale: 0.3)
    func run(_ threads: Int) throws -> ([Float], [Float], [Float]) {
        useThreads(threads)
        let (dx, dw) = (try trainable(x), try trainable(weight))
        let tape = Tape()
        let y = try Context(tape: tape).convolution(x, weight: weight, padding: Padding(1))
        try tape.backward(from: y, gradient: try randomTensor(y.shape, "g"))
        return (y.values, dx.values, dw.values)
    }
    try alone {
        let (one, three) = (try run(1), try run(3))
        #expect(one == three)
    }
}

@Test func convolutionRefusesShapesThatDoNotMeet() throws {
    let x = try randomTensor([1, 4, 4, 3], "x")
    let weight = try randomTensor([2, 4, 3, 3], "w")
    #expect(throws: USPError.self) { try Context().convolution(x, weight: weight) }
    let large = try randomTensor([2, 3, 5, 5], "w")
    #expect(throws: USPError.self) { try Context().convolution(x, weight: large) }
    #expect(throws: USPError.self) {
        try Context().convolution(x, weight: large, stride: 0, padding: Padding(2))
    }
}

@Test(arguments: [
    (1, 8, 8, 32, 32, 1), (3, 9, 7, 48, 40, 1), (1, 70, 75, 32, 3, 1), (2, 11, 13, 64, 96, 2),
    (9, 4, 4, 288, 33, 1),
])
func winogradStaysCloseToThePlainSum(_ sizes: (Int, Int, Int, Int, Int, Int)) throws {
    let (batch, height, width, inputs, outputs, upsample) = sizes
    let x = try randomTensor([batch, height, width, inputs], "x")
    let weight = try randomTensor([outputs, inputs, 3, 3], "w", scale: 0.1)
    let bias = try randomTensor([outputs], "b")
    let norm = ImageNorm(
        weight: try randomTensor([inputs], "g"), bias: try randomTensor([inputs], "h"), groups: 8,
        epsilon: 1e-6, activation: .silu)
    for padding in [Padding(1), Padding(top: 0, left: 2, bottom: 1, right: 0)] {
        let (fast, exact) = (Context(), Context(exact: true))
        let a = try fast.convolution(
            x, weight: weight, bias: bias, padding: padding, upsample: upsample)
        let b = try exact.convolution(
            x, weight: weight, bias: bias, padding: padding, upsample: upsample)
        #expect(relativeError(a, b.values) < 3e-5)
        if upsample == 2 { continue }
        let c = try fast.convolution(
            x, after: norm, weight: weight, bias: bias, padding: padding, residual: a)
        let d = try exact.convolution(
            x, after: norm, weight: weight, bias: bias, padding: padding, residual: a)
        #expect(relativeError(c, d.values) < 3e-5)
    }
}

@Test(arguments: [
    (2, 9, 11, 32, 48, 1), (3, 4, 4, 16, 16, 1), (1, 12, 20, 16, 64, 1), (1, 6, 5, 32, 20, 2),
])
func winogradGradientsAgreeWithThePlainSum(_ sizes: (Int, Int, Int, Int, Int, Int)) throws {
    let (batch, height, width, inputs, outputs, upsample) = sizes
    let x = try randomTensor([batch, height, width, inputs], "x")
    let weight = try randomTensor([outputs, inputs, 3, 3], "w", scale: 0.1)
    let bias = try randomTensor([outputs], "b")
    let norm = ImageNorm(
        weight: try randomTensor([inputs], "g"), bias: try randomTensor([inputs], "h"), groups: 8,
        epsilon: 1e-6, activation: .silu)
    let inputTensors = [x, weight, bias, norm.weight, norm.bias]
    func gradients(exact: Bool) throws -> [[Float]] {
        let kept = try inputTensors.map { try trainable($0) }
        let tape = Tape()
        let context = Context(tape: tape, exact: exact)
        let first = try context.convolution(
            x, weight: weight, bias: bias, padding: Padding(1), upsample: upsample)
        let second = try context.convolution(
            x, after: norm, weight: weight, bias: bias, padding: Padding(1),
            residual: upsample == 1 ? first : nil)
        try tape.backward(from: second, gradient: randomTensor(second.shape, "c"))
        if upsample == 2 {
            let again = Tape()
            let y = try Context(tape: again, exact: exact)
                .convolution(x, weight: weight, bias: bias, padding: Padding(1), upsample: 2)
            try again.backward(from: y, gradient: randomTensor(y.shape, "d"))
        }
        return kept.map(\.values)
    }
    for (fast, exact) in zip(try gradients(exact: false), try gradients(exact: true)) {
        #expect(relativeError(fast, exact) < 3e-5)
    }
}

/// Rounding does not grow with the length of a sum: of so many channels, both ways of computing
/// stay near what PyTorch's convolution has on these shapes (2.3e-7).
@Test(arguments: [128, 512])
func longSumsRoundLittle(_ channels: Int) throws {
    try alone {
        let c = ConvolutionCase(
            batch: 1, height: 12, width: 12, inputs: channels, outputs: 32, padding: Padding(1))
        let (x, weight) = (try c.x, try c.weight)
        let bias = try Tensor.zeros([c.outputs])
        let expected = c.reference(x.values, weight.values, bias.values)
        let size = expected.reduce(0.0) { $0 + Double($1) * Double($1) }
        let best = uspi_isa()
        for level in 0...best {
            useInstructions(level)
            for (exact, bound) in [(true, 4e-7), (false, 8e-7)] {
                let y = try Context(exact: exact).convolution(
                    x, weight: weight, bias: bias, padding: c.padding)
                let error = zip(y.values, expected).reduce(0.0) {
                    $0 + (Double($1.0) - Double($1.1)) * (Double($1.0) - Double($1.1))
                }
                let relative = (error / size).squareRoot()
                #expect(relative < bound, "level \(level), exact \(exact)")
            }
        }
    }
}
