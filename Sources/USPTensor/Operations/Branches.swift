// What convolutional networks for inference are made of: convolutions and pools that write their
// channels beside each other, so that a concatenation needs no copy. None of it is recorded.

import CKernels
import USPBase

/// Consecutive channels of images `[B, H, W, C]`, f32, to be written.
package struct ImageChannels {
    package let tensor: Tensor
    package let channels: Range<Int>

    /// All channels.
    package init(_ tensor: Tensor) { self.init(tensor, 0..<tensor.shape[-1]) }

    package init(_ tensor: Tensor, _ channels: Range<Int>) {
        precondition(channels.lowerBound >= 0 && channels.upperBound <= tensor.shape[-1])
        (self.tensor, self.channels) = (tensor, channels)
    }

    /// Of the first pixel, and elements from one pixel to the next.
    var pointer: UnsafeMutablePointer<Float> { tensor.floats + channels.lowerBound }
    var row: Int { tensor.shape[-1] }

    fileprivate func check(_ result: Shape, _ what: String) throws(USPError) {
        try require(
            tensor.dtype == .float32
                && Array(tensor.shape.extents.dropLast())
                    == Array(result.extents.dropLast())
                && channels.count == result[-1], .shape,
            "\(what): \(result) into \(channels.count) channels of \(tensor.shape)")
    }
}

extension Context {
    /// y = max(conv(x) + b, 0), by the methods of `convolution`.
    ///
    /// - x: `[B, H, W, C]`, f32
    /// - weight: `[O, C, kh, kw]`, f32
    /// - bias: `[O]`, f32
    /// - y: O channels of images `[B, H', W', ..]`; may not overlap x
    /// - Throws: `.shape`, `.memory`; `.unsupported` with a tape
    package func rectifiedConvolution(
        _ x: Tensor, weight: Tensor, bias: Tensor, stride: Int = 1, padding: Padding = Padding(0),
        into y: ImageChannels
    ) throws(USPError) {
        try expectNoTape("rectified convolution")
        let shape = try ConvolutionShape(
            x.shape, weight: weight.shape, stride: stride, padding: padding, upsample: 1)
        try expect(bias, [shape.outputs], "convolution: bias")
        try y.check(shape.result, "convolution")
        if shape.isLinear { return try rectifiedProduct(x, weight, bias, into: y) }
        if !exact, let winograd = WinogradShape(shape) {
            return try winogradConvolution(
                winograd, x, weight: weight, bias: bias, rectifies: true, into: y)
        }
        for pass in shape.forward {
            try pass.run(
                x, pass.matrix(weight, compute: compute), into: y, bias: bias, activation: .relu)
        }
    }

    private func rectifiedProduct(
        _ x: Tensor, _ weight: Tensor, _ bias: Tensor, into y: ImageChannels
    ) throws(USPError) {
        var epilogue = Epilogue()
        (epilogue.activation, epilogue.bias) = (.relu, UnsafePointer(bias.floats))
        try USPTensor.multiply(
            MatrixView(x), packed(weight: weight, use: .forward, compute: compute),
            rows: x.shape.rows, into: MatrixView(y.pointer, row: y.row), epilogue,
            sharing: exact ? .none : .within(sampleRows: x.shape[1] * x.shape[2]))
    }

    /// The largest value of each window of size x size pixels.
    ///
    /// - x: `[B, H, W, C]`, f32
    /// - padding: empty pixels on all sides, fewer than `size`, which no window sees
    /// - y: C channels of images `[B, H', W', ..]`, H' = (H + 2·padding − size)/stride + 1
    /// - Throws: `.shape`, `.argument`; `.unsupported` with a tape
    package func maxPool(
        _ x: Tensor, size: Int, stride: Int, padding: Int = 0, into y: ImageChannels
    ) throws(USPError) {
        try pool(x, size, stride, padding, into: y, uspi_pool_maximum)
    }

    /// As `maxPool`, the mean: of the pixels inside the image alone (PyTorch's
    /// `count_include_pad=False`).
    package func meanPool(
        _ x: Tensor, size: Int, stride: Int, padding: Int = 0, into y: ImageChannels
    ) throws(USPError) {
        try pool(x, size, stride, padding, into: y, uspi_pool_mean)
    }

    private func pool(
        _ x: Tensor, _ size: Int, _ stride: Int, _ padding: Int, into y: ImageChannels,
        _ kernel: (UnsafePointer<uspi_pool>, Int, Int) -> Void
    ) throws(USPError) {
        try expectNoTape("pool")
        let result = try pooledShape(x.shape, size: size, stride: stride, padding: padding)
        try y.check(result, "pool")
        let job = uspi_pool(
            x: UnsafePointer(x.floats), height: x.shape[1], width: x.shape[2],
            channels: x.shape[3], size: size, stride: stride, padding: padding, y: y.pointer,
            out_height: result[1], out_width: result[2], y_row: y.row)
        let grain = rowGrain(width: size * size * result[2] * result[3])
        withUnsafePointer(to: job) { job in
            parallelRanges(result[0] * result[1], grain: grain) { rows in
                kernel(job, rows.lowerBound, rows.upperBound)
            }
        }
    }

    private func expectNoTape(_ what: String) throws(USPError) {
        try require(tape == nil, .unsupported, "\(what): has no gradient")
    }
}

/// The shape of a pool's result.
/// - Throws: `.shape`, `.argument`
package func pooledShape(
    _ x: Shape, size: Int, stride: Int, padding: Int
) throws(USPError) -> Shape {
    try require(
        size >= 1 && stride >= 1 && (0..<size).contains(padding), .argument,
        "pool: size \(size), stride \(stride), padding \(padding)")
    try require(
        x.rank == 4 && x[1] + 2 * padding >= size && x[2] + 2 * padding >= size && x[1] > 0
            && x[2] > 0, .shape, "pool: windows of \(size)x\(size) over \(x)")
    return [
        x[0], (x[1] + 2 * padding - size) / stride + 1, (x[2] + 2 * padding - size) / stride + 1,
        x[3],
    ]
}
