// Matrix products: cuts one into tiles for the threads and hands each to the kernel.

import CKernels
import USPBase

/// A matrix operand in memory: element (i, j) lies at `pointer + i·row + j·column` elements.
package struct MatrixView {
    package var pointer: UnsafeMutableRawPointer
    package var row: Int
    package var column: Int
    package var dtype: DType

    package init(
        _ pointer: UnsafeMutableRawPointer, row: Int, column: Int = 1, dtype: DType = .float32
    ) {
        self.pointer = pointer
        self.row = row
        self.column = column
        self.dtype = dtype
    }

    /// A tensor as its rows: `[rows, last]`.
    package init(_ tensor: Tensor) {
        self.init(
            tensor.raw, row: tensor.shape.rank == 0 ? 1 : tensor.shape[-1], dtype: tensor.dtype)
    }

    package var transposed: MatrixView {
        MatrixView(pointer, row: column, column: row, dtype: dtype)
    }
}

/// The right operand, packed for the kernel.
package struct PackedMatrix {
    package let storage: Storage
    /// Rows (the summed extent) and columns.
    package let k: Int
    package let n: Int
    package let compute: DType
}

/// What happens to a product's sum before it is stored.
package struct Epilogue {
    package var bias: UnsafePointer<Float>?
    package var activation: Activation = .none
    /// Also receives the value before the activation; type and row stride of the result.
    package var beforeActivation: UnsafeMutableRawPointer?
    /// Multiplies row i by `gate[(i / period)·stride + j]`.
    package var gate: (pointer: UnsafePointer<Float>, stride: Int, period: Int)?
    /// Added last; row stride in elements.
    package var residual: (pointer: UnsafePointer<Float>, stride: Int)?
    package var accumulates = false
    package var scale: Float = 1
    /// Columns of the result of a gated unit, whose right operand is packed for that; 0: none. It
    /// has neither gate nor residual.
    package var gatedUnit = 0

    package init() {}
}

extension DType {
    /// The kernels' name of this type; `.int8` is one of factors only. Programmer error for types that
    /// kernels do not compute in.
    var kernel: Int32 {
        switch self {
        case .float32: Int32(USPI_F32.rawValue)
        case .bfloat16: Int32(USPI_BF16.rawValue)
        case .int8: Int32(USPI_INT8.rawValue)
        default: preconditionFailure("kernels compute in f32, bf16 and 8 bits")
        }
    }
}

/// Packs B `[k, n]`, ranges of panels by threads: wide ones, for its rows are read along them.
func pack(
    _ b: MatrixView, k: Int, n: Int, compute: DType, into packed: UnsafeMutableRawPointer
) {
    let panel = Int(uspi_gemm_panel())
    let panels = (n + panel - 1) / panel
    let grain = max(1, panels / 8, (1 << 16) / max(k * panel, 1))
    parallelRanges(panels, grain: grain) { range in
        uspi_pack_b(
            b.pointer, Int64(b.row), Int64(b.column), b.dtype.kernel, Int64(k), Int64(n),
            compute.kernel, packed, Int64(range.lowerBound * panel),
            Int64(min(n, range.upperBound * panel)))
    }
}

/// Packs a passing operand into the pool.
package func packed(
    _ b: MatrixView, k: Int, n: Int, compute: DType
) throws(USPError) -> PackedMatrix {
    let bytes = Int(uspi_packed_b_size(Int64(k), Int64(n), compute.kernel))
    let storage = try Storage(byteCount: bytes)
    pack(b, k: k, n: n, compute: compute, into: storage.base)
    return PackedMatrix(storage: storage, k: k, n: n, compute: compute)
}

/// A `[N, K]` weight packed for its use; kept beside the weight unless that is being trained: then
/// its values change before they are read again.
package func packed(
    weight: Tensor, use: PackedUse, compute: DType
) throws(USPError) -> PackedMatrix {
    let (outputs, inputs) = (weight.shape[0], weight.count / max(weight.shape[0], 1))
    if use == .gatedForward { return try packedHalves(weight, outputs / 2, inputs, compute) }
    let (k, n) = use == .backward ? (outputs, inputs) : (inputs, outputs)
    let bytes = Int(uspi_packed_b_size(Int64(k), Int64(n), compute.kernel))
    let storage = try weight.derived(use, compute: compute, byteCount: bytes) {
        base throws(USPError) in
        let rows = weight.rows(for: compute, inputs)
        pack(use == .backward ? rows : rows.transposed, k: k, n: n, compute: compute, into: base)
        weight.finishPacking(rows, k: k, n: n, into: base)
    }
    return PackedMatrix(storage: storage, k: k, n: n, compute: compute)
}

