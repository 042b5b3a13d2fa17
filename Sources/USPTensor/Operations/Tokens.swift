// Sequences of tokens put together, cut apart, averaged and given their positions.

import CKernels
import USPBase

extension Context {
    /// The tokens of all parts in order.
    ///
    /// - parts: `[B, Tᵢ, D]`, f32
    /// - Returns: `[B, ΣTᵢ, D]`
    /// - Throws: `.shape`
    package func concatenateTokens(_ parts: [Tensor]) throws(USPError) -> Tensor {
        guard let first = parts.first, first.shape.rank == 3 else {
            throw USPError(.shape, "concatenate: expected parts of shape [B, T, D]")
        }
        let (batch, width) = (first.shape[0], first.shape[2])
        for part in parts { try expect(part, [batch, part.shape[1], width], "concatenate") }
        let total = parts.reduce(0) { $0 + $1.shape[1] }
        let y = try Tensor([batch, total, width])
        var start = 0
        var starts: [Int] = []
        for part in parts {
            starts.append(start)
            let rows = TokenWindow(
                batch: batch, count: part.shape[1], whole: total, start: start, width: width)
            rows.write(part.floats, into: y.floats)
            start += part.shape[1]
        }
        tape?.record(y, inputs: parts) { [tape] gradient throws(USPError) in
            for (part, start) in zip(parts, starts) {
                guard let target = try tape?.target(for: part) else { continue }
                let rows = TokenWindow(
                    batch: batch, count: part.shape[1], whole: total, start: start, width: width)
                rows.read(gradient.floats, into: target)
            }
        }
        return y
    }

    /// Tokens range.lowerBound ..< range.upperBound of every sample.
    ///
    /// - x: `[B, T, D]`, f32
    /// - Returns: `[B, range.count, D]`
    /// - Throws: `.shape`
    package func sliceTokens(_ x: Tensor, _ range: Range<Int>) throws(USPError) -> Tensor {
        try require(
            x.shape.rank == 3 && range.lowerBound >= 0 && range.upperBound <= x.shape[1], .shape,
            "slice: tokens \(range) of \(x.shape)")
        let rows = TokenWindow(
            batch: x.shape[0], count: range.count, whole: x.shape[1], start: range.lowerBound,
            width: x.shape[2])
        let y = try Tensor([x.shape[0], range.count, x.shape[2]])
        rows.read(x.floats, into: GradientTarget(tensor: y, accumulates: false))
        tape?.record(y, inputs: [x]) { [tape] gradient throws(USPError) in
            guard let target = try tape?.target(for: x) else { return }
            if !target.accumulates { target.tensor.fillWithZeros() }
            rows.add(gradient.floats, into: target.tensor.floats)
        }
        return y
    }

    /// Token `position` of every sample: `[B, T, D]` -> `[B, D]`.
    package func tokenAt(_ x: Tensor, _ position: Int) throws(USPError) -> Tensor {
        let token = try sliceTokens(x, position..<position + 1)
        return try token.reshaped([token.shape[0], token.shape[2]])
    }

    /// The mean over tokens `from`... of every sample: `[B, T, D]` -> `[B, D]`, f32.
    package func meanTokens(_ x: Tensor, from: Int = 0) throws(USPError) -> Tensor {
        try require(
            x.shape.rank == 3 && from >= 0 && from < x.shape[1], .shape,
            "mean over the tokens from \(from) of \(x.shape)")
        let (batch, tokens, width) = (x.shape[0], x.shape[1], x.shape[2])
        let factor = 1 / Float(tokens - from)
        let y = try Tensor([batch, width])
        let (source, result) = (x.floats, y.floats)
        parallelRanges(batch, grain: 1) { samples in
            for sample in samples {
                let rows = source + (sample * tokens + from) * width
                uspi_sum_rows(rows, width, tokens - from, width, result + sample * width, 0)
                uspi_scale(result + sample * width, factor, result + sample * width, width, 0)
            }
        }
        tape?.record(y, inputs: [x]) { [tape] gradient throws(USPError) in
            guard let target = try tape?.target(for: x) else { return }
            if !target.accumulates { target.tensor.fillWithZeros() }
            let (dy, dx) = (gradient.floats, target.tensor.floats)
            parallelRanges(batch, grain: 1) { samples in
                for sample in samples {
                    for token in from..<tokens {
                        uspi_scale(
                            dy + sample * width, factor, dx + (sample * tokens + token) * width,
                            width, 1)
                    }
                }
            }
        }
        return y
    }

