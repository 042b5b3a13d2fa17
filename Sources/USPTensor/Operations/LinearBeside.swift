// A linear layer of few rows, computed beside a large product: its weights come from memory while
// the other multiplies, and reading them is nearly all that it costs.

import CKernels
import USPBase

/// y = x·Wᵀ + b, to be computed on the way of another product (`LinearOptions.beside`); the same
/// bits as `Context.linear` gives.
package final class LinearBeside: @unchecked Sendable {
    // SAFETY of @unchecked: threads read it, each writing columns of its own; `isDone` is its
    // owner's.
    /// `[.., N]`, f32; undefined until `isDone`.
    package let result: Tensor
    /// The other product has been taken, and this one with it.
    package internal(set) var isDone = false
    private let inputs: [Tensor?]
    private let right: PackedMatrix
    private let rows: Storage
    private let job: UnsafeMutablePointer<uspi_gemm>

    fileprivate init(
        _ context: Context, _ x: Tensor, _ weight: Tensor, _ bias: Tensor?
    ) throws(USPError) {
        inputs = [x, bias]
        right = try packed(weight: weight, use: .forward, compute: context.compute)
        result = try Tensor(Shape(x.shape.extents.dropLast() + [right.n]))
        var epilogue = Epilogue()
        epilogue.bias = bias.map { UnsafePointer($0.floats) }
        var job = kernelJob(
            MatrixView(x), right.view, rows: x.shape.rows, into: MatrixView(result), epilogue)
        rows = try Storage(byteCount: Int(uspi_packed_rows_size(&job)))
        uspi_pack_rows(&job, rows.base)
        self.job = .allocate(capacity: 1)
        self.job.initialize(to: job)
    }

    deinit { job.deallocate() }

    /// Columns that part `index` of `count` computes.
    func share(_ index: Int, of count: Int) -> uspi_beside {
        let columns = USPTensor.share(
            index, of: count, extent: right.n, unit: Int(uspi_gemm_panel()))
        return uspi_beside(
            g: job, rows: rows.base, column: Int64(columns.lowerBound),
            end: Int64(columns.upperBound))
    }
}

extension Context {
    /// Prepares y = x·Wᵀ + b to be computed beside another product.
    ///
    /// - x: `[.., K]`, of few rows; weight: `[N, K]`; bias: `[N]`; as in `linear`
    /// - Returns: nil where `linear` has to do it: for many rows, and on a tape
    /// - Throws: `.shape`, `.memory`
    package func linearBeside(
        _ x: Tensor, _ weight: Tensor, _ bias: Tensor?
    ) throws(USPError) -> LinearBeside? {
        guard tape == nil, x.count > 0, weight.count > 0,
            x.shape.rows <= Int(uspi_most_beside())
        else { return nil }
        try requireLinear(x, weight, bias)
        return try LinearBeside(self, x, weight, bias)
    }
}