/// As above, of a gated unit: `half` outputs.
private func packedHalves(
    _ weight: Tensor, _ half: Int, _ inputs: Int, _ compute: DType
) throws(USPError) -> PackedMatrix {
    let columns = Int(uspi_halves_columns(Int64(half)))
    let bytes = Int(uspi_packed_b_size(Int64(inputs), Int64(columns), compute.kernel))
    let storage = try weight.derived(.gatedForward, compute: compute, byteCount: bytes) {
        base throws(USPError) in
        let panel = Int(uspi_gemm_panel())
        let grain = max(1, columns / panel / 8, (1 << 16) / max(inputs * panel, 1))
        let rows = weight.rows(for: compute, inputs)
        parallelRanges(columns / panel, grain: grain) { range in
            uspi_pack_halves(
                rows.pointer, 1, Int64(inputs), rows.dtype.kernel, Int64(inputs), Int64(half),
                compute.kernel, base, Int64(range.lowerBound * panel),
                Int64(range.upperBound * panel))
        }
        weight.finishPacking(rows, k: inputs, n: columns, half: half, into: base)
    }
    return PackedMatrix(storage: storage, k: inputs, n: columns, compute: compute)
}

extension Tensor {
    /// A weight's rows as its file has them, if that is what is computed in; else as f32.
    fileprivate func rows(for compute: DType, _ inputs: Int) -> MatrixView {
        guard compute == .int8, let integers = storage.integerRows else {
            return MatrixView(raw, row: inputs, dtype: dtype)
        }
        return MatrixView(
            UnsafeMutableRawPointer(mutating: integers.values), row: inputs, dtype: .int8)
    }

    /// Gives packed integers their scales, and the file's pages back.
    fileprivate func finishPacking(
        _ rows: MatrixView, k: Int, n: Int, half: Int = 0, into base: UnsafeMutableRawPointer
    ) {
        guard rows.dtype == .int8, let integers = storage.integerRows else { return releasePages() }
        uspi_scale_columns(base, Int64(k), Int64(n), Int64(half), integers.scales)
        integers.release()
    }
}

/// Which rows of a product may share sums.
package enum SharedSums: Equatable {
    /// None: every element is a sum of its own.
    case none
    /// Neighbouring rows of one sample, which has so many.
    case within(sampleRows: Int)
}

/// c[m, n] = epilogue(a[m, k] · b[k, n]).
///
/// The summed extent is never cut, so the result is the same for any number of threads. `c.column`
/// is 1.
/// - sharing: large f32 products then take seven eighths of the multiplications (Strassen 1969, in
///   Winograd's form; see `uspi_strassen_run` for the rounding). A sample's result still does not
///   depend on what else is in the batch.
/// - normed: a's rows, made as they are packed; a then gives their type alone
/// - beside: a layer of few rows that is computed on the way.
/// - Complexity: 2·m·n·k flops.
package func multiply(
    _ a: MatrixView, _ b: PackedMatrix, rows m: Int, into c: MatrixView,
    _ epilogue: Epilogue = Epilogue(), sharing: SharedSums = .none,
    normed: uspi_normed_rows? = nil, beside: LinearBeside? = nil
) throws(USPError) {
    precondition(c.column == 1)
    if m == 0 || b.n == 0 { return }
    var job = kernelJob(a, b.view, rows: m, into: c, epilogue)
    let tile = ProductTile(m: m, n: b.n, k: b.k, compute: b.compute, sharing)
    guard let normed else { return try multiply(&job, tile, beside) }
    try withUnsafePointer(to: normed) { rows throws(USPError) in
        job.normed = rows
        try multiply(&job, tile, beside)
    }
}

