// Between PyTorch's channels-first images and the channels-last ones that convolutions read, and
// ranges of channels.

import CKernels
import USPBase

extension Context {
    /// `[B, C, H, W]` to `[B, H, W, C]`, f32.
    package func toChannelsLast(_ x: Tensor) throws(USPError) -> Tensor {
        try require(x.shape.rank == 4, .shape, "toChannelsLast: \(x.shape)")
        let (b, c, h, w) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3])
        return try transposed(x, batch: b, rows: c, columns: h &* w, result: [b, h, w, c])
    }

    /// `[B, H, W, C]` to `[B, C, H, W]`, f32.
    package func toChannelsFirst(_ x: Tensor) throws(USPError) -> Tensor {
        try require(x.shape.rank == 4, .shape, "toChannelsFirst: \(x.shape)")
        let (b, h, w, c) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3])
        return try transposed(x, batch: b, rows: h &* w, columns: c, result: [b, c, h, w])
    }

    private func transposed(
        _ x: Tensor, batch: Int, rows: Int, columns: Int, result: Shape
    ) throws(USPError) -> Tensor {
        let y = try Tensor(result)
        transpose(
            x.floats, batch: batch, rows: rows, columns: columns, into: y.floats, accumulates: false
        )
        tape?.record(y, inputs: [x]) { [tape] gradient throws(USPError) in
            guard let target = try tape?.target(for: x) else { return }
            transpose(
                gradient.floats, batch: batch, rows: columns, columns: rows,
                into: target.tensor.floats,
                accumulates: target.accumulates)
        }
        return y
    }

    /// The channels of all parts in order.
    ///
    /// - parts: `[.., Cᵢ]`, f32, alike but for the channels
    /// - Returns: `[.., ΣCᵢ]`
    /// - Throws: `.shape`
    package func concatenateChannels(_ parts: [Tensor]) throws(USPError) -> Tensor {
        let first = parts.first?.shape.extents.dropLast() ?? []
        let rows = try parts.map { part throws(USPError) in
            try require(
                part.shape.rank > 0 && part.shape.extents.dropLast() == first, .shape,
                "concatenate: \(part.shape) beside \(parts[0].shape)")
            return try part.reshaped([part.shape.rows, part.shape[-1], 1])
        }
        let whole = try concatenateTokens(rows)
        return try whole.reshaped(Shape(Array(first) + [whole.shape[1]]))
    }

    /// Channels `range` of `[.., C]`, f32.
    package func sliceChannels(_ x: Tensor, _ range: Range<Int>) throws(USPError) -> Tensor {
        try require(
            x.shape.rank > 0 && range.lowerBound >= 0 && range.upperBound <= x.shape[-1], .shape,
            "sliceChannels: \(range) of \(x.shape)")
        let (rows, width, count) = (x.shape.rows, x.shape[-1], range.count)
        let y = try Tensor(Shape(x.shape.extents.dropLast() + [count]))
        uspi_copy_rows(x.floats + range.lowerBound, width, rows, count, 0, y.floats, count)
        tape?.record(y, inputs: [x]) { [tape] gradient throws(USPError) in
            guard let target = try tape?.target(for: x) else { return }
            if !target.accumulates { target.tensor.fillWithZeros() }
            uspi_copy_rows(
                gradient.floats, count, rows, count, 1, target.tensor.floats + range.lowerBound,
                width)
        }
        return y
    }

    /// y[.., c] = x[.., c]·factors[c] + offsets[c] with constant factors; x: `[.., C]`, f32.
    package func scaleChannels(
        _ x: Tensor, by factors: [Float], offsets: [Float]
    ) throws(USPError) -> Tensor {
        let width = factors.count
        try require(
            x.shape.rank > 0 && x.shape[-1] == width && offsets.count == width, .shape,
            "scaleChannels: \(x.shape) by \(width) factors and \(offsets.count) offsets")
        let y = try Tensor(x.shape)
        uspi_normalize(x.floats, factors, offsets, x.shape.rows, width, 0, x.dtype.kernel, y.raw)
        tape?.record(y, inputs: [x]) { [tape] gradient throws(USPError) in
            guard let tape else { return }
            let product = try Tensor(x.shape)
            let zeros = [Float](repeating: 0, count: width)
            uspi_normalize(
                gradient.floats, factors, zeros, x.shape.rows, width, 0, x.dtype.kernel, product.raw
            )
            try tape.pass(product, to: x)
        }
        return y
    }
}

/// y[b, j, i] (+)= x[b, i, j]
private func transpose(
    _ x: UnsafeMutablePointer<Float>, batch: Int, rows: Int, columns: Int,
    into y: UnsafeMutablePointer<Float>, accumulates: Bool
) {
    let grain = max(16, (1 << 15) / max(columns, 1) / 16 * 16)
    let parts = (rows + grain - 1) / grain
    let images = max(1, (1 << 15) / max(rows * columns, 1))
    parallelRanges(batch * parts, grain: images) { range in
        for index in range {
            let (image, part) = index.quotientAndRemainder(dividingBy: parts)
            let offset = image * rows * columns
            uspi_transpose(
                x + offset, rows, columns, part * grain, min(rows, (part + 1) * grain),
                accumulates ? 1 : 0, y + offset)
        }
    }
}
