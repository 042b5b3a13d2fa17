// Eigenvalues and eigenvectors of symmetric matrices in f64: Householder's tridiagonal form, then
// the QL iteration (Golub and Van Loan 2013, section 8.3).

import CKernels
import USPBase

/// The decomposition of one symmetric matrix, on all threads; no result depends on how many.
package struct SymmetricEigen {
    /// Columns of the matrix that are reduced before all others are updated.
    private static let panel = 32

    private let n: Int
    private let scale: Double
    /// The matrix; then, in row k from column k + 1 on, the reflector that reduced row k.
    private var a: [Double]
    private var diagonal: [Double]
    private var beside: [Double]
    /// Factors of the reflectors 1 − τ·v·vᵀ.
    private var tau: [Double]

    /// Eigenvalues in ascending order and, if asked for, the eigenvectors as rows of a second
    /// n x n matrix.
    ///
    /// - Throws: `.memory`; `.internal` if the iteration does not converge: a value is not finite
    /// - Complexity: 4/3·n³ flops, half of them at the rate of memory; with vectors about 6·n³ more
    package static func of(
        _ matrix: [Double], _ n: Int, vectors: Bool
    ) throws(USPError) -> (values: [Double], vectors: [Double]) {
        guard n > 0 else { return ([], []) }
        try SystemMemory.expect(n * n + n * 256, of: Double.self)
        var problem = SymmetricEigen(matrix, n)
        try problem.reduce()
        return try problem.solve(vectors: vectors)
    }

    /// The matrix is a power of two times the one that is solved, whose elements are 1 at most: then
    /// neither squares nor bounds of rounding leave the range.
    private init(_ matrix: [Double], _ n: Int) {
        self.n = n
        let largest = matrix.reduce(0) { max($0, abs($1)) }
        let usual = largest > 0 && largest.isFinite ? largest : 1
        scale = Double(sign: .plus, exponent: min(usual.exponent, 1000), significand: 1)
        let inverse = 1 / scale
        a = matrix.map { $0 * inverse }
        diagonal = [Double](repeating: 0, count: n)
        beside = [Double](repeating: 0, count: n)
        tau = [Double](repeating: 0, count: n)
    }

    /// A becomes tridiagonal, panel by panel: within one, rows see the update that the ones before
    /// them make; the rest of the matrix sees it when the panel is complete.
    private mutating func reduce() throws(USPError) {
        let (n, width) = (n, SymmetricEigen.panel)
        // [V; W; V]: A − V·Wᵀ − W·Vᵀ is then one product of depth 2·panel
        var updates = [Double](repeating: 0, count: 3 * width * n)
        for first in stride(from: 0, to: n, by: width) {
            let end = min(first + width, n)
            updates.withUnsafeMutableBufferPointer { updates in
                guard let v = updates.baseAddress else { return }
                v.update(repeating: 0, count: 2 * width * n)
                for k in first..<end { reduce(k, first, v, v + width * n) }
            }
            guard end < n else { break }
            try updates.withUnsafeMutableBufferPointer { updates throws(USPError) in
                guard let v = updates.baseAddress else { return }
                (v + 2 * width * n).update(from: v, count: width * n)
                try update(from: end, v)
            }
        }
    }

    /// Row k: its diagonal and off-diagonal elements, its reflector v, and w, the other factor of
    /// the update by it.
    private mutating func reduce(
        _ k: Int, _ first: Int, _ v: UnsafeMutablePointer<Double>,
        _ w: UnsafeMutablePointer<Double>
    ) {
        let (n, done, left) = (n, k - first, n - k - 1)
        (diagonal[k], beside[k], tau[k]) = a.withUnsafeMutableBufferPointer { a in
            guard let row = a.baseAddress.map({ $0 + k * n + k }) else { return (0, 0, 0) }
            for before in 0..<done {
                let (v, w) = (v + before * n + k, w + before * n + k)
                uspi_double_add(-v[0], w, row, Int64(left + 1))
                uspi_double_add(-w[0], v, row, Int64(left + 1))
            }
            guard left > 0 else { return (row[0], 0, 0) }
            let (beta, tau) = SymmetricEigen.reflector(row + 1, left)
            (v + done * n + k + 1).update(from: row + 1, count: left)
            return (row[0], beta, tau)
        }
        if tau[k] == 0 { return }
        let (own, result) = (v + done * n + k + 1, w + done * n + k + 1)
        multiplyRest(k + 1, own, result)
        for before in 0..<done {
            let (v, w) = (v + before * n + k + 1, w + before * n + k + 1)
            let (alongW, alongV) = (dot(w, own, left), dot(v, own, left))
            uspi_double_add(-alongW, v, result, Int64(left))
            uspi_double_add(-alongV, w, result, Int64(left))
        }
        for i in 0..<left { result[i] *= tau[k] }
        uspi_double_add(-tau[k] / 2 * dot(result, own, left), own, result, Int64(left))
    }

    /// x becomes v with v[0] = 1, where (1 − τ·v·vᵀ)·x = (β, 0, ..); returns β and τ.
    private static func reflector(
        _ x: UnsafeMutablePointer<Double>, _ count: Int
    ) -> (Double, Double) {
        let alpha = x[0]
        let rest = dot(x + 1, x + 1, count - 1)
        x[0] = 1
        if rest == 0 { return (alpha, 0) }
        let norm = (alpha * alpha + rest).squareRoot()
        let beta = alpha > 0 ? -norm : norm
        for i in 1..<count { x[i] /= alpha - beta }
        return (beta, (beta - alpha) / beta)
    }

    /// y = A[first.., first..]·x
    private func multiplyRest(
        _ first: Int, _ x: UnsafePointer<Double>, _ y: UnsafeMutablePointer<Double>
    ) {
        let n = n
        a.withUnsafeBufferPointer { a in
            guard let rows = a.baseAddress.map({ $0 + first * n + first }) else { return }
            parallelRanges(n - first, grain: rowGrain(width: n - first)) { range in
                for i in range { y[i] = dot(rows + i * n, x, n - first) }
            }
        }
    }

    /// A −= V·Wᵀ + W·Vᵀ from row and column `first` on.
    private mutating func update(
        from first: Int, _ v: UnsafePointer<Double>
    ) throws(USPError) {
        let (n, width) = (n, SymmetricEigen.panel)
        try a.withUnsafeMutableBufferPointer { a throws(USPError) in
            guard let rest = a.baseAddress.map({ $0 + first * n + first }) else { return }
            let left = DoubleMatrix(v + first, row: 1, column: n)
            let right = DoubleMatrix(v + width * n + first, row: n)
            try multiply(
                left, right, rows: n - first, columns: n - first, depth: 2 * width, into: rest,
                row: n, scale: -1, accumulates: true)
        }
    }

    private mutating func solve(
        vectors: Bool
    ) throws(USPError) -> (values: [Double], vectors: [Double]) {
        guard (diagonal + beside).allSatisfy(\.isFinite) else {
            throw USPError(.internal, "symmetric eigenvalues: a value is not finite")
        }
        let slabs = vectors ? try EigenSlabs(n, a, tau) : nil
        try iterate(slabs)
        let order = diagonal.indices.sorted { diagonal[$0] < diagonal[$1] }
        let values = order.map { diagonal[$0] * scale }
        guard let slabs else { return (values, []) }
        a = []
        return (values, slabs.rows(order))
    }

    /// The QL iteration; its rotations reach the vectors some sweeps at a time.
    private mutating func iterate(_ slabs: EigenSlabs?) throws(USPError) {
        let capacity = slabs == nil ? n : max(n, 1 << 16)
        var pairs = [Double](repeating: 0, count: slabs == nil ? 0 : 2 * capacity)
        var sweeps = [Int64](repeating: 0, count: slabs == nil ? 0 : 2 * capacity)
        var state = uspi_tridiagonal()
        (state.n, state.capacity) = (Int64(n), Int64(capacity))
        var outcome: Int32 = 0
        while outcome == 0 {
            (state.kept, state.swept) = (0, 0)
            diagonal.withUnsafeMutableBufferPointer { d in
                beside.withUnsafeMutableBufferPointer { e in
                    pairs.withUnsafeMutableBufferPointer { pairs in
                        sweeps.withUnsafeMutableBufferPointer { sweeps in
                            (state.d, state.e) = (d.baseAddress, e.baseAddress)
                            if slabs != nil {
                                (state.pairs, state.sweeps) = (
                                    pairs.baseAddress, sweeps.baseAddress
                                )
                            }
                            outcome = uspi_tridiagonal_run(&state)
                        }
                    }
                }
            }
            slabs?.rotate(pairs, sweeps, Int(state.swept))
        }
        try require(
            outcome == 1, .internal,
            "symmetric eigenvalues: number \(state.at) of \(n) does not converge")
    }
}

