// Tables of two-dimensional positions.

import USPBase
import USPModels
import USPTensor

/// Position tables `[T, D]` of grids of patches, row by row.
public enum Positions {
    /// Sines and cosines of MAE and DiT: `[height · width, D]`.
    public static func sincos(width: Int, grid: (height: Int, width: Int)) throws(USPError)
        -> Tensor
    {
        let values = try PositionTable.sincos(width: width, grid: Grid(grid.height, grid.width))
        return try Tensor([grid.height * grid.width, width], values)
    }

    /// Cosines and sines of two-dimensional rotary positions, each `[height · width, D]` with D a
    /// head's width: its first half turns by the row, the second by the column.
    public static func rope(
        width: Int, grid: (height: Int, width: Int)
    ) throws(USPError) -> (cos: Tensor, sin: Tensor) {
        let table = try PositionTable.rope(width: width, grid: Grid(grid.height, grid.width))
        let shape: Shape = [grid.height * grid.width, width]
        return (try Tensor(shape, table.cos), try Tensor(shape, table.sin))
    }

    /// A table for another grid, bicubic as PyTorch's `interpolate`; rows in front are kept.
    ///
    /// - antialias: as timm resamples; off as USP and MAE do
    public static func resize(
        _ table: Tensor, from old: (height: Int, width: Int), to new: (height: Int, width: Int),
        antialias: Bool = false
    ) throws(USPError) -> Tensor {
        try require(
            table.shape.rank == 2, .shape, "table: shape \(table.shape), expected [T, D]")
        let cells = try CheckedMath.multiply(old.height, old.width, "old grid")
        let leading = table.shape[0] - cells
        try require(
            leading >= 0, .shape, "table: \(table.shape[0]) rows, fewer than the grid's \(cells)")
        try SystemMemory.expect(table.count, of: Float.self)
        let values = try PositionTable.resize(
            table.values, width: table.shape[1], from: Grid(old.height, old.width),
            to: Grid(new.height, new.width), leading: leading, antialias ? .antialiased : .bicubic)
        return try Tensor([leading + new.height * new.width, table.shape[1]], values)
    }
}
