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

    fileprivate func axis(from source: Int, to target: Int) -> Axis {
        let scale = Float(source) / Float(target)
        var axis = Axis()
        for i in 0..<target {
            let place =
                self == .fromCorner ? Float(i) * scale : max((Float(i) + 0.5) * scale - 0.5, 0)
            let low = min(Int(place), source - 1)
            axis.low.append(Int32(low))
            axis.high.append(Int32(min(low + 1, source - 1)))
            axis.fraction.append(place - Float(low))
        }
        return axis
    }
}

private struct Axis {
    var low: [Int32] = []
    var high: [Int32] = []
    var fraction: [Float] = []

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
    positions.axis(from: sourceHeight, to: height).withPositions { rows in
        positions.axis(from: sourceWidth, to: width).withPositions { columns in
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
