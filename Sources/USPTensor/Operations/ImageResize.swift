// Bilinear resizing and pools of channels-last images, with gradients. A gradient is gathered: each
// row of the source adds what the result's rows give it, in their order.

import CKernels
import USPBase

extension Context {
    /// Bilinear interpolation: PyTorch's `interpolate` with `align_corners=False`, without
    /// antialiasing.
    ///
    /// - x: `[B, H, W, C]`, f32
    /// - Returns: `[B, height, width, C]`, f32
    /// - Throws: `.shape`, `.argument`, `.memory`
    /// - Complexity: reads four values and writes one
    package func resizeBilinear(
        _ x: Tensor, height: Int, width: Int
    ) throws(USPError) -> Tensor {
        try requireImages(x, "resize")
        try require(
            (1...1 << 20).contains(height) && (1...1 << 20).contains(width), .argument,
            "resize: to \(height)x\(width)")
        let rows = ResizeAxis(.fromCentre, from: x.shape[1], to: height)
        let columns = ResizeAxis(.fromCentre, from: x.shape[2], to: width)
        let (batch, channels) = (x.shape[0], x.shape[3])
        let y = try Tensor([batch, height, width, channels])
        let (sourceRow, resultRow) = (x.shape[2] * channels, width * channels)
        let (source, result) = (x.floats, y.floats)
        columns.withPositions { columns in
            parallelRanges(batch * height, grain: rowGrain(width: resultRow)) { range in
                for row in range {
                    let (image, i) = row.quotientAndRemainder(dividingBy: height)
                    let base = source + image * rows.source * sourceRow
                    uspi_interpolate_row(
                        base + Int(rows.low[i]) * sourceRow, base + Int(rows.high[i]) * sourceRow,
                        rows.fraction[i], columns, channels, result + row * resultRow)
                }
            }
        }
        tape?.record(y, inputs: [x]) { [tape] gradient throws(USPError) in
            guard let target = try tape?.target(for: x) else { return }
            if !target.accumulates { target.tensor.fillWithZeros() }
            let (dy, dx) = (gradient.floats, target.tensor.floats)
            columns.withPositions { columns in
                parallelRanges(batch * rows.source, grain: rowGrain(width: 4 * sourceRow)) {
                    range in
                    for row in range {
                        let (image, i) = row.quotientAndRemainder(dividingBy: rows.source)
                        for from in rows.results(of: i) {
                            uspi_interpolate_row_backward(
                                dy + (image * height + from) * resultRow, rows.share(from, of: i),
                                columns, channels, dx + row * sourceRow)
                        }
                    }
                }
            }
        }
        return y
    }

    /// The mean of each of cells x cells parts of an image, which overlap where the sides are no
    /// multiples: part i of n pixels is ⌊i·n/cells⌋ ..< ⌈(i + 1)·n/cells⌉ (PyTorch's
    /// `adaptive_avg_pool2d`).
    ///
    /// - x: `[B, H, W, C]`, f32
    /// - Returns: `[B, cells, cells, C]`, f32
    /// - Throws: `.shape`, `.argument`, `.memory`
    package func adaptiveMeanPool(_ x: Tensor, cells: Int) throws(USPError) -> Tensor {
        try requireImages(x, "adaptive pool")
        try require((1...1 << 12).contains(cells), .argument, "adaptive pool: \(cells) cells")
        let (height, width, channels) = (x.shape[1], x.shape[2], x.shape[3])
        let (rows, columns) = (adaptiveParts(height, cells), adaptiveParts(width, cells))
        let y = try Tensor([x.shape[0], cells, cells, channels])
        let (source, result) = (x.floats, y.floats)
        parallelRanges(x.shape[0] * cells * cells, grain: 1) { range in
            for cell in range {
                let (line, j) = cell.quotientAndRemainder(dividingBy: cells)
                let (image, i) = line.quotientAndRemainder(dividingBy: cells)
                let sum = result + cell * channels
                sum.update(repeating: 0, count: channels)
                for row in rows[i] {
                    for column in columns[j] {
                        let pixel = (image * height + row) * width + column
                        uspi_add(sum, source + pixel * channels, channels)
                    }
                }
                uspi_scale(sum, 1 / Float(rows[i].count * columns[j].count), sum, channels, 0)
            }
        }
        tape?.record(y, inputs: [x]) { [tape] gradient throws(USPError) in
            guard let target = try tape?.target(for: x) else { return }
            if !target.accumulates { target.tensor.fillWithZeros() }
            let (dy, dx) = (gradient.floats, target.tensor.floats)
            parallelRanges(x.shape[0] * height, grain: rowGrain(width: width * channels)) { range in
                for line in range {
                    let (image, row) = line.quotientAndRemainder(dividingBy: height)
                    for i in rows.indices where rows[i].contains(row) {
                        for (j, columns) in columns.enumerated() {
                            let cell = (image * cells + i) * cells + j
                            let share = 1 / Float(rows[i].count * columns.count)
                            for column in columns {
                                uspi_scale(
                                    dy + cell * channels, share,
                                    dx + (line * width + column) * channels, channels, 1)
                            }
                        }
                    }
                }
            }
        }
        return y
    }

    /// The largest value of each window of size x size pixels, windows side by side; rows and
    /// columns that fill none are left out (PyTorch's `max_pool2d(size)`). The gradient goes to the
    /// first of equal values.
    ///
    /// - x: `[B, H, W, C]`, f32
    /// - Returns: `[B, ⌊H/size⌋, ⌊W/size⌋, C]`, f32
    /// - Throws: `.shape`, `.argument`, `.memory`
    package func maxPool(_ x: Tensor, size: Int) throws(USPError) -> Tensor {
        try requireImages(x, "pool")
        let shape = try pooledShape(x.shape, size: size, stride: size, padding: 0)
        let y = try Tensor(shape)
        try recording(on: nil).maxPool(x, size: size, stride: size, into: ImageChannels(y))
        tape?.record(y, inputs: [x]) { [tape] gradient throws(USPError) in
            guard let target = try tape?.target(for: x) else { return }
            if !target.accumulates { target.tensor.fillWithZeros() }
            let (dy, dx) = (gradient.floats, target.tensor.floats)
            let job = uspi_pool(
                x: UnsafePointer(x.floats), height: x.shape[1], width: x.shape[2],
                channels: x.shape[3], size: size, stride: size, padding: 0, y: nil,
                out_height: shape[1], out_width: shape[2], y_row: shape[3])
            withUnsafePointer(to: job) { job in
                let grain = rowGrain(width: size * size * shape[2] * shape[3])
                parallelRanges(shape[0] * shape[1], grain: grain) { rows in
                    uspi_pool_maximum_backward(job, dy, rows.lowerBound, rows.upperBound, dx)
                }
            }
        }
        return y
    }
}

/// Throws `.shape` unless x is channels-last images of f32 with a pixel at least.
private func requireImages(_ x: Tensor, _ what: String) throws(USPError) {
    try require(
        x.shape.rank == 4 && x.dtype == .float32 && x.shape[1] > 0 && x.shape[2] > 0, .shape,
        "\(what): \(x.shape), expected [B, H, W, C]")
}

/// The pixels of each of so many parts of an axis.
private func adaptiveParts(_ extent: Int, _ parts: Int) -> [Range<Int>] {
    (0..<parts).map { i in i * extent / parts..<((i + 1) * extent + parts - 1) / parts }
}
