// The input of a masked autoencoder's decoder: kept tokens back in their places, mask tokens in
// the others, positions added.

import CKernels
import USPBase

extension Context {
    /// y[b, i] = x[b, i] + table[i] for the leading tokens;
    /// y[b, leading + t] = table[leading + t] + the kept token `restore[b·T + t]`, or `maskToken`
    /// if that is no kept token's number.
    ///
    /// - x: `[B, leading + S, D]`, f32
    /// - maskToken: D elements; table: `[1, leading + T, D]`
    /// - restore: each sample's permutation of 0 ..< T
    /// - Returns: `[B, leading + T, D]`
    /// - Throws: `.shape`, `.argument`
    package func restoreTokens(
        _ x: Tensor, leading: Int, maskToken: Tensor, restore: [Int], table: Tensor
    ) throws(USPError) -> Tensor {
        let plan = try TokenRestoration(
            x, leading: leading, maskToken: maskToken, restore: restore, table: table)
        let y = try Tensor([plan.batch, plan.rows, plan.width])
        plan.forward(x.floats, maskToken.floats, table.floats, into: y.floats)
        tape?.record(y, inputs: [x, maskToken, table]) { [tape] gradient throws(USPError) in
            guard let tape else { return }
            if let target = try tape.target(for: x) { plan.kept(gradient.floats, into: target) }
            if let target = try tape.target(for: maskToken) {
                let sums = try Tensor.zeros([plan.batch, plan.width])
                plan.masked(gradient.floats, into: sums.floats)
                try sumRows(sums, rows: plan.batch, width: plan.width, into: target)
            }
            if let target = try tape.target(for: table) {
                try sumRows(
                    gradient, rows: plan.batch, width: plan.rows * plan.width, into: target)
            }
        }
        return y
    }
}

/// Which row of the result comes from where.
private struct TokenRestoration {
    let batch: Int
    let leading: Int
    /// Kept tokens and all tokens of a sample, leading ones not counted.
    let keptCount: Int
    let tokens: Int
    let width: Int
    let restore: [Int]

    init(
        _ x: Tensor, leading: Int, maskToken: Tensor, restore: [Int], table: Tensor
    ) throws(USPError) {
        try require(
            x.shape.rank == 3 && table.shape.rank == 3 && leading >= 0 && x.shape[1] >= leading
                && table.shape[1] >= leading, .shape,
            "restore tokens: \(x.shape), table \(table.shape), \(leading) leading")
        (batch, width, self.leading) = (x.shape[0], x.shape[2], leading)
        (keptCount, tokens) = (x.shape[1] - leading, table.shape[1] - leading)
        try require(
            maskToken.count == width && table.shape[2] == width && table.shape[0] == 1
                && restore.count == batch * tokens && keptCount <= tokens, .shape,
            "restore tokens: \(x.shape), table \(table.shape), mask token \(maskToken.shape)")
        try checkIndices(restore, below: tokens, "restore tokens")
        self.restore = restore
    }

    /// Rows of a sample of the result.
    var rows: Int { leading + tokens }

    /// The row of x (all samples) that this row of the result comes from; nil: the mask token.
    private func source(_ sample: Int, _ row: Int) -> Int? {
        let own = sample * (leading + keptCount)
        if row < leading { return own + row }
        let place = restore[sample * tokens + row - leading]
        return place < keptCount ? own + leading + place : nil
    }

    func forward(
        _ x: UnsafePointer<Float>, _ maskToken: UnsafePointer<Float>,
        _ table: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>
    ) {
        parallelRanges(batch * rows, grain: rowGrain(width: width)) { range in
            for index in range {
                let (sample, row) = index.quotientAndRemainder(dividingBy: rows)
                let from = source(sample, row).map { x + $0 * width } ?? maskToken
                uspi_sum(from, table + row * width, y + index * width, width)
            }
        }
    }

    func kept(_ gradient: UnsafePointer<Float>, into target: GradientTarget) {
        let result = target.tensor.floats
        if !target.accumulates { target.tensor.fillWithZeros() }
        parallelRanges(batch, grain: 1) { samples in
            for index in samples.lowerBound * rows..<samples.upperBound * rows {
                let (sample, row) = index.quotientAndRemainder(dividingBy: rows)
                guard let to = source(sample, row) else { continue }
                uspi_add(result + to * width, gradient + index * width, width)
            }
        }
    }

    /// Row b: the sum of the gradients of sample b's mask tokens.
    func masked(_ gradient: UnsafePointer<Float>, into sums: UnsafeMutablePointer<Float>) {
        parallelRanges(batch, grain: 1) { samples in
            for sample in samples {
                for row in leading..<rows where source(sample, row) == nil {
                    uspi_add(
                        sums + sample * width, gradient + (sample * rows + row) * width, width)
                }
            }
        }
    }
}
