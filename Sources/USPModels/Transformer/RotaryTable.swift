// Tables of two-dimensional rotary positions.

import Glibc
import USPBase
import USPTensor

extension PositionTable {
    /// Cosines and sines of EVA-02's rotary positions (Fang et al. 2023), each `[h·w, width]`, rows
    /// of the grid one after another.
    ///
    /// The first half of the width turns by the row r, the second by the column c, each angle for
    /// two neighbours: r·f or c·f with f = 10000^(−2j/(width/2)), j < width/4. Angles are f32, as
    /// in the originals.
    /// - width: a head's
    /// - Throws: `.argument` unless 4 divides the width
    package static func rope(
        width: Int, grid: Grid
    ) throws(USPError) -> (cos: [Float], sin: [Float]) {
        try require(
            width > 0 && width % 4 == 0, .argument,
            "rotary table: width \(width), expected a multiple of 4")
        let cells = try CheckedMath.multiply(grid.height, grid.width, "rotary table")
        let count = try CheckedMath.multiply(cells, width, "rotary table")
        try require(
            grid.height >= 0 && grid.width >= 0 && count <= 1 << 40, .argument,
            "rotary table: grid \(grid), width \(width)")
        let half = width / 2
        let longest = cells == 0 ? 0 : max(grid.height, grid.width)
        try SystemMemory.expect(2 * (count + longest * half), of: Float.self)
        let rates = (0..<half / 2).map { pow(10_000, -Float(2 * $0) / Float(half)) }
        func table(_ wave: (Float) -> Float) -> [Float] {
            var (waves, values): ([Float], [Float]) = ([], [])
            waves.reserveCapacity(longest * half)
            for place in 0..<longest {
                for rate in rates { waves += repeatElement(wave(Float(place) * rate), count: 2) }
            }
            values.reserveCapacity(count)
            for cell in 0..<cells {
                let (row, column) = cell.quotientAndRemainder(dividingBy: grid.width)
                values += waves[row * half..<(row + 1) * half]
                values += waves[column * half..<(column + 1) * half]
            }
            return values
        }
        return (table { cosf($0) }, table { sinf($0) })
    }
}

/// The tables as frozen parameters, `NAME.freqs_cos` and `NAME.freqs_sin`: in files their presence is
/// the only sign of rotation.
package struct RotaryEmbedding {
    private let rotation: Rotation

    static func specs(_ name: String, width: Int, grid: Grid) throws(USPError) -> [ParameterSpec] {
        let (cos, sin) = try PositionTable.rope(width: width, grid: grid)
        return [("freqs_cos", cos), ("freqs_sin", sin)].map { part, table in
            ParameterSpec(
                "\(name).\(part)", [grid.count, width], .table(table), isTrainable: false)
        }
    }

    /// - leading: tokens in front without a place
    /// - Throws: `.missingWeight`
    init(_ parameters: Parameters, _ name: String, leading: Int) throws(USPError) {
        rotation = Rotation(
            cos: try parameters.tensor("\(name).freqs_cos"),
            sin: try parameters.tensor("\(name).freqs_sin"), leading: leading)
    }

    /// Of all tokens, or of those that a masking keeps.
    func of(_ masking: Masking? = nil) -> Rotation {
        var result = rotation
        result.places = masking.map { $0.kept.map { Int32($0) } }
        return result
    }
}

extension TransformerSizes {
    /// The tables of these sizes' heads, if they turn.
    func rotarySpecs(_ name: String = "feat_rope") throws(USPError) -> [ParameterSpec] {
        try check()
        return rope ? try RotaryEmbedding.specs(name, width: headWidth, grid: grid) : []
    }

    func rotation(
        _ parameters: Parameters, _ name: String = "feat_rope"
    ) throws(USPError) -> RotaryEmbedding? {
        rope ? try RotaryEmbedding(parameters, name, leading: leading) : nil
    }
}
