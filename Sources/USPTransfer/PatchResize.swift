// A patch embedding's kernel for patches of another side.
// Source: Beyer et al., FlexiViT (2023), equation 4: w' = (Bᵀ)⁺w, B the bilinear resize of a patch.

import USPBase

enum PatchResize {
    /// P with w' = P·w·Pᵀ for each channel's kernel, `[new][old]`.
    ///
    /// B is separable, so its pseudo-inverse is too: R the resize of one axis, P = R(RᵀR)⁻¹ when
    /// the patch grows and (RRᵀ)⁻¹R when it shrinks.
    static func matrix(from old: Int, to new: Int) throws(USPError) -> [[Double]] {
        let r = resize(from: old, to: new)
        let t = transposed(r)
        if new >= old { return product(r, try inverse(product(t, r))) }
        return product(try inverse(product(r, t)), r)
    }

    /// Bilinear with half-pixel centres; antialiased when it shrinks, as JAX resizes.
    static func resize(from old: Int, to new: Int) -> [[Double]] {
        let ratio = Double(old) / Double(new)
        let support = max(ratio, 1)
        return (0..<new).map { position in
            let centre = (Double(position) + 0.5) * ratio - 0.5
            let raw = (0..<old).map { max(0, 1 - abs(Double($0) - centre) / support) }
            let sum = raw.reduce(0, +)
            return raw.map { $0 / sum }
        }
    }

    static func product(_ a: [[Double]], _ b: [[Double]]) -> [[Double]] {
        let columns = transposed(b)
        return a.map { row in columns.map { zip(row, $0).reduce(0) { $0 + $1.0 * $1.1 } } }
    }

    static func transposed(_ a: [[Double]]) -> [[Double]] {
        guard let first = a.first else { return [] }
        return first.indices.map { column in a.map { $0[column] } }
    }

    /// Gauss-Jordan with pivots.
    static func inverse(_ a: [[Double]]) throws(USPError) -> [[Double]] {
        let n = a.count
        var rows = a.enumerated().map { index, row in row + (0..<n).map { $0 == index ? 1.0 : 0.0 }
        }
        for column in 0..<n {
            let pivot = (column..<n).max { abs(rows[$0][column]) < abs(rows[$1][column]) } ?? column
            rows.swapAt(column, pivot)
            let value = rows[column][column]
            try require(abs(value) > 1e-12, .argument, "a patch of side \(n) cannot be resized so")
            rows[column] = rows[column].map { $0 / value }
            for other in 0..<n where other != column {
                let factor = rows[other][column]
                rows[other] = zip(rows[other], rows[column]).map { $0 - factor * $1 }
            }
        }
        return rows.map { Array($0[n...]) }
    }

    /// The kernel `[D, C, P, P]` for another patch and other channels.
    static func kernel(
        _ kernel: [Float], width: Int, _ change: PatchChange, _ adaptation: ChannelRule
    ) throws(USPError) -> [Float] {
        let (old, new) = (
            change.patchBefore * change.patchBefore, change.patchAfter * change.patchAfter
        )
        let kernels = try CheckedMath.multiply(width, change.channelsAfter, "patch")
        try SystemMemory.expect(
            try CheckedMath.multiply(kernels, new, "patch"), of: Float.self)
        try SystemMemory.expect(8 * (old + new), of: Double.self)
        let matrix = try matrix(from: change.patchBefore, to: change.patchAfter)
        var result = [Float](repeating: 0, count: width * change.channelsAfter * new)
        let scale = Double(change.channelsBefore) / Double(change.channelsAfter)
        for row in 0..<width {
            for channel in 0..<change.channelsAfter {
                let isCopied = channel < change.channelsBefore
                guard isCopied || adaptation == .repeat else { continue }
                let from = (row * change.channelsBefore + channel % change.channelsBefore) * old
                let to = (row * change.channelsAfter + channel) * new
                let isScaled =
                    adaptation == .repeat && change.channelsBefore != change.channelsAfter
                let values =
                    change.patchBefore == change.patchAfter
                    ? kernel[from..<from + old].map { Double($0) }
                    : resized(kernel[from..<from + old].map { Double($0) }, matrix, change)
                for (i, value) in values.enumerated() {
                    result[to + i] = Float(isScaled ? value * scale : value)
                }
            }
        }
        return result
    }

    private static func resized(
        _ values: [Double], _ matrix: [[Double]], _ change: PatchChange
    ) -> [Double] {
        let side = change.patchBefore
        let square = (0..<side).map { Array(values[$0 * side..<($0 + 1) * side]) }
        return product(product(matrix, square), transposed(matrix)).flatMap { $0 }
    }
}