    /// One token repeated `count` times in each of `batch` samples.
    ///
    /// - token: D elements, such as `[1, 1, D]`, f32
    /// - Returns: `[batch, count, D]`
    package func broadcastToken(
        _ token: Tensor, batch: Int, count: Int
    ) throws(USPError) -> Tensor {
        let width = token.count
        let y = try Tensor([batch, count, width])
        let (source, result) = (token.floats, y.floats)
        for row in 0..<batch * count {
            (result + row * width).update(from: source, count: width)
        }
        tape?.record(y, inputs: [token]) { [tape] gradient throws(USPError) in
            guard let target = try tape?.target(for: token) else { return }
            try sumRows(gradient, rows: batch * count, width: width, into: target)
        }
        return y
    }

    /// The same tokens in each of `batch` samples: `[1, T, D]` -> `[batch, T, D]`.
    package func repeated(_ tokens: Tensor, _ batch: Int) throws(USPError) -> Tensor {
        let whole = try broadcastToken(tokens, batch: batch, count: 1)
        return try whole.reshaped(Shape([batch] + tokens.shape.extents.dropFirst()))
    }

    /// y[b, t] = x[b, t] + table[rows.lowerBound + t]: positions for consecutive tokens.
    ///
    /// - x: `[B, T, D]`, f32
    /// - table: `[1, T′, D]`; `rows` are T of its rows
    /// - Throws: `.shape`
    package func addTable(
        _ x: Tensor, _ table: Tensor, rows: Range<Int>
    ) throws(USPError) -> Tensor {
        try require(
            x.shape.rank == 3 && table.shape.rank == 3 && x.shape[2] == table.shape[2]
                && rows.count == x.shape[1] && rows.lowerBound >= 0
                && rows.upperBound <= table.shape[1], .shape,
            "add rows \(rows) of the table \(table.shape) to \(x.shape)")
        let size = x.shape[1] * x.shape[2]
        let (batch, offset) = (x.shape[0], rows.lowerBound * x.shape[2])
        let y = try Tensor(x.shape)
        let (source, positions, result) = (x.floats, table.floats + offset, y.floats)
        parallelRanges(batch, grain: max(1, (1 << 15) / max(size, 1))) { samples in
            for sample in samples {
                uspi_sum(source + sample * size, positions, result + sample * size, size)
            }
        }
        tape?.record(y, inputs: [x, table]) { [tape] gradient throws(USPError) in
            try tape?.pass(gradient, to: x)
            guard let target = try tape?.target(for: table) else { return }
            if !target.accumulates { target.tensor.fillWithZeros() }
            let (dy, dTable) = (gradient.floats, target.tensor.floats + offset)
            parallelRanges(size, grain: 1 << 12) { elements in
                uspi_sum_rows(
                    dy + elements.lowerBound, size, batch, elements.count,
                    dTable + elements.lowerBound, 1)
            }
        }
        return y
    }
}

/// `count` consecutive tokens from `start` in samples of `whole` tokens.
struct TokenWindow {
    let batch: Int
    let count: Int
    let whole: Int
    let start: Int
    let width: Int

    private func forEachSample(_ body: (_ part: Int, _ whole: Int) -> Void) {
        parallelRanges(batch, grain: max(1, (1 << 15) / max(count * width, 1))) { samples in
            for sample in samples {
                body(sample * count * width, (sample * whole + start) * width)
            }
        }
    }

    /// Copies the dense part `[batch, count, width]` into its place.
    func write(_ part: UnsafePointer<Float>, into all: UnsafeMutablePointer<Float>) {
        forEachSample { (all + $1).update(from: part + $0, count: count * width) }
    }

    /// Adds the dense part to its place.
    func add(_ part: UnsafePointer<Float>, into all: UnsafeMutablePointer<Float>) {
        forEachSample { uspi_add(all + $1, part + $0, count * width) }
    }

    /// Copies (or adds) the place into a dense part.
    func read(_ all: UnsafePointer<Float>, into part: GradientTarget) {
        let result = part.tensor.floats
        forEachSample {
            if part.accumulates {
                uspi_add(result + $0, all + $1, count * width)
            } else {
                (result + $0).update(from: all + $1, count: count * width)
            }
        }
    }
}
