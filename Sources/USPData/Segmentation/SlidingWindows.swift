// Windows over an image that is larger than a network's input, and their mean.

import CKernels
import USPBase
import USPTensor

/// Where windows of a size lie at a stride over an image; the last of each axis ends with it.
public struct SlidingWindows: Sendable, Equatable {
    /// The image.
    public let size: ImageSize
    /// Each window, in rows of windows; cut to the image where that is smaller.
    public let boxes: [CropBox]

    /// - Throws: `.argument` unless all sizes are 1 to 65536 and the stride is at most the crop
    /// - Source: mmseg `encoder_decoder.py`, `slide_inference`
    public init(
        _ size: ImageSize, crop: ImageSize, stride: ImageSize
    ) throws(USPError) {
        let rows = try SlidingWindows.ranges(size.height, crop.height, stride.height, "height")
        let columns = try SlidingWindows.ranges(size.width, crop.width, stride.width, "width")
        try SystemMemory.expect(rows.count * columns.count, of: CropBox.self)
        self.size = size
        boxes = rows.flatMap { row in
            columns.map {
                CropBox(
                    left: $0.lowerBound, top: row.lowerBound, width: $0.count, height: row.count)
            }
        }
    }

    /// `[N, 4]`, i64: first row, first column, the row and the column after the last.
    public func table() throws(USPError) -> Tensor {
        let result = try Tensor([boxes.count, 4], .int64)
        let numbers = result.raw.assumingMemoryBound(to: Int64.self)
        for (i, box) in boxes.enumerated() {
            let row = [box.top, box.left, box.top + box.height, box.left + box.width]
            for (j, number) in row.enumerated() { numbers[4 * i + j] = Int64(number) }
        }
        return result
    }

    private static func ranges(
        _ extent: Int, _ crop: Int, _ stride: Int, _ axis: String
    ) throws(USPError) -> [Range<Int>] {
        for (name, value) in [(axis, extent), ("crop", crop), ("stride", stride)] {
            try require(
                (1...65536).contains(value), .argument, "\(name): \(value), expected 1 to 65536")
        }
        try require(
            stride <= crop, .argument,
            "stride: \(stride), expected at most the crop of \(crop), else pixels are left out")
        let count = max(extent - crop + stride - 1, 0) / stride + 1
        return (0..<count).map {
            let end = min($0 * stride + crop, extent)
            return max(end - crop, 0)..<end
        }
    }

    /// As below, of the numbers of `table`.
    public static func stitch(
        _ windows: Tensor, numbers: [Int], _ size: ImageSize
    ) throws(USPError) -> Tensor {
        var boxes: [CropBox] = []
        for first in stride(from: 0, to: numbers.count - 3, by: 4) {
            let row = numbers[first..<first + 4]
            try require(
                row.allSatisfy { (0...65536).contains($0) }, .argument,
                "boxes: [\(first / 4)] is \(Array(row)), expected 0 to 65536")
            boxes.append(
                CropBox(
                    left: numbers[first + 1], top: numbers[first],
                    width: numbers[first + 3] - numbers[first + 1],
                    height: numbers[first + 2] - numbers[first]))
        }
        return try stitch(windows, at: boxes, size)
    }

    /// The mean over windows of what they say of each pixel: `[.., H, W]` from `[N, .., h, w]`.
    ///
    /// - Throws: `.shape` for windows of other sizes, `.argument` for a pixel without any
    public static func stitch(
        _ windows: Tensor, at boxes: [CropBox], _ size: ImageSize
    ) throws(USPError) -> Tensor {
        let shape = windows.shape.extents
        try require(
            windows.dtype == .float32 && shape.count >= 3 && shape[0] == boxes.count
                && !boxes.isEmpty, .shape,
            "windows: \(windows.dtype.name) \(windows.shape), expected f32 [\(boxes.count), .., h, w]"
        )
        let sides = 1...65536
        try require(
            sides.contains(size.height) && sides.contains(size.width), .shape,
            "image of \(size.height) x \(size.width), expected sides of 1 to 65536")
        let (rows, columns) = (shape[shape.count - 2], shape[shape.count - 1])
        let inner = shape[1..<shape.count - 2]
        for (i, box) in boxes.enumerated() {
            try require(
                box.height == rows && box.width == columns && box.top >= 0 && box.left >= 0
                    && box.top <= size.height - rows && box.left <= size.width - columns, .shape,
                "boxes: [\(i)] is \(box.height) x \(box.width) at (\(box.top), \(box.left)), "
                    + "expected \(rows) x \(columns) inside of \(size.height) x \(size.width)")
        }
        let sum = try WindowSum(Shape(Array(inner)), size)
        for (i, box) in boxes.enumerated() {
            try sum.add(windows.detachedRows(i..<i + 1), at: box)
        }
        return try sum.mean()
    }
}

/// The sum of what windows say of each pixel, one window after another.
package struct WindowSum {
    private let size: ImageSize
    /// `[.., H, W]`
    private let sum: Tensor
    private let counts: Tensor

    /// - inner: the axes before rows and columns
    /// - Throws: `.memory`
    package init(_ inner: Shape, _ size: ImageSize) throws(USPError) {
        self.size = size
        sum = try Tensor.zeros(Shape(inner.extents + [size.height, size.width]))
        counts = try Tensor.zeros([size.height, size.width])
    }

    /// - window: f32, as many channels as the sum has, of the box's rows and columns
    package func add(_ window: Tensor, at box: CropBox) throws(USPError) {
        let channels = sum.count / max(counts.count, 1)
        try require(
            window.count == channels * box.height * box.width && box.top >= 0 && box.left >= 0
                && box.top + box.height <= size.height && box.left + box.width <= size.width,
            .shape, "window: \(window.shape) for \(channels) channels of \(box)")
        uspi_add_window(
            window.floats, channels, box.height, box.width, box.top, box.left, size.height,
            size.width, sum.floats, counts.floats)
    }

    /// - Throws: `.argument` for a pixel without a window
    package func mean() throws(USPError) -> Tensor {
        try require(
            uspi_least(counts.floats, counts.count) > 0, .argument,
            "boxes: they leave out pixels of \(size.height) x \(size.width)")
        uspi_divide_windows(
            counts.floats, sum.count / counts.count, counts.count, sum.floats)
        return sum
    }
}

/// The class of the largest score of each pixel: `[B, H, W]` from `[B, K, H, W]`, u8 for 256 classes
/// or fewer, else i64; the first of equal ones.
package func classMap(_ scores: Tensor) throws(USPError) -> Tensor {
    try require(
        scores.shape.rank == 4 && scores.count > 0, .shape,
        "scores: \(scores.shape), expected [B, K, H, W]")
    let (batch, classes) = (scores.shape[0], scores.shape[1])
    let pixels = scores.shape[2] * scores.shape[3]
    let type: DType = classes <= 256 ? .uint8 : .int64
    let result = try Tensor([batch, scores.shape[2], scores.shape[3]], type)
    let largest = try Tensor([pixels])
    for image in 0..<batch {
        // SAFETY: every range is written by one thread.
        nonisolated(unsafe) let labels = result.raw + image * pixels * type.size
        let (planes, most) = (scores.floats + image * classes * pixels, largest.floats)
        parallelRanges(pixels, grain: 1 << 12) { range in
            uspi_largest_plane(
                planes, classes, pixels, range.lowerBound, range.upperBound, most, labels,
                type.size)
        }
    }
    return result
}