private func multiply(
    _ job: inout uspi_gemm, _ tile: ProductTile, _ beside: LinearBeside?
) throws(USPError) {
    let slots = min(ThreadPool.shared.threads, tile.parts)
    let workspaceBytes = tile.workspaceBytes(&job)
    let heldRows = tile.heldBytes > 0 ? tile.rowParts : 0
    let memory = try Storage(byteCount: workspaceBytes * slots + tile.heldBytes * heldRows)
    let heldBase = memory.base + workspaceBytes * slots
    var held = (0..<heldRows).map {
        uspi_held_rows(packed: heldBase + $0 * tile.heldBytes, state: 0)
    }
    withUnsafePointer(to: &job) { job in
        held.withUnsafeMutableBufferPointer { held in
            nonisolated(unsafe) let held = held.baseAddress
            ThreadPool.shared.run(parts: tile.parts, slots: slots) { part, slot in
                tile.run(job, part, memory.base + slot * workspaceBytes, held, beside)
            }
        }
    }
    beside?.isDone = true
}

/// The whole product on the calling thread, with `uspi_gemm_workspace(k)` bytes of workspace.
func multiplyBlock(
    _ a: MatrixView, _ b: PackedView, rows m: Int, into c: MatrixView, _ epilogue: Epilogue,
    workspace: UnsafeMutableRawPointer
) {
    var job = kernelJob(a, b, rows: m, into: c, epilogue)
    uspi_gemm_run(&job, 0, Int64(m), 0, Int64(b.n), workspace, nil, nil)
}

/// A packed right operand wherever it lies.
struct PackedView {
    let pointer: UnsafeRawPointer
    let k: Int
    let n: Int
    let compute: DType
}

extension PackedMatrix {
    var view: PackedView {
        PackedView(pointer: UnsafeRawPointer(storage.base), k: k, n: n, compute: compute)
    }
}

func kernelJob(
    _ a: MatrixView, _ b: PackedView, rows m: Int, into c: MatrixView, _ epilogue: Epilogue
) -> uspi_gemm {
    var job = uspi_gemm()
    job.m = Int64(m)
    job.n = Int64(b.n)
    job.k = Int64(b.k)
    job.a = UnsafeRawPointer(a.pointer)
    job.a_row = Int64(a.row)
    job.a_col = Int64(a.column)
    job.a_type = a.dtype.kernel
    job.b = b.pointer
    job.compute = b.compute.kernel
    job.c = c.pointer
    job.c_row = Int64(c.row)
    job.c_type = c.dtype.kernel
    job.alpha = epilogue.scale
    job.accumulate = epilogue.accumulates ? 1 : 0
    job.bias = epilogue.bias
    job.activation = epilogue.activation.kernel
    job.pre = epilogue.beforeActivation
    job.halves = Int64(epilogue.gatedUnit)
    if let gate = epilogue.gate {
        job.gate = gate.pointer
        job.gate_row = Int64(gate.stride)
        job.gate_period = Int64(gate.period)
    }
    if let residual = epilogue.residual {
        job.residual = residual.pointer
        job.residual_row = Int64(residual.stride)
    }
    return job
}

/// How a product is cut: into blocks of rows that are packed at once, and columns of them, enough
/// parts to balance threads of unequal speed. The result does not depend on the cut.
struct ProductTile {
    let m: Int
    let n: Int
    let rowParts: Int
    let columnParts: Int
    /// nil: a plain product.
    let strassenGroup: Int?
    /// Of one part of the rows, which then is packed once for all columns; 0: for each part anew.
    let heldBytes: Int
    /// Rows of a part, at most.
    private let partRows: Int
    private let rowUnit: Int
    private let columnUnit: Int
    private let compute: DType

    var parts: Int { rowParts * columnParts }

    /// Whether each row is packed once, by one thread.
    var packsOnce: Bool { heldBytes > 0 || columnParts == 1 }

    /// The group of rows that `uspi_strassen_run` is to be told; nil where it would not do or not
    /// pay.
    private static func strassenGroup(_ n: Int, _ k: Int, _ sharing: SharedSums) -> Int? {
        guard case .within(let sampleRows) = sharing, sampleRows >= 64, k >= 256, k % 2 == 0,
            n % (2 * Int(uspi_gemm_panel())) == 0
        else { return nil }
        return sampleRows % 2 == 0 ? 0 : sampleRows
    }

