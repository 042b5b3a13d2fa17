// The gradient of a convolution with respect to its kernel: windowsᵀ · dy, in parts of rows whose
// number depends on the sizes alone, added in order.

import CKernels
import USPBase

/// target[o, c, ky, kx] (+)= Σ over windows of x · dy.
func convolutionWeightGradient(
    _ shape: ConvolutionShape, _ x: Tensor, _ gradient: Tensor, compute: DType,
    into target: GradientTarget
) throws(USPError) {
    if !target.accumulates { target.tensor.fillWithZeros() }
    for pass in shape.forward where pass.m > 0 {
        let sum = try WeightGradient(pass, compute: compute).run(x, gradient)
        pass.spread(sum, into: target.tensor)
    }
}

extension ConvolutionPass {
    /// The gradient of the kernel from that of its regrouped matrix `[k, N]`.
    fileprivate func spread(_ matrix: Tensor, into weight: Tensor) {
        let (outputs, inputs) = (weight.shape[0], weight.shape[1])
        let elements = weight.shape[2] * weight.shape[3]
        let (source, kernel) = (matrix.floats, weight.floats)
        let lists = (0..<taps).map(kernelElements)
        parallelRanges(outputs, grain: max(1, (1 << 16) / max(inputs * elements, 1))) { range in
            for (tap, list) in lists.enumerated() {
                uspi_kernel_tap_gradient(
                    source + tap * outputs * inputs, outputs, inputs, elements, list, list.count,
                    range.lowerBound, range.upperBound, kernel)
            }
        }
    }
}

/// How the sum over all windows is cut: parts of rows with partial results, and columns.
private struct WeightGradient {
    let pass: ConvolutionPass
    let compute: DType
    /// Windows taken together: one packed block of dy meets every tap.
    let blockRows = 256
    let rowParts: Int
    let columnGrain: Int

    var n: Int { pass.result.channels }
    var columnParts: Int { (n + columnGrain - 1) / columnGrain }

    init(_ pass: ConvolutionPass, compute: DType) {
        self.pass = pass
        self.compute = compute
        let resultBytes = max(1, 4 * pass.k * pass.result.channels)
        let affordable = max(1, (32 << 20) / resultBytes)
        let blocks = (pass.m + blockRows - 1) / blockRows
        rowParts = max(1, min(blocks, 16, affordable))
        columnGrain = rowParts >= 8 ? max(32, (pass.result.channels + 31) / 32 * 32) : 128
    }

    /// `[k, N]`
    func run(_ x: Tensor, _ gradient: Tensor) throws(USPError) -> Tensor {
        let (k, n, channels) = (pass.k, n, pass.source.channels)
        let partials = try Tensor([rowParts, k, n])
        let packedBytes = Int(
            uspi_packed_b_size(Int64(blockRows), Int64(columnGrain), compute.kernel))
        let productBytes = Int(uspi_gemm_workspace(Int64(blockRows), compute.kernel))
        let gatheredBytes = blockRows * channels * x.dtype.size
        let placedBytes = pass.step == 1 ? 0 : blockRows * n * 4
        let sizes = [packedBytes, productBytes, gatheredBytes, placedBytes].map(wholeLines)
        let partBytes = sizes.reduce(0, +)
        let parts = rowParts * columnParts
        let scratch = try Storage(byteCount: parts * partBytes)
        ThreadPool.shared.run(parts: parts) { part in
            let base = scratch.base + part * partBytes
            var job = Part(
                packed: base, product: base + sizes[0], gathered: base + sizes[0] + sizes[1],
                placed: base + sizes[0] + sizes[1] + sizes[2])
            let (row, column) = part.quotientAndRemainder(dividingBy: columnParts)
            job.columns = column * columnGrain..<min(n, (column + 1) * columnGrain)
            sum(&job, part: row, x, gradient, into: partials.floats + row * k * n)
        }
        try addParts(partials)
        return try partials.detachedRows(0..<1).reshaped([k, n])
    }

    private struct Part {
        let packed, product, gathered, placed: UnsafeMutableRawPointer
        var columns = 0..<0
    }

    /// Blocks part, part + rowParts, … of the windows, in order.
    private func sum(
        _ job: inout Part, part: Int, _ x: Tensor, _ gradient: Tensor,
        into result: UnsafeMutablePointer<Float>
    ) {
        let channels = pass.source.channels
        var (windows, places) = (pass.windows(x.dtype), pass.places)
        var accumulates = false
        let width = job.columns.count
        for first in stride(from: part * blockRows, to: pass.m, by: rowParts * blockRows) {
            let rows = min(blockRows, pass.m - first)
            var values = gradient.floats + first * n
            if pass.step > 1 {
                values = job.placed.assumingMemoryBound(to: Float.self)
                uspi_gather_rows(&places, gradient.floats, first, first + rows, values)
            }
            uspi_pack_b(
                values + job.columns.lowerBound, Int64(n), 1, DType.float32.kernel, Int64(rows),
                Int64(width), compute.kernel, job.packed, 0, Int64(width))
            for tap in 0..<pass.taps {
                uspi_gather_windows(
                    &windows, x.raw, first, first + rows, tap, tap + 1, job.gathered)
                var epilogue = Epilogue()
                epilogue.accumulates = accumulates
                let target = result + tap * channels * n + job.columns.lowerBound
                multiplyBlock(
                    MatrixView(job.gathered, row: channels, dtype: x.dtype).transposed,
                    PackedView(pointer: job.packed, k: rows, n: width, compute: compute),
                    rows: channels,
                    into: MatrixView(target, row: n), epilogue, workspace: job.product)
            }
            accumulates = true
        }
    }

    /// The first part += the others, in order.
    private func addParts(_ partials: Tensor) throws(USPError) {
        let count = pass.k * n
        let values = partials.floats
        let others = rowParts
        parallelRanges(count, grain: 1 << 14) { range in
            for part in 1..<max(others, 1) {
                uspi_add(
                    values + range.lowerBound, values + part * count + range.lowerBound, range.count
                )
            }
        }
    }
}
