// Our own eigensolver against matrices whose decomposition is known, and against OpenBLAS's.

import TestSupport
import Testing
import USPBase
import USPEvaluation
import USPTensor

/// A covariance of `rows` samples whose columns are mixed and of unequal size.
private func covariance(_ n: Int, rows: Int, seed: UInt64) throws -> FeatureStatistics {
    var random = TorchRandom(seed: seed)
    let values = random.normal(count: rows * n)
    let features = (0..<rows * n).map { index in
        let (row, column) = index.quotientAndRemainder(dividingBy: n)
        return values[index] / Float(1 + column) + 0.5 * values[row * n]
    }
    var gathered = try FeatureAccumulator(width: n)
    try gathered.add(try Tensor([rows, n], features))
    return try gathered.statistics()
}

/// The largest element of A·vᵀ − λ·vᵀ and of V·Vᵀ − 1, over the largest eigenvalue.
private func residual(
    _ matrix: [Double], _ n: Int, _ values: [Double], _ rows: [Double]
) throws -> (vectors: Double, unity: Double) {
    let moved = try LinearAlgebra.product(rows, matrix, n, n, n)
    let products = try LinearAlgebra.product(rows, rows, n, n, n, transposed: true)
    let largest = values.reduce(0) { max($0, abs($1)) }
    var result = (vectors: 0.0, unity: 0.0)
    for i in 0..<n {
        for j in 0..<n {
            let difference = abs(moved[i * n + j] - values[i] * rows[i * n + j])
            result.vectors = max(result.vectors, difference / largest)
            result.unity = max(result.unity, abs(products[i * n + j] - (i == j ? 1 : 0)))
        }
    }
    return result
}

@Suite struct SymmetricEigenTests {
    @Test(arguments: [1, 2, 3, 31, 32, 33, 65, 130, 257])
    func vectorsDiagonalise(_ n: Int) throws {
        let matrix = try covariance(n, rows: n + 40, seed: 5).covariance
        let (values, rows) = try LinearAlgebra.symmetricEigen(matrix, n, vectors: true, .own)
        let found = try residual(matrix, n, values, rows)
        #expect(found.vectors < 1e-13 && found.unity < 1e-13)
        #expect(zip(values, values.dropFirst()).allSatisfy { $0 <= $1 })
        let alone = try LinearAlgebra.symmetricEigen(matrix, n, vectors: false, .own).values
        #expect(zip(values, alone).allSatisfy { abs($0 - $1) <= 1e-13 * values[n - 1] })
        let other = try LinearAlgebra.symmetricEigen(matrix, n, vectors: false).values
        #expect(zip(values, other).allSatisfy { abs($0 - $1) <= 1e-13 * values[n - 1] })
    }

    /// Most eigenvalues of covariances of few samples are rounding.
    @Test(arguments: [(64, 384), (100, 192), (15, 130)])
    func fewerSamplesThanColumns(rows: Int, _ n: Int) throws {
        var random = TorchRandom(seed: 3)
        var gathered = try FeatureAccumulator(width: n)
        try gathered.add(try Tensor([rows, n], random.normal(count: rows * n)))
        let matrix = try gathered.statistics().covariance
        for order in [0, n / 2] {
            // Large in front, and large in the middle.
            let turned = (0..<n * n).map { index in
                let (row, column) = index.quotientAndRemainder(dividingBy: n)
                return matrix[(row + order) % n * n + (column + order) % n]
            }
            let (values, vectors) = try LinearAlgebra.symmetricEigen(turned, n, vectors: true, .own)
            let found = try residual(turned, n, values, vectors)
            #expect(found.vectors < 1e-13 && found.unity < 1e-13)
            #expect(values.filter { $0 > 1e-9 * values[n - 1] }.count == rows - 1)
        }
    }

    /// Multiples of one another, zeros, tiny and huge numbers, and what is diagonal already.
    @Test func oddMatrices() throws {
        let n = 40
        let identity = (0..<n * n).map { $0 % (n + 1) == 0 ? 3.0 : 0.0 }
        let ones = [Double](repeating: 1, count: n * n)
        let graded = (0..<n * n).map { $0 % (n + 1) == 0 ? pow10(-$0 / n) : 0.0 }
        for (matrix, most) in [
            (identity, 3.0), (ones, Double(n)), (graded, 1), (identity.map { $0 * 0 }, 0),
            (ones.map { $0 * 1e-290 }, 1e-290 * Double(n)), (ones.map { $0 * 1e150 }, 1e150 * 40),
        ] {
            let (values, rows) = try LinearAlgebra.symmetricEigen(matrix, n, vectors: true, .own)
            #expect(abs(values[n - 1] - most) <= 1e-13 * most)
            if most > 0 && most < 1e100 && most > 1e-100 {
                let found = try residual(matrix, n, values, rows)
                #expect(found.vectors < 1e-13 && found.unity < 1e-13)
            }
        }
        var bad = identity
        bad[n + 2] = .nan
        bad[2 * n + 1] = .nan
        #expect(throws: USPError.self) {
            _ = try LinearAlgebra.symmetricEigen(bad, n, vectors: true, .own)
        }
    }

    /// The same distance whoever finds the eigenvalues, also of sets with fewer samples than
    /// features, and on any number of threads.
    @Test(arguments: [(6, 300), (96, 1000), (200, 120)])
    func distancesAgree(_ n: Int, rows: Int) throws {
        let (a, b) = (
            try covariance(n, rows: rows, seed: 1), try covariance(n, rows: rows + 9, seed: 2)
        )
        let any = try FrechetDistance.between(a, b)
        let own = try FrechetDistance.between(a, b, .own)
        #expect(abs(any.value - own.value) <= 1e-10 * (1 + any.value))
        alone {
            for threads in 1...3 {
                useThreads(threads)
                let again = try? FrechetDistance.between(a, b, .own)
                #expect(again?.value == own.value)
            }
        }
    }
}

private func pow10(_ exponent: Int) -> Double {
    (0..<abs(exponent)).reduce(1.0) { value, _ in exponent < 0 ? value / 10 : value * 10 }
}
