// One pass of a convolution: windows gathered a block of rows at a time, times a regrouped kernel.

import CKernels
import USPBase

/// Windows of `source` images times a `[taps·channels, N]` matrix, to pixels of `result` images.
struct ConvolutionPass {
    let row: AxisPass
    let column: AxisPass
    let stride: Int
    let step: Int
    let batch: Int
    /// Height, width and channels.
    let source: (height: Int, width: Int, channels: Int)
    let result: (height: Int, width: Int, channels: Int)
    let kernelWidth: Int
    /// Whether the matrix's rows are the kernel's output channels, as for the input gradient.
    let byOutput: Bool

    var gridHeight: Int { row.count(of: result.height, step: step) }
    var gridWidth: Int { column.count(of: result.width, step: step) }
    var taps: Int { row.taps.count * column.taps.count }
    /// The product's extents.
    var m: Int { batch * gridHeight * gridWidth }
    var k: Int { taps * source.channels }

    func windows(_ dtype: DType) -> uspi_windows {
        uspi_windows(
            height: source.height, width: source.width, channels: source.channels,
            taps_y: row.taps.count, taps_x: column.taps.count, first_y: row.first,
            first_x: column.first, stride: stride, out_height: gridHeight, out_width: gridWidth,
            element: dtype.size)
    }

    var places: uspi_places {
        uspi_places(
            height: result.height, width: result.width, channels: result.channels, step: step,
            phase_y: row.phase, phase_x: column.phase, out_height: gridHeight, out_width: gridWidth)
    }

    /// The kernel elements that tap `t` sums.
    func kernelElements(_ tap: Int) -> [Int32] {
        let (y, x) = tap.quotientAndRemainder(dividingBy: column.taps.count)
        return row.taps[y].flatMap { ky in column.taps[x].map { Int32(ky * kernelWidth + $0) } }
    }

    /// The regrouped kernel `[k, N]`, packed; kept beside the weight unless that is being trained.
    func matrix(_ weight: Tensor, compute: DType) throws(USPError) -> PackedMatrix {
        let n = result.channels
        let bytes = Int(uspi_packed_b_size(Int64(k), Int64(n), compute.kernel))
        let use = PackedUse.custom("convolution \(byOutput) \(row) \(column)")
        let storage = try weight.derived(use, compute: compute, byteCount: bytes) {
            base throws(USPError) in
            let plain = try Tensor([k, n])
            regroup(weight, into: plain)
            pack(MatrixView(plain), k: k, n: n, compute: compute, into: base)
            weight.releasePages()
        }
        return PackedMatrix(storage: storage, k: k, n: n, compute: compute)
    }

    /// out[(tap, c), n] = Σ of the tap's kernel elements.
    func regroup(_ weight: Tensor, into out: Tensor) {
        let (outputs, inputs) = (weight.shape[0], weight.shape[1])
        let elements = weight.shape[2] * weight.shape[3]
        let (kernel, target) = (weight.floats, out.floats)
        ThreadPool.shared.run(parts: taps) { tap in
            let list = kernelElements(tap)
            uspi_kernel_tap(
                kernel, outputs, inputs, elements, list, list.count, byOutput ? 1 : 0,
                target + tap * outputs * inputs)
        }
    }

    /// Images of `result` (+)= the pass. Rows are cut freely, sums are never cut.
    /// - y: whole pixels where the pass writes only some of them (`step` > 1)
    /// - Complexity: 2·m·k·N flops, and k elements gathered for each of the m windows.
    func run(
        _ images: Tensor, _ matrix: PackedMatrix, into y: ImageChannels, bias: Tensor? = nil,
        residual: Tensor? = nil, activation: Activation = .none, accumulates: Bool = false
    ) throws(USPError) {
        let n = result.channels
        if m == 0 { return }
        if k == 0 { return try fillUnreached(y.tensor, accumulates: accumulates) }
        let block = PassBlock(m: m, k: k, n: n)
        let gathered = block.rows * k * images.dtype.size
        let direct = step == 1
        let placed = direct ? 0 : block.rows * n * 4
        let scratch = try Storage(byteCount: block.parts * (gathered + placed + 128))
        let productBytes = wholeLines(Int(uspi_gemm_workspace(Int64(k), matrix.compute.kernel)))
        let productScratch = try Storage(byteCount: block.parts * productBytes)
        var (windows, places) = (windows(images.dtype), places)
        ThreadPool.shared.run(parts: block.parts) { part in
            let rows = scratch.base + part * (gathered + placed + 128) / 64 * 64
            let values = rows + wholeLines(gathered)
            let range = block.range(part)
            for first in Swift.stride(from: range.lowerBound, to: range.upperBound, by: block.rows)
            {
                let last = min(first + block.rows, range.upperBound)
                uspi_gather_windows(&windows, images.raw, first, last, 0, taps, rows)
                var epilogue = Epilogue()
                epilogue.activation = activation
                epilogue.bias = bias.map { UnsafePointer($0.floats) }
                epilogue.residual = residual.map { (UnsafePointer($0.floats + first * n), n) }
                epilogue.accumulates = direct && accumulates
                let target =
                    direct ? UnsafeMutableRawPointer(y.pointer + first * y.row) : values
                multiplyBlock(
                    MatrixView(rows, row: k, dtype: images.dtype), matrix.view, rows: last - first,
                    into: MatrixView(target, row: direct ? y.row : n), epilogue,
                    workspace: productScratch.base + part * productBytes)
                if !direct {
                    uspi_scatter_rows(
                        &places, values.assumingMemoryBound(to: Float.self), first, last,
                        accumulates ? 1 : 0, y.tensor.floats)
                }
            }
        }
    }

    /// Pixels that no window reaches (a stride wider than the kernel) are zeros.
    private func fillUnreached(_ y: Tensor, accumulates: Bool) throws(USPError) {
        if accumulates { return }
        let zeros = try Tensor.zeros([m, result.channels])
        var places = places
        uspi_scatter_rows(&places, zeros.floats, 0, m, 0, y.floats)
    }
}

/// How the rows of a pass are cut: blocks that stay in cache, parts of several blocks. Each row is
/// computed alike wherever it falls, so the number of parts may follow that of the threads.
struct PassBlock {
    let m: Int
    let rows: Int
    let partRows: Int

    init(m: Int, k: Int, n: Int) {
        self.m = m
        rows = min(224, max(28, (768 << 10) / (4 * max(k, 1)) / 14 * 14))
        let blocks = (m + rows - 1) / rows
        let blockWork = 2 * rows * k * n
        let most = 4 * ThreadPool.shared.threads
        let perPart = max(1, max((1 << 22) / max(blockWork, 1), (blocks + most - 1) / most))
        partRows = rows * perPart
    }

    var parts: Int { (m + partRows - 1) / partRows }
    func range(_ part: Int) -> Range<Int> { part * partRows..<min(m, (part + 1) * partRows) }
}
