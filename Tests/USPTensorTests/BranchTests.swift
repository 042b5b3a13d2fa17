// Convolutions with ReLU and pools that write beside each other, and resizing, by their
// definitions and on every instruction set.

import CKernels
import TestSupport
import Testing
import USPBase
import USPTensor

/// Channels 3 ..< 3 + C of an image with 5 more; the others must stay as they are.
private func beside(_ result: Shape, _ body: (ImageChannels) throws -> Void) throws -> [Float] {
    let (pixels, width) = (result.extents.dropLast().reduce(1, *), result[-1])
    let row = width + 8
    let whole = try Tensor(
        Shape(Array(result.extents.dropLast()) + [row]),
        [Float](repeating: -7, count: pixels * row))
    try body(ImageChannels(whole, 3..<3 + width))
    let values = whole.values
    for index in values.indices where !(3..<3 + width).contains(index % row) {
        #expect(values[index] == -7, "channel \(index % row) of \(row) was written")
    }
    return (0..<pixels).flatMap { values[$0 * row + 3..<$0 * row + 3 + width] }
}

/// Sizes that take each method: a product (also of shared sums), Winograd's, the plain sum.
private let convolutions: [ConvolutionCase] = [
    ConvolutionCase(
        height: 8, width: 9, inputs: 256, outputs: 64, kernelHeight: 1, kernelWidth: 1,
        padding: Padding(0)),
    ConvolutionCase(inputs: 20, outputs: 21, kernelHeight: 1, kernelWidth: 1, padding: Padding(0)),
    ConvolutionCase(batch: 3, height: 9, width: 13, inputs: 32, outputs: 40),
    ConvolutionCase(height: 9, width: 12, inputs: 16, outputs: 33, padding: Padding(0)),
    ConvolutionCase(height: 9, width: 12, inputs: 3, outputs: 32, stride: 2, padding: Padding(0)),
    ConvolutionCase(
        inputs: 24, kernelHeight: 1, kernelWidth: 7, padding: Padding(left: 3, right: 3)),
    ConvolutionCase(
        inputs: 24, kernelHeight: 7, kernelWidth: 1, padding: Padding(top: 3, bottom: 3)),
]

@Test(arguments: convolutions)
func rectifiedConvolutionIsTheConvolutionAboveZero(_ c: ConvolutionCase) throws {
    let (x, weight, bias) = (try c.x, try c.weight, try c.bias)
    let plain = c.reference(x.values, weight.values, bias.values).map { max($0, 0) }
    let result = try Context().convolution(
        x, weight: weight, stride: c.stride, padding: c.padding
    ).shape
    for exact in [false, true] {
        let y = try beside(result) {
            try Context(exact: exact).rectifiedConvolution(
                x, weight: weight, bias: bias, stride: c.stride, padding: c.padding, into: $0)
        }
        #expect(relativeError(y, plain) < 3e-5)
        #expect(y.contains(0) && y.allSatisfy { $0 >= 0 })
    }
}

/// The definition, in f64, and whether it is the mean.
private func pooled(
    _ x: Tensor, _ size: Int, _ stride: Int, _ padding: Int, isMean: Bool
) throws -> [Float] {
    let (height, width, channels) = (x.shape[1], x.shape[2], x.shape[3])
    let result = try pooledShape(x.shape, size: size, stride: stride, padding: padding)
    var y: [Float] = []
    for pixel in 0..<result[0] * result[1] * result[2] {
        let (row, j) = pixel.quotientAndRemainder(dividingBy: result[2])
        let (image, i) = row.quotientAndRemainder(dividingBy: result[1])
        let (top, left) = (i * stride - padding, j * stride - padding)
        for c in 0..<channels {
            var seen: [Double] = []
            for a in max(top, 0)..<min(top + size, height) {
                for b in max(left, 0)..<min(left + size, width) {
                    seen.append(
                        Double(x.floats[((image * height + a) * width + b) * channels + c]))
                }
            }
            let mean = seen.reduce(0, +) / Double(seen.count)
            y.append(Float(isMean ? mean : seen.max()!))
        }
    }
    return y
}

@Test(arguments: [(3, 2, 0), (3, 1, 1), (3, 1, 0), (2, 2, 1), (5, 3, 2), (1, 1, 0), (7, 1, 0)])
func poolsFollowTheirDefinition(_ size: Int, _ stride: Int, _ padding: Int) throws {
    let x = try randomTensor([2, 9, 7, 21], "x")
    let result = try pooledShape(x.shape, size: size, stride: stride, padding: padding)
    let largest = try beside(result) {
        try Context().maxPool(x, size: size, stride: stride, padding: padding, into: $0)
    }
    #expect(largest == (try pooled(x, size, stride, padding, isMean: false)))
    let mean = try beside(result) {
        try Context().meanPool(x, size: size, stride: stride, padding: padding, into: $0)
    }
    #expect(relativeError(mean, try pooled(x, size, stride, padding, isMean: true)) < 1e-6)
}

