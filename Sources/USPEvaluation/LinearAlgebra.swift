// What the metrics need of LAPACK and BLAS, in double, on this library's threads only.

import COpenBLAS
import USPBase
import USPTensor

/// Row-major matrices in plain arrays. OpenBLAS runs on one thread inside our own loops: a second
/// pool would take the processors from the first.
enum LinearAlgebra {
    /// Columns of a product that one part of a loop computes.
    private static let blockColumns = 128

    /// Eigenvalues in ascending order and, in the rows of the second, the eigenvectors, of a
    /// symmetric n x n matrix.
    ///
    /// - Throws: `.internal` if the iteration does not converge (a value is not finite).
    static func symmetricEigen(
        _ matrix: [Double], _ n: Int, vectors: Bool
    ) throws(USPError) -> (values: [Double], vectors: [Double]) {
        openblas_set_num_threads(1)
        guard n > 0 else { return ([], []) }
        let workCount = vectors ? 1 + 6 * n + 2 * n * n : 2 * n + 1
        let integerCount = vectors ? 3 + 5 * n : 1
        try SystemMemory.expect(n * n + n + workCount + integerCount, of: Double.self)
        var a = matrix
        var values = [Double](repeating: 0, count: n)
        var (size, info) = (Int32(n), Int32(0))
        var job = CChar(UInt8(ascii: vectors ? "V" : "N"))
        var triangle = CChar(UInt8(ascii: "L"))
        var work = [Double](repeating: 0, count: workCount)
        var integers = [Int32](repeating: 0, count: integerCount)
        var (workSize, integerSize) = (Int32(workCount), Int32(integerCount))
        dsyevd_(
            &job, &triangle, &size, &a, &size, &values, &work, &workSize, &integers, &integerSize,
            &info)
        try require(info == 0, .internal, "symmetric eigenvalues: LAPACK's dsyevd returned \(info)")
        return (values, a)
    }

    /// C = A · B for row-major A [m, k] and B [k, n] (or B [n, k], transposed).
    static func product(
        _ a: [Double], _ b: [Double], _ m: Int, _ n: Int, _ k: Int, transposed: Bool = false
    ) throws(USPError) -> [Double] {
        openblas_set_num_threads(1)
        try SystemMemory.expect(m * n, of: Double.self)
        return [Double](unsafeUninitializedCapacity: m * n) { c, count in
            let c = c.baseAddress
            a.withUnsafeBufferPointer { a in
                b.withUnsafeBufferPointer { b in
                    guard let a = a.baseAddress, let b = b.baseAddress, let c else { return }
                    parallelRanges(n, grain: blockColumns) { columns in
                        let first = columns.lowerBound
                        cblas_dgemm(
                            CblasRowMajor, CblasNoTrans, transposed ? CblasTrans : CblasNoTrans,
                            Int32(m), Int32(columns.count), Int32(k), 1, a, Int32(k),
                            transposed ? b + first * k : b + first, Int32(transposed ? k : n), 0,
                            c + first, Int32(n))
                    }
                }
            }
            count = m * n
        }
    }

    /// C += Aᵀ · A for row-major A [rows, n]; all of C is written.
    static func addGram(_ a: [Double], rows: Int, _ n: Int, into c: inout [Double]) {
        openblas_set_num_threads(1)
        c.withUnsafeMutableBufferPointer { c in
            let c = c.baseAddress
            a.withUnsafeBufferPointer { a in
                guard let a = a.baseAddress, let c else { return }
                parallelRanges(n, grain: blockColumns) { columns in
                    let first = columns.lowerBound
                    cblas_dgemm(
                        CblasRowMajor, CblasTrans, CblasNoTrans, Int32(n), Int32(columns.count),
                        Int32(rows), 1, a, Int32(n), a + first, Int32(n), 1, c + first, Int32(n))
                }
            }
        }
    }
}
