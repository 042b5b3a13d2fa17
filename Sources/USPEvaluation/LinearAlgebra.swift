// What the metrics need of linear algebra, in f64.

import USPBase
import USPTensor

/// Row-major matrices in plain arrays.
package enum LinearAlgebra {
    /// Whose eigensolver is used.
    package enum Solver: Sendable {
        /// OpenBLAS's where it can be used, else our own: the same numbers to rounding.
        case any
        case own
    }

    /// Eigenvalues in ascending order and, in the rows of the second, the eigenvectors, of a
    /// symmetric n x n matrix.
    ///
    /// - Throws: `.internal` if the iteration does not converge (a value is not finite).
    package static func symmetricEigen(
        _ matrix: [Double], _ n: Int, vectors: Bool, _ solver: Solver = .any
    ) throws(USPError) -> (values: [Double], vectors: [Double]) {
        guard n > 0 else { return ([], []) }
        if solver == .any, let result = try OpenBLAS.symmetricEigen(matrix, n, vectors: vectors) {
            return result
        }
        return try SymmetricEigen.of(matrix, n, vectors: vectors)
    }

    /// C = A · B for row-major A [m, k] and B [k, n] (or B [n, k], transposed).
    package static func product(
        _ a: [Double], _ b: [Double], _ m: Int, _ n: Int, _ k: Int, transposed: Bool = false
    ) throws(USPError) -> [Double] {
        try SystemMemory.expect(m * n, of: Double.self)
        var c = [Double](repeating: 0, count: m * n)
        try multiply(
            a, k, transposed: false, b, transposed ? k : n, transposed: transposed, m, n, k, &c)
        return c
    }

    /// C += Aᵀ · A for row-major A [rows, n]; all of C is written.
    static func addGram(
        _ a: [Double], rows: Int, _ n: Int, into c: inout [Double]
    ) throws(USPError) {
        try multiply(
            a, n, transposed: true, a, n, transposed: false, n, n, rows, &c, accumulates: true)
    }

    private static func multiply(
        _ a: [Double], _ aRow: Int, transposed aTransposed: Bool, _ b: [Double], _ bRow: Int,
        transposed bTransposed: Bool, _ m: Int, _ n: Int, _ k: Int, _ c: inout [Double],
        accumulates: Bool = false
    ) throws(USPError) {
        func matrix(
            _ pointer: UnsafePointer<Double>, _ row: Int, _ transposed: Bool
        ) -> DoubleMatrix {
            let plain = DoubleMatrix(pointer, row: row)
            return transposed ? plain.transposed : plain
        }
        try c.withUnsafeMutableBufferPointer { c throws(USPError) in
            try a.withUnsafeBufferPointer { a throws(USPError) in
                try b.withUnsafeBufferPointer { b throws(USPError) in
                    guard let a = a.baseAddress, let b = b.baseAddress, let c = c.baseAddress
                    else { return }
                    try USPTensor.multiply(
                        matrix(a, aRow, aTransposed), matrix(b, bRow, bTransposed), rows: m,
                        columns: n, depth: k, into: c, row: n, accumulates: accumulates)
                }
            }
        }
    }
}