@Test func branchesRefuseWhatDoesNotFit() throws {
    let x = try randomTensor([1, 4, 4, 3], "x")
    let weight = try randomTensor([2, 3, 3, 3], "w")
    let (bias, y) = (try randomTensor([2], "b"), try Tensor([1, 2, 2, 2]))
    let context = Context()
    func fails(_ body: () throws -> Void) { #expect(throws: USPError.self) { try body() } }
    fails { try context.maxPool(x, size: 3, stride: 1, padding: 3, into: ImageChannels(y)) }
    fails { try context.maxPool(x, size: 5, stride: 1, into: ImageChannels(y)) }
    fails { try context.meanPool(x, size: 3, stride: 1, into: ImageChannels(y)) }
    fails {
        try context.rectifiedConvolution(
            x, weight: weight, bias: bias, into: ImageChannels(y, 0..<1))
    }
    fails {
        try Context(tape: Tape()).rectifiedConvolution(
            x, weight: weight, bias: bias, into: ImageChannels(y))
    }
    fails { _ = try resizedBilinear(x, height: 2, width: 2, .fromCorner, scale: 1, shift: 0) }
}

private func bytes(_ shape: Shape) throws -> Tensor {
    let result = try Tensor(shape, .uint8)
    let target = result.raw.assumingMemoryBound(to: UInt8.self)
    for i in 0..<shape.count { target[i] = UInt8(truncatingIfNeeded: i &* 2_654_435_761 >> 11) }
    return result
}

/// The definition in f64; positions are f32, as TensorFlow's and PyTorch's are.
private func resized(_ x: Tensor, _ height: Int, _ width: Int, fromCorner: Bool) -> [Float] {
    func place(_ i: Int, _ source: Int, _ target: Int) -> Double {
        let scale = Float(source) / Float(target)
        return Double(fromCorner ? Float(i) * scale : max((Float(i) + 0.5) * scale - 0.5, 0))
    }
    let (rows, columns) = (x.shape[1], x.shape[2])
    let source = x.raw.assumingMemoryBound(to: UInt8.self)
    return (0..<x.shape[0] * height * width * 3).map { index in
        let (pixel, c) = index.quotientAndRemainder(dividingBy: 3)
        let (line, j) = pixel.quotientAndRemainder(dividingBy: width)
        let (image, i) = line.quotientAndRemainder(dividingBy: height)
        let (y, z) = (place(i, rows, height), place(j, columns, width))
        var sum = 0.0
        for a in [Int(y), Int(y) + 1] {
            for b in [Int(z), Int(z) + 1] {
                let weight = (1 - abs(y - Double(a))) * (1 - abs(z - Double(b)))
                let at = (image * rows + min(a, rows - 1)) * columns + min(b, columns - 1)
                sum += weight * Double(source[at * 3 + c])
            }
        }
        return Float(sum / 128 - 1)
    }
}

@Test(arguments: [(5, 7), (40, 33), (20, 20), (1, 1)])
func resizingFollowsItsDefinition(_ height: Int, _ width: Int) throws {
    let x = try bytes([2, height, width, 3])
    for positions in [ResizePositions.fromCorner, .fromCentre] {
        let y = try resizedBilinear(x, height: 20, width: 20, positions, scale: 1 / 128, shift: -1)
        let expected = resized(x, 20, 20, fromCorner: positions == .fromCorner)
        #expect(relativeError(y, expected) < 1e-6)
    }
}

@Test func branchesAgreeOnAllInstructionSets() throws {
    try alone {
        let best = uspi_isa()
        func step() throws -> [[Float]] {
            let image = try resizedBilinear(
                bytes([1, 7, 9, 3]), height: 16, width: 15, .fromCentre, scale: 1 / 64, shift: -2)
            let inner = try Tensor([1, 16, 15, 32])
            try Context().rectifiedConvolution(
                image, weight: randomTensor([32, 3, 3, 3], "w"), bias: randomTensor([32], "b"),
                padding: Padding(1), into: ImageChannels(inner))
            let (a, b) = (try Tensor([1, 14, 13, 40]), try Tensor([1, 16, 15, 32]))
            try Context().rectifiedConvolution(
                inner, weight: randomTensor([40, 32, 3, 3], "u"), bias: randomTensor([40], "c"),
                into: ImageChannels(a))
            try Context().meanPool(inner, size: 3, stride: 1, padding: 1, into: ImageChannels(b))
            return [image.values, inner.values, a.values, b.values]
        }
        let expected = try step()
        for level in 0..<best {
            useInstructions(level)
            for (mine, theirs) in zip(try step(), expected) {
                #expect(relativeError(mine, theirs) < 2e-5)
            }
        }
    }
}