    init(m: Int, n: Int, k: Int, compute: DType, _ sharing: SharedSums) {
        (self.m, self.n, self.compute) = (m, n, compute)
        strassenGroup = compute == .float32 ? ProductTile.strassenGroup(n, k, sharing) : nil
        let panel = Int(uspi_gemm_panel())
        (rowUnit, columnUnit) = strassenGroup.map { (max($0, 2), 2 * panel) } ?? (1, panel)
        let block =
            strassenGroup.map { uspi_strassen_block(Int64($0)) }
            ?? uspi_gemm_block(Int64(k), compute.kernel)
        let (work, threads) = (m * n * k, ThreadPool.shared.threads)
        let finer = compute == .float32 ? 2 : 1  // for a part takes twice as long
        let most = max(8, 2 * threads) * finer
        let wanted = work < 1 << 19 ? 1 : min(most, max(2, (work >> 24) * finer))
        let blocks = ceilingDivision(m, Int(block))
        // whole fours, so that 2 and 4 threads get the same number each; few rows stay together:
        // cut, every thread would read all of B
        rowParts = min(
            blocks > 2 ? (blocks + 3) / 4 * 4 : max(blocks, wanted > 1 && m > 28 ? 2 : 1),
            ceilingDivision(m, rowUnit))
        partRows = ceilingDivision(ceilingDivision(m, rowUnit), rowParts) * rowUnit
        let rows = Int64(partRows)
        let bytes =
            strassenGroup.map { uspi_strassen_held_size(Int64(k), Int64($0), rows) }
            ?? uspi_gemm_workspace(Int64(k), compute.kernel)
        let isHeld = bytes > 0 && rowParts <= 2 * threads  // more would not stay in caches
        let wantedColumns = ceilingDivision(isHeld ? wanted : min(wanted, threads), rowParts)
        let units = ceilingDivision(n, columnUnit)
        let unitsOfPart = max(1, units / wantedColumns)
        columnParts = ceilingDivision(units, unitsOfPart)
        heldBytes = isHeld && columnParts > 1 ? wholeLines(Int(bytes)) : 0
    }

    /// The columns of the same rows follow one another.
    func ranges(_ part: Int) -> (row: Int, rows: Range<Int>, columns: Range<Int>) {
        let (row, column) = part.quotientAndRemainder(dividingBy: columnParts)
        return (
            row, share(row, of: rowParts, extent: m, unit: rowUnit),
            share(column, of: columnParts, extent: n, unit: columnUnit)
        )
    }

    /// For one thread.
    func workspaceBytes(_ job: UnsafePointer<uspi_gemm>) -> Int {
        let isHeld = heldBytes > 0
        let normed = Int(uspi_normed_workspace(job))
        guard let strassenGroup else {
            let packed = isHeld ? 0 : Int(uspi_gemm_workspace(job.pointee.k, compute.kernel))
            return wholeLines(normed + packed)
        }
        let columns = ceilingDivision(ceilingDivision(n, columnUnit), columnParts) * columnUnit
        let others = uspi_strassen_workspace(
            job, Int64(strassenGroup), Int64(partRows), Int64(columns), isHeld ? 1 : 0)
        return wholeLines(normed + Int(others))
    }

    /// - held: one for each part of the rows if `heldBytes` is not 0
    func run(
        _ job: UnsafePointer<uspi_gemm>, _ part: Int, _ workspace: UnsafeMutableRawPointer,
        _ held: UnsafeMutablePointer<uspi_held_rows>?, _ other: LinearBeside?
    ) {
        let (row, rows, columns) = ranges(part)
        let (top, bottom) = (Int64(rows.lowerBound), Int64(rows.upperBound))
        let (left, right) = (Int64(columns.lowerBound), Int64(columns.upperBound))
        let packed = heldBytes > 0 ? held.map { $0 + row } : nil
        func run(_ beside: UnsafePointer<uspi_beside>?) {
            if let strassenGroup {
                uspi_strassen_run(
                    job, Int64(strassenGroup), top, bottom, left, right, workspace, packed, beside)
            } else {
                uspi_gemm_run(job, top, bottom, left, right, workspace, packed, beside)
            }
        }
        if var share = other?.share(part, of: parts) { run(&share) } else { run(nil) }
    }
}

/// Bytes rounded up to whole cache lines.
func wholeLines(_ bytes: Int) -> Int { (bytes + 63) / 64 * 64 }

/// Share `index` of `count` of 0..<extent, in whole units.
func share(_ index: Int, of count: Int, extent: Int, unit: Int) -> Range<Int> {
    let units = ceilingDivision(extent, unit)
    return units * index / count * unit..<min(extent, units * (index + 1) / count * unit)
}

private func ceilingDivision(_ a: Int, _ b: Int) -> Int { (a + b - 1) / b }
