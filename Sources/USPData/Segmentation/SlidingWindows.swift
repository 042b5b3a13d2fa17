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
        let channels = inner.reduce(1, *)
        for (i, box) in boxes.enumerated() {
            try require(
                box.height == rows && box.width == columns && box.top >= 0 && box.left >= 0
                    && box.top <= size.height - rows && box.left <= size.width - columns, .shape,
                "boxes: [\(i)] is \(box.height) x \(box.width) at (\(box.top), \(box.left)), "
                    + "expected \(rows) x \(columns) inside of \(size.height) x \(size.width)")
        }
        let result = try Tensor.zeros(Shape(Array(inner) + [size.height, size.width]))
        let counts = try Tensor.zeros([size.height, size.width])
        let each = channels * rows * columns
        for (i, box) in boxes.enumerated() {
            uspi_add_window(
                windows.floats + i * each, channels, rows, columns, box.top, box.left, size.height,
                size.width, result.floats, counts.floats)
        }
        try require(
            uspi_least(counts.floats, counts.count) > 0, .argument,
            "boxes: they leave out pixels of \(size.height) x \(size.width)")
        uspi_divide_windows(counts.floats, channels, counts.count, result.floats)
        return result
    }
}
