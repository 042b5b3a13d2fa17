// The two uses of Winograd's method: a convolution, and the gradient of its kernels.

import CKernels
import USPBase

/// y (+)= residual + convolution + bias of x, which may be normalised and activated first. Kernels
/// are transformed anew at each call, so that weights exist once.
/// - Returns: `[B, H', W', O]`
/// - Complexity: a quarter of the plain sum's multiplications.
func winogradConvolution(
    _ shape: WinogradShape, _ x: Tensor, norm: (statistics: GroupNormStatistics, silu: Bool)? = nil,
    weight: Tensor, bias: Tensor? = nil, residual: Tensor? = nil, into y: Tensor
) throws(USPError) {
    let workspace = try WinogradWorkspace(shape)
    let kernels = try Storage(byteCount: 36 * 4 * shape.kernelRow)
    let transformed = kernels.base.assumingMemoryBound(to: Float.self)
    transformKernels(shape, weight, into: transformed)
    var job = shape.job(x, norm, y)
    workspace.attach(to: &job)
    job.kernels = UnsafePointer(transformed)
    job.bias = bias.map { UnsafePointer($0.floats) }
    job.residual = residual.map { UnsafePointer($0.floats) }
    for index in 0..<workspace.chunks.count {
        workspace.chunks.place(index, in: &job)
        withUnsafePointer(to: job) { job in
            workspace.transformInput(job)
            ThreadPool.shared.run(parts: 36) { uspi_winograd_product(job, $0) }
            workspace.forOutputs(job) { panel, rows in
                uspi_winograd_output(job, panel, rows.lowerBound, rows.upperBound)
            }
        }
    }
}

private func transformKernels(
    _ shape: WinogradShape, _ weight: Tensor, into kernels: UnsafeMutablePointer<Float>
) {
    let (values, row, blocks) = (weight.floats, shape.kernelRow, shape.blocks)
    var layout = shape.weight
    withUnsafePointer(to: &layout) { layout in
        parallelRanges(blocks * shape.panels, grain: 4) { range in
            for index in range {
                let (panel, block) = index.quotientAndRemainder(dividingBy: blocks)
                uspi_winograd_kernel(layout, values, block, panel, kernels, row)
            }
        }
    }
}

/// target (+)= the gradient of a convolution's kernels: the exact adjoint of its forward steps. Tiles
/// are summed chunk by chunk, in order.
func winogradWeightGradient(
    _ shape: WinogradShape, _ x: Tensor, norm: (statistics: GroupNormStatistics, silu: Bool)?,
    _ gradient: Tensor, into target: GradientTarget
) throws(USPError) {
    let workspace = try WinogradWorkspace(shape)
    let sums = try Tensor.zeros([36 * shape.kernelRow])
    let values = sums.floats
    var job = shape.job(x, norm, gradient)
    workspace.attach(to: &job)
    for index in 0..<workspace.chunks.count {
        workspace.chunks.place(index, in: &job)
        withUnsafePointer(to: job) { job in
            workspace.transformInput(job)
            workspace.forOutputs(job) { panel, rows in
                uspi_winograd_spread(job, panel, rows.lowerBound, rows.upperBound)
            }
            ThreadPool.shared.run(parts: 36) { uspi_winograd_outer(job, $0, values) }
        }
    }
    if !target.accumulates { target.tensor.fillWithZeros() }
    let (weights, row, blocks) = (target.tensor.floats, shape.kernelRow, shape.blocks)
    var layout = shape.weight
    withUnsafePointer(to: &layout) { layout in
        parallelRanges(blocks * shape.panels, grain: 4) { range in
            for index in range {
                let (panel, block) = index.quotientAndRemainder(dividingBy: blocks)
                uspi_winograd_kernel_gradient(layout, values, row, block, panel, weights)
            }
        }
    }
}
