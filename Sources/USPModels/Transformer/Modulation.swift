// Shift, scale and gate of one modulated block, computed when they are needed.

import USPBase
import USPTensor

/// The projection of a condition for one block: `[B, n·D]`.
package final class Modulation {
    private let condition: Tensor
    private let layer: LinearLayer
    /// The row of the projection that each sample has; nil: its own.
    private let rows: [Int]?
    private let context: Context
    private var projected: LinearBeside?
    private var made: Tensor?

    /// - condition: `[R, D]`, activated
    package init(_ condition: Tensor, _ layer: LinearLayer, rows: [Int]?, in context: Context) {
        (self.condition, self.layer, self.rows, self.context) = (condition, layer, rows, context)
    }

    /// Computes it, unless it is there.
    package func value() throws(USPError) -> Tensor {
        if let made { return made }
        var value: Tensor
        if let projected, projected.isDone {
            value = projected.result
        } else {
            value = try layer.forward(condition, in: context)
        }
        if let rows { value = try context.embedding(value, rows) }
        (made, projected) = (value, nil)
        return value
    }

    /// To be computed beside another product; nil where it is there, or `value` has to compute it.
    package func beside() throws(USPError) -> LinearBeside? {
        if made != nil { return nil }
        projected = try layer.beside(condition, in: context)
        return projected
    }
}