/// The transposed eigenvectors in slabs of columns, each of which stays in a cache.
private final class EigenSlabs {
    private let n: Int
    private let storage: Storage
    private static let width = Int(USPI_SLAB)
    private var count: Int { (n + EigenSlabs.width - 1) / EigenSlabs.width }

    /// The product of all reflectors, transposed.
    init(_ n: Int, _ a: [Double], _ tau: [Double]) throws(USPError) {
        self.n = n
        let width = EigenSlabs.width
        storage = try Storage(byteCount: (n + width - 1) / width * width * n * 8)
        a.withUnsafeBufferPointer { a in
            let a = a
            forAll { index, slab in
                slab.update(repeating: 0, count: n * width)
                for column in index * width..<min(n, (index + 1) * width) {
                    slab[column * width + column % width] = 1
                }
                guard let rows = a.baseAddress else { return }
                for k in 0..<max(n - 1, 0) where tau[k] != 0 {
                    uspi_slab_reflect(
                        tau[k], rows + k * n + k + 1, Int64(n - k - 1), slab + (k + 1) * width)
                }
            }
        }
    }

    private func forAll(_ body: (_ index: Int, _ slab: UnsafeMutablePointer<Double>) -> Void) {
        let values = storage.base.assumingMemoryBound(to: Double.self)
        ThreadPool.shared.run(parts: count) { body($0, values + $0 * n * EigenSlabs.width) }
    }

    func rotate(_ pairs: [Double], _ sweeps: [Int64], _ swept: Int) {
        pairs.withUnsafeBufferPointer { pairs in
            let pairs = pairs
            forAll { _, slab in
                guard var next = pairs.baseAddress else { return }
                for sweep in 0..<swept {
                    let (first, count) = (sweeps[2 * sweep], sweeps[2 * sweep + 1])
                    uspi_slab_rotate(next, first, count, slab)
                    next += 2 * Int(count)
                }
            }
        }
    }

    /// The vectors in this order, one a row.
    func rows(_ order: [Int]) -> [Double] {
        let width = EigenSlabs.width
        return [Double](unsafeUninitializedCapacity: n * n) { result, initialized in
            guard let rows = result.baseAddress else { return }
            forAll { index, slab in
                let columns = min(width, n - index * width)
                for (place, row) in order.enumerated() {
                    (rows + place * n + index * width).initialize(
                        from: slab + row * width, count: columns)
                }
            }
            initialized = n * n
        }
    }
}

private func dot(
    _ x: UnsafePointer<Double>, _ y: UnsafePointer<Double>, _ count: Int
) -> Double { uspi_double_dot(x, y, Int64(count)) }
