// Biases of attention's scores that depend on how far two tokens are apart.

import CKernels
import USPBase

/// BEiT's relative position bias (Bao et al. 2022) of a class token and a grid of tokens, or any
/// other table of which each pair of tokens takes one row.
package struct RelativeBias {
    /// `[P, N]`, f32: the bias of each of P relations for each head.
    package var table: Tensor
    package var places: RelativePlaces

    package init(table: Tensor, places: RelativePlaces) {
        (self.table, self.places) = (table, places)
    }
}

/// The row of a table of biases for each pair of tokens.
package struct RelativePlaces: Sendable {
    /// Tokens, T.
    package let tokens: Int
    /// Rows of the table.
    package let count: Int
    /// `[T, T]`: of key j and query i at j·T + i, as the kernel reads them.
    fileprivate let byKey: [Int32]

    /// - byQuery: `[T, T]`: the row for query i and key j at i·T + j
    /// - Throws: `.shape`, `.argument`
    package init(tokens: Int, count: Int, byQuery: [Int32]) throws(USPError) {
        try require(
            tokens > 0 && byQuery.count == tokens * tokens, .shape,
            "relative bias: \(byQuery.count) places, expected \(tokens) x \(tokens)")
        try checkIndices(byQuery.map(Int.init), below: count, "relative bias: places")
        (self.tokens, self.count) = (tokens, count)
        byKey = (0..<tokens * tokens).map { byQuery[$0 % tokens * tokens + $0 / tokens] }
    }

    /// A class token and then a grid, as BEiT counts: (2h − 1)(2w − 1) distances, and three rows for
    /// the class token's pairs: class to any, any to class, class to itself.
    /// - Throws: `.argument`
    package init(height: Int, width: Int) throws(USPError) {
        try require(
            (1...1 << 12).contains(height) && (1...1 << 12).contains(width)
                && height * width <= 1 << 14, .argument, "relative bias: grid \(height)x\(width)")
        let (cells, distances) = (height * width, (2 * height - 1) * (2 * width - 1))
        try SystemMemory.expect(2 * (cells + 1) * (cells + 1), of: Int32.self)
        var byKey = [Int32](repeating: 0, count: (cells + 1) * (cells + 1))
        for key in 0...cells {
            for query in 0...cells {
                let place: Int
                switch (query, key) {
                case (0, 0): place = distances + 2
                case (0, _): place = distances
                case (_, 0): place = distances + 1
                default:
                    let (q, k) = (query - 1, key - 1)
                    let down = q / width - k / width + height - 1
                    place = down * (2 * width - 1) + q % width - k % width + width - 1
                }
                byKey[key * (cells + 1) + query] = Int32(place)
            }
        }
        (tokens, count, self.byKey) = (cells + 1, distances + 3, byKey)
    }
}

/// The biases of one application of attention.
final class RelativeBiasCall {
    private let bias: RelativeBias
    private let heads: Int
    /// `[N, P]`: each head's together.
    private let byHead: Tensor
    private let places: Storage

    /// - Throws: `.shape` unless the table has a row for each relation and a column for each head,
    ///   and there is a place for each pair of tokens
    init(_ bias: RelativeBias, tokens: Int, heads: Int) throws(USPError) {
        (self.bias, self.heads) = (bias, heads)
        try expect(bias.table, [bias.places.count, heads], "relative bias: table")
        try require(
            bias.places.tokens == tokens, .shape,
            "relative bias: places of \(bias.places.tokens) tokens, attention of \(tokens)")
        byHead = try Tensor([heads, bias.places.count])
        uspi_transpose(
            bias.table.floats, bias.places.count, heads, 0, bias.places.count, 0, byHead.floats)
        places = try Storage(byteCount: tokens * tokens * MemoryLayout<Int32>.stride)
        bias.places.byKey.withUnsafeBytes { bytes in
            if let base = bytes.baseAddress {
                places.base.copyMemory(from: base, byteCount: bytes.count)
            }
        }
    }

    var table: Tensor { bias.table }

    func add(to job: inout uspi_attention, head: Int) {
        job.bias = UnsafePointer(byHead.floats + head * bias.places.count)
        job.place = UnsafePointer(places.base.assumingMemoryBound(to: Int32.self))
    }

    /// Room for the gradient of each sample and head, `[B, N, P]`; nil where nobody needs it.
    func sums(_ batch: Int) throws(USPError) -> Tensor? {
        guard table.node.requiresGradient else { return nil }
        return try Tensor.zeros([batch, heads, bias.places.count])
    }

    /// Adds the samples' sums in order.
    func fold(_ sums: Tensor, _ tape: Tape) throws(USPError) {
        guard let target = try tape.target(for: table), sums.count > 0 else { return }
        let size = heads * bias.places.count
        for sample in 1..<max(sums.shape[0], 1) {
            uspi_add(sums.floats, sums.floats + sample * size, size)
        }
        uspi_transpose(
            sums.floats, heads, bias.places.count, 0, heads, target.accumulates ? 1 : 0,
            target.tensor.floats)
    }
}
