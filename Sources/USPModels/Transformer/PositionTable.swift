// Position tables of transformers: sines and cosines, and bicubic resampling between grids.

import Glibc
import USPBase

extension Grid {
    /// The square grid of this many tokens.
    package static func square(_ count: Int) -> Grid? {
        let side = Int(Double(max(count, 0)).squareRoot().rounded())
        return side * side == count ? Grid(side, side) : nil
    }
}

/// How a position table is resampled for another grid.
public enum PositionResampling: String, Sendable, CaseIterable {
    /// PyTorch's bicubic `interpolate` with `align_corners: false`: a = −0.75, no antialiasing; as MAE
    /// and USP do.
    case bicubic
    /// The same by the scale factor (n + 0.1)/m, as DINOv2's models without registers: places are
    /// (i + ½)·m/(n + 0.1) − ½.
    case offset
    /// With `antialias: true`, a = −0.5, wider when shrinking: as timm, REPA, and DINOv2's models
    /// with registers.
    case antialiased = "antialias"
}

extension PositionResampling: NamedChoice {
    package static let what = "resampling of positions"
}

package enum PositionTable {
    /// Fixed two-dimensional table `[leading + h·w, width]`, rows of the grid one after another.
    ///
    /// The first half of the width encodes the column and the second the row, as MAE's and DiT's
    /// tables do; in each half sines of position·10000^(−i/(width/4)) come before the cosines.
    /// - leading: rows of zeros in front, one for a class token
    /// - Throws: `.argument` unless 4 divides the width
    package static func sincos(
        width: Int, grid: Grid, leading: Int = 0
    ) throws(USPError) -> [Float] {
        try require(
            width > 0 && width % 4 == 0, .argument,
            "position table: width \(width), expected a multiple of 4")
        let cells = try CheckedMath.multiply(grid.height, grid.width, "position table")
        let rows = try CheckedMath.add(cells, leading, "position table")
        let count = try CheckedMath.multiply(rows, width, "position table")
        try require(
            grid.height >= 0 && grid.width >= 0 && leading >= 0 && count <= 1 << 40, .argument,
            "position table: grid \(grid), width \(width)")
        let half = width / 2
        let longest = cells == 0 ? 0 : max(grid.height, grid.width)
        try SystemMemory.expect(count + longest * half, of: Float.self)
        let waves = waves(longest, half: half)
        var table: [Float] = []
        table.reserveCapacity(count)
        table += repeatElement(0, count: leading * width)
        if cells == 0 { return table }
        for y in 0..<grid.height {
            for x in 0..<grid.width {
                table += waves[x * half..<(x + 1) * half]
                table += waves[y * half..<(y + 1) * half]
            }
        }
        return table
    }

    /// Sines, then cosines, of positions 0 ..< count: rows of `half`.
    private static func waves(_ count: Int, half: Int) -> [Float] {
        let quarter = half / 2
        let rates = (0..<quarter).map { pow(10_000, -Double($0) / Double(quarter)) }
        var result: [Float] = []
        result.reserveCapacity(count * half)
        for position in 0..<count {
            result += rates.map { Float(sin(Double(position) * $0)) }
            result += rates.map { Float(cos(Double(position) * $0)) }
        }
        return result
    }

    /// A table `[leading + h·w, width]` for another grid; leading rows are kept.
    ///
    /// - Throws: `.shape` if the table is not of that grid, `.argument` for empty grids
    package static func resize(
        _ table: [Float], width: Int, from old: Grid, to new: Grid, leading: Int = 0,
        _ resampling: PositionResampling = .bicubic
    ) throws(USPError) -> [Float] {
        try require(
            old.height > 0 && old.width > 0 && new.height > 0 && new.width > 0 && width > 0
                && leading >= 0, .argument, "position table: \(old) to \(new), width \(width)")
        let oldCells = try CheckedMath.multiply(old.height, old.width, "position table")
        let rows = try CheckedMath.add(oldCells, leading, "position table")
        let newCells = try CheckedMath.multiply(new.height, new.width, "position table")
        let newCount = try CheckedMath.multiply(
            try CheckedMath.add(newCells, leading, "position table"), width, "position table")
        try require(
            table.count == (try CheckedMath.multiply(rows, width, "position table")), .shape,
            "position table of \(table.count) values, expected \(rows) rows of \(width) for \(old)")
        if old == new { return table }
        let middleCells = try CheckedMath.multiply(old.height, new.width, "position table")
        let middleCount = try CheckedMath.multiply(middleCells, width, "position table")
        try SystemMemory.expect(
            try CheckedMath.add(middleCount, newCount, "position table"), of: Double.self)
        let taps = (
            rows: weights(old.height, new.height, resampling),
            columns: weights(old.width, new.width, resampling)
        )
        // Columns first, then rows, both in f64.
        var middle = [Double](repeating: 0, count: middleCount)
        for y in 0..<old.height {
            for (x, taps) in taps.columns.enumerated() {
                for (source, weight) in taps {
                    let from = (leading + y * old.width + source) * width
                    let to = (y * new.width + x) * width
                    for i in 0..<width { middle[to + i] += weight * Double(table[from + i]) }
                }
            }
        }
        var result = Array(table.prefix(leading * width))
        result.reserveCapacity(newCount)
        var row = [Double](repeating: 0, count: new.width * width)
        for taps in taps.rows {
            for i in row.indices { row[i] = 0 }
            for (source, weight) in taps {
                let from = source * new.width * width
                for i in row.indices { row[i] += weight * middle[from + i] }
            }
            result.append(contentsOf: row.map { Float($0) })
        }
        return result
    }

    /// For each new position the old ones it is made of, and their weights.
    private static func weights(
        _ old: Int, _ new: Int, _ resampling: PositionResampling
    ) -> [[(source: Int, weight: Double)]] {
        let ratio =
            resampling == .offset
            ? Float(1 / ((Double(new) + 0.1) / Double(old))) : Float(old) / Float(new)
        return cubicTaps(
            from: old, to: new, ratio: ratio, antialiased: resampling == .antialiased)
    }
}
