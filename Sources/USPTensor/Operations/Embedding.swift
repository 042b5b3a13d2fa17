// Rows chosen by indices: label tables, kept tokens, unshuffled tokens.

import CKernels
import USPBase

extension Context {
    /// y[b] = table[indices[b]]
    ///
    /// - table: `[K, D]`, f32
    /// - indices: each in 0 ..< K
    /// - Returns: `[indices.count, D]`
    /// - Throws: `.shape`; `.argument` for an index outside the table, naming it.
    package func embedding(_ table: Tensor, _ indices: [Int]) throws(USPError) -> Tensor {
        try require(table.shape.rank == 2, .shape, "embedding: table \(table.shape)")
        let width = table.shape[1]
        try checkIndices(indices, below: table.shape[0], "embedding")
        let y = try Tensor([indices.count, width])
        let (source, result) = (table.floats, y.floats)
        parallelRanges(indices.count, grain: rowGrain(width: width)) { range in
            for row in range {
                (result + row * width).update(from: source + indices[row] * width, count: width)
            }
        }
        tape?.record(y, inputs: [table]) { [tape] gradient throws(USPError) in
            guard let target = try tape?.target(for: table) else { return }
            if !target.accumulates { target.tensor.fillWithZeros() }
            scatterAdd(gradient.floats, indices, width: width, into: target.tensor.floats)
        }
        return y
    }

    /// y[b, s] = x[b, indices[b·S + s]]
    ///
    /// - x: `[B, T, D]`, f32
    /// - indices: B·S token positions, each in 0 ..< T; `perSample` is S
    /// - Returns: `[B, S, D]`
    /// - Throws: `.shape`; `.argument` for a position outside the sample.
    package func gatherTokens(
        _ x: Tensor, _ indices: [Int], perSample: Int
    ) throws(USPError) -> Tensor {
        try require(
            x.shape.rank == 3 && perSample >= 0 && indices.count == x.shape[0] * perSample, .shape,
            "gather: \(indices.count) positions, \(perSample) a sample, of \(x.shape)")
        let (batch, tokens, width) = (x.shape[0], x.shape[1], x.shape[2])
        try checkIndices(indices, below: tokens, "gather")
        let y = try Tensor([batch, perSample, width])
        let (source, result) = (x.floats, y.floats)
        parallelRanges(batch * perSample, grain: rowGrain(width: width)) { range in
            for row in range {
                let from = row / perSample * tokens + indices[row]
                (result + row * width).update(from: source + from * width, count: width)
            }
        }
        tape?.record(y, inputs: [x]) { [tape] gradient throws(USPError) in
            guard let target = try tape?.target(for: x) else { return }
            if !target.accumulates { target.tensor.fillWithZeros() }
            let (dy, dx) = (gradient.floats, target.tensor.floats)
            parallelRanges(batch, grain: 1) { samples in
                for sample in samples {
                    let own = Array(indices[sample * perSample..<(sample + 1) * perSample])
                    scatterAdd(
                        dy + sample * perSample * width, own, width: width,
                        into: dx + sample * tokens * width)
                }
            }
        }
        return y
    }
}

/// Throws `.argument` for the first index outside 0 ..< bound.
func checkIndices(_ indices: [Int], below bound: Int, _ place: String) throws(USPError) {
    for (position, index) in indices.enumerated() where index < 0 || index >= bound {
        throw USPError(
            .argument,
            "\(place): index \(index) at position \(position), expected 0 to \(bound - 1)")
    }
}

/// target[indices[i]] += x[i], row by row in order.
private func scatterAdd(
    _ x: UnsafePointer<Float>, _ indices: [Int], width: Int,
    into target: UnsafeMutablePointer<Float>
) {
    for (row, index) in indices.enumerated() {
        uspi_add(target + index * width, x + row * width, width)
    }
}
