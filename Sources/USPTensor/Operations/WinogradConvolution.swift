// The two uses of Winograd's method: a convolution, and the gradient of its kernels.

import CKernels
import Synchronization
import USPBase

/// y = residual + convolution + bias of x, which may be normalised and activated first; `rectifies`:
/// the larger of that and 0. Kernels are transformed anew at each call, so that weights exist once.
/// - Returns: `[B, H', W', O]`
/// - Complexity: a quarter of the plain sum's multiplications.
func winogradConvolution(
    _ shape: WinogradShape, _ x: Tensor, norm: (statistics: GroupNormStatistics, silu: Bool)? = nil,
    weight: Tensor, bias: Tensor? = nil, residual: Tensor? = nil, rectifies: Bool = false,
    into y: ImageChannels
) throws(USPError) {
    let workers = shape.workers
    var workspaces: [WinogradWorkspace] = []
    for _ in 0..<workers { workspaces.append(try WinogradWorkspace(shape, isShared: workers == 1)) }
    let kernels = try Storage(byteCount: 36 * 4 * shape.kernelRow)
    let transformed = kernels.base.assumingMemoryBound(to: Float.self)
    transformKernels(shape, weight, into: transformed)
    var job = shape.job(x, norm, y)
    job.kernels = UnsafePointer(transformed)
    job.bias = bias.map { UnsafePointer($0.floats) }
    job.residual = residual.map { UnsafePointer($0.floats) }
    job.relu = rectifies ? 1 : 0
    let chunks = shape.chunks
    let next = Atomic(0)
    // Loops inside a worker's part run on that thread alone.
    ThreadPool.shared.run(parts: workers) { worker in
        while true {
            let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
            if index >= chunks.count { return }
            convolveChunk(index, job, workspaces[worker])
        }
    }
}

private func convolveChunk(_ index: Int, _ job: uspi_winograd, _ workspace: WinogradWorkspace) {
    var job = job
    workspace.attach(to: &job)
    workspace.chunks.place(index, in: &job)
    withUnsafePointer(to: job) { job in
        workspace.transformInput(job)
        ThreadPool.shared.run(parts: 36) { uspi_winograd_product(job, $0) }
        workspace.forOutputs(job) { panel, rows in
            uspi_winograd_output(job, panel, rows.lowerBound, rows.upperBound)
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

/// target (+)= the gradient of a convolution's kernels: the exact adjoint of its forward steps. The
/// sums over tiles are cut by the sizes alone: into a few parts for small kernels, else not at all.
func winogradWeightGradient(
    _ shape: WinogradShape, _ x: Tensor, norm: (statistics: GroupNormStatistics, silu: Bool)?,
    _ gradient: Tensor, into target: GradientTarget
) throws(USPError) {
    let chunks = shape.chunks
    let parts = shape.hasSmallKernels ? max(1, min(8, chunks.count / 4)) : 1
    var workspaces: [WinogradWorkspace] = []
    for _ in 0..<parts { workspaces.append(try WinogradWorkspace(shape, isShared: parts == 1)) }
    let count = 36 * shape.kernelRow
    let sums = try Tensor.zeros([parts, count])
    let values = sums.floats
    let job = shape.job(x, norm, ImageChannels(gradient))
    ThreadPool.shared.run(parts: parts) { part in
        for index in chunks.count * part / parts..<chunks.count * (part + 1) / parts {
            sumChunk(index, job, workspaces[part], into: values + part * count)
        }
    }
    for part in 1..<max(parts, 1) {
        try addInPlace(sums.detachedRows(0..<1), sums.detachedRows(part..<part + 1))
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

private func sumChunk(
    _ index: Int, _ job: uspi_winograd, _ workspace: WinogradWorkspace,
    into sums: UnsafeMutablePointer<Float>
) {
    var job = job
    workspace.attach(to: &job)
    workspace.chunks.place(index, in: &job)
    withUnsafePointer(to: job) { job in
        workspace.transformInput(job)
        workspace.forOutputs(job) { panel, rows in
            uspi_winograd_spread(job, panel, rows.lowerBound, rows.upperBound)
        }
        ThreadPool.shared.run(parts: 36) { uspi_winograd_outer(job, $0, sums) }
    }
}
