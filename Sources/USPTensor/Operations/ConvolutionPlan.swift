// A convolution, its input gradient and the doubling of an image as one shape of work: passes that
// read windows at a stride and write a grid of pixels at a step.

import USPBase

/// Zeros around an image.
package struct Padding: Sendable, Equatable {
    package var top, left, bottom, right: Int

    package init(top: Int = 0, left: Int = 0, bottom: Int = 0, right: Int = 0) {
        (self.top, self.left, self.bottom, self.right) = (top, left, bottom, right)
    }

    /// The same on all four sides.
    package init(_ side: Int) { self.init(top: side, left: side, bottom: side, right: side) }
}

/// One axis of one pass: output `i·step + phase` sums tap t at `i·stride + first + t`; a tap's
/// factor is the sum of the listed kernel elements.
struct AxisPass: Hashable {
    let phase: Int
    let first: Int
    let taps: [[Int]]

    /// Outputs of this phase among `length`.
    func count(of length: Int, step: Int) -> Int { max(0, (length - phase + step - 1) / step) }
}

/// All passes along one axis.
struct AxisPlan {
    let passes: [AxisPass]
    /// Distance of neighbouring windows in what is read, and of their results in what is written.
    let stride: Int
    let step: Int

    /// y[i] = Σ w[k]·x[i·stride + k − padding], x possibly doubled first. Doubling folds taps that
    /// read the same pixel: two phases of about half the taps (3 become 2).
    static func forward(kernel: Int, stride: Int, padding: Int, upsample: Int) -> AxisPlan {
        if upsample == 1 {
            let taps = (0..<kernel).map { [$0] }
            return AxisPlan(
                passes: [AxisPass(phase: 0, first: -padding, taps: taps)], stride: stride, step: 1)
        }
        let passes = (0..<2).map { phase in
            let offsets = (0..<kernel).map { floorHalf(phase + $0 - padding) }
            let first = offsets[0]
            let taps = (first...offsets[kernel - 1]).map { offset in
                (0..<kernel).filter { offsets[$0] == offset }
            }
            return AxisPass(phase: phase, first: first, taps: taps)
        }
        return AxisPlan(passes: passes, stride: 1, step: 2)
    }

    /// dx[i·stride + q] = Σ over k ≡ q + padding (mod stride) of
    /// w[k]·dy[i + (q + padding − k)/stride]; after doubling each x takes kernel + 1 taps at stride
    /// 2.
    static func inputGradient(kernel: Int, stride: Int, padding: Int, upsample: Int) -> AxisPlan {
        if upsample == 2 {
            let taps = (0...kernel).map { t in
                [padding - (padding - kernel + 1 + t), padding + 1 - (padding - kernel + 1 + t)]
                    .filter { (0..<kernel).contains($0) }
            }
            return AxisPlan(
                passes: [AxisPass(phase: 0, first: padding - kernel + 1, taps: taps)], stride: 2,
                step: 1)
        }
        let passes = (0..<stride).map { phase in
            let kernels = (0..<kernel).reversed().filter { (phase + padding - $0) % stride == 0 }
            let first = kernels.first.map { (phase + padding - $0) / stride } ?? 0
            return AxisPass(phase: phase, first: first, taps: kernels.map { [$0] })
        }
        return AxisPlan(passes: passes, stride: 1, step: stride)
    }

    private static func floorHalf(_ value: Int) -> Int { value >> 1 }
}

/// The sizes of one convolution, checked.
struct ConvolutionShape: Equatable {
    let batch, height, width, inputs: Int
    let outputs, kernelHeight, kernelWidth: Int
    let stride, upsample: Int
    let padding: Padding
    let outHeight, outWidth: Int

    init(
        _ x: Shape, weight: Shape, stride: Int, padding: Padding, upsample: Int
    ) throws(USPError) {
        try require(
            x.rank == 4 && weight.rank == 4 && weight[1] == x[3] && weight[0] > 0 && weight[1] > 0
                && weight[2] > 0 && weight[3] > 0, .shape,
            "convolution: input \(x) (channels last), weight \(weight)")
        try require(
            stride >= 1 && (upsample == 1 || (upsample == 2 && stride == 1)), .argument,
            "convolution: stride \(stride), upsample \(upsample)")
        let sides = [padding.top, padding.left, padding.bottom, padding.right]
        try require(
            sides.allSatisfy { (0..<1 << 20).contains($0) }, .argument,
            "convolution: padding \(sides)")
        (batch, height, width, inputs) = (x[0], x[1], x[2], x[3])
        (outputs, kernelHeight, kernelWidth) = (weight[0], weight[2], weight[3])
        (self.stride, self.upsample, self.padding) = (stride, upsample, padding)
        let paddedHeight = upsample * height + padding.top + padding.bottom
        let paddedWidth = upsample * width + padding.left + padding.right
        try require(
            paddedHeight >= kernelHeight && paddedWidth >= kernelWidth && height > 0 && width > 0,
            .shape,
            "convolution: kernel \(kernelHeight)x\(kernelWidth) over \(paddedHeight)x\(paddedWidth)"
        )
        outHeight = (paddedHeight - kernelHeight) / stride + 1
        outWidth = (paddedWidth - kernelWidth) / stride + 1
    }

    var result: Shape { [batch, outHeight, outWidth, outputs] }

    var isLinear: Bool {
        kernelHeight == 1 && kernelWidth == 1 && stride == 1 && upsample == 1
            && padding == Padding(0)
    }

    /// The passes of y from x.
    var forward: [ConvolutionPass] {
        let rows = AxisPlan.forward(
            kernel: kernelHeight, stride: stride, padding: padding.top, upsample: upsample)
        let columns = AxisPlan.forward(
            kernel: kernelWidth, stride: stride, padding: padding.left, upsample: upsample)
        return passes(
            rows, columns, source: (height, width, inputs), result: (outHeight, outWidth, outputs),
            byOutput: false)
    }

    /// The passes of dx from dy.
    var inputGradient: [ConvolutionPass] {
        let rows = AxisPlan.inputGradient(
            kernel: kernelHeight, stride: stride, padding: padding.top, upsample: upsample)
        let columns = AxisPlan.inputGradient(
            kernel: kernelWidth, stride: stride, padding: padding.left, upsample: upsample)
        return passes(
            rows, columns, source: (outHeight, outWidth, outputs), result: (height, width, inputs),
            byOutput: true)
    }

    private func passes(
        _ rows: AxisPlan, _ columns: AxisPlan, source: (Int, Int, Int), result: (Int, Int, Int),
        byOutput: Bool
    ) -> [ConvolutionPass] {
        rows.passes.flatMap { row in
            columns.passes.map { column in
                ConvolutionPass(
                    row: row, column: column, stride: rows.stride, step: rows.step, batch: batch,
                    source: source, result: result, kernelWidth: kernelWidth, byOutput: byOutput)
            }
        }
    }
}
