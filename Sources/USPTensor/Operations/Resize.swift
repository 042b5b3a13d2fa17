// Bilinear resizing of byte images, as networks that score images define it.

import CKernels
import USPBase

/// Where the pixels of a resized image lie in its source; i counts result pixels, s is source over
/// result extent.
package enum ResizePositions: Sendable {
    /// i·s: TensorFlow 1's `resize_bilinear`, which moves the image by up to half a pixel.
    case fromCorner
    /// (i + 1/2)·s − 1/2, at least 0: PyTorch's `interpolate` with `align_corners=False`.
    case fromCentre
}

/// One axis of an image that is resized: which source pixels each result pixel lies between.
struct ResizeAxis: Sendable {
    let source: Int
    private(set) var low: [Int32] = []
    private(set) var high: [Int32] = []
    private(set) var fraction: [Float] = []

    init(_ positions: ResizePositions, from source: Int, to target: Int) {
        self.source = source
        let scale = Float(source) / Float(target)
        for i in 0..<target {
            let place =
                positions == .fromCorner
                ? Float(i) * scale : max((Float(i) + 0.5) * scale - 0.5, 0)
            let first = min(Int(place), source - 1)
            low.append(Int32(first))
            high.append(Int32(min(first + 1, source - 1)))
            fraction.append(place - Float(first))
        }
    }

    /// The result pixels that read source pixel i: places grow, so they are a range.
    func results(of i: Int) -> Range<Int> {
        let begin = partition(high) { $0 < i }
        return begin..<max(begin, partition(low) { $0 <= i })
    }

    /// How many of the growing values come before those that do not meet a condition.
    private func partition(_ values: [Int32], _ comesBefore: (Int) -> Bool) -> Int {
        var (begin, end) = (0, values.count)
        while begin < end {
            let middle = (begin + end) / 2
            if comesBefore(Int(values[middle])) { begin = middle + 1 } else { end = middle }
        }
        return begin
    }

    /// What result pixel `result` takes of source pixel i, of its value.
    func share(_ result: Int, of i: Int) -> Float {
        (Int(low[result]) == i ? 1 - fraction[result] : 0)
            + (Int(high[result]) == i ? fraction[result] : 0)
    }

    func withPositions(_ body: (UnsafePointer<uspi_positions>) -> Void) {
        low.withUnsafeBufferPointer { low in
            high.withUnsafeBufferPointer { high in
                fraction.withUnsafeBufferPointer { fraction in
                    var positions = uspi_positions(
                        low: low.baseAddress, high: high.baseAddress,
                        fraction: fraction.baseAddress, count: low.count)
                    body(&positions)
                }
            }
        }
    }
}

/// y = interpolated·scale + shift, without antialiasing.
///
/// - images: `[B, H, W, 3]`, u8
/// - Returns: `[B, height, width, 3]`, f32
/// - Throws: `.shape`, `.dtype`, `.memory`
/// - Source: TensorFlow 1 `resize_bilinear_op.cc` (`compute_lerp`); PyTorch `UpSampleBilinear2d`
package func resizedBilinear(
    _ images: Tensor, height: Int, width: Int, _ positions: ResizePositions, scale: Float,
    shift: Float
) throws(USPError) -> Tensor {
    try require(
        images.dtype == .uint8, .dtype, "images: \(images.dtype.name), expected u8")
    try require(
        images.shape.rank == 4 && images.shape[3] == 3 && images.shape[1] > 0
            && images.shape[2] > 0, .shape, "images: \(images.shape), expected [B, H, W, 3]")
    let (sourceHeight, sourceWidth) = (images.shape[1], images.shape[2])
    let y = try Tensor([images.shape[0], height, width, 3])
    let source = images.raw.assumingMemoryBound(to: UInt8.self)
    let (size, target) = (sourceHeight * sourceWidth * 3, y.floats)
    ResizeAxis(positions, from: sourceHeight, to: height).withPositions { rows in
        ResizeAxis(positions, from: sourceWidth, to: width).withPositions { columns in
            parallelRanges(images.shape[0], grain: 1) { range in
                for image in range {
                    uspi_resize_bilinear(
                        source + image * size, sourceWidth, rows, columns, scale, shift, 0, height,
                        target + image * height * width * 3)
                }
            }
        }
    }
    return y
}
