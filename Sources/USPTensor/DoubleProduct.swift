// Products in f64, cut into parts for the threads.

import CKernels
import USPBase

/// A row-major or transposed f64 matrix that somebody keeps alive.
package struct DoubleMatrix {
    package let pointer: UnsafePointer<Double>
    /// Elements from one row, and from one column, to the next.
    package let row: Int
    package let column: Int

    package init(_ pointer: UnsafePointer<Double>, row: Int, column: Int = 1) {
        (self.pointer, self.row, self.column) = (pointer, row, column)
    }

    package var transposed: DoubleMatrix { DoubleMatrix(pointer, row: column, column: row) }
}

/// c[m, n] = scale · a[m, k] · b[k, n], plus c itself if it accumulates; rows of c are `row` apart.
///
/// - Throws: `.memory`
/// - Complexity: 2·m·n·k flops. The result does not depend on the number of threads.
package func multiply(
    _ a: DoubleMatrix, _ b: DoubleMatrix, rows m: Int, columns n: Int, depth k: Int,
    into c: UnsafeMutablePointer<Double>, row: Int, scale: Double = 1, accumulates: Bool = false
) throws(USPError) {
    var job = uspi_double_product(
        m: Int64(m), n: Int64(n), k: Int64(k), a: a.pointer, a_row: Int64(a.row),
        a_col: Int64(a.column), b: b.pointer, b_row: Int64(b.row), b_col: Int64(b.column), c: c,
        c_row: Int64(row), alpha: scale, accumulate: accumulates ? 1 : 0)
    let (height, width) = (252, 512)
    let (down, across) = ((m + height - 1) / height, (n + width - 1) / width)
    let slots = min(ThreadPool.shared.threads, max(down * across, 1))
    let workspaceBytes = wholeLines(Int(uspi_double_workspace()))
    let workspace = try Storage(byteCount: workspaceBytes * slots)
    withUnsafePointer(to: &job) { job in
        ThreadPool.shared.run(parts: down * across, slots: slots) { part, slot in
            let (i, j) = part.quotientAndRemainder(dividingBy: across)
            uspi_double_run(
                job, Int64(i * height), Int64(min(m, (i + 1) * height)), Int64(j * width),
                Int64(min(n, (j + 1) * width)), workspace.base + slot * workspaceBytes)
        }
    }
}
