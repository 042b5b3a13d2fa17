// The Fréchet distance of two Gaussians, by symmetric eigenvalues only.

import USPBase

/// ‖μ₁ − μ₂‖² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁Σ₂)^½ (Heusel et al. 2017): FID over Inception features.
public struct FrechetDistance: Sendable {
    /// Clipped at 0.
    package let value: Double
    /// ‖μ₁ − μ₂‖²
    package let meanTerm: Double
    /// tr (Σ₁Σ₂)^½
    package let crossTrace: Double
    /// What a reader should know beside the number: too few samples, features without spread.
    package let warnings: [String]

    /// The square root's trace is Σ √λ(BᵀΣ₂B) with Σ₁ = BBᵀ, whose matrix is symmetric: neither
    /// imaginary parts nor an iteration that fails, as general matrix square roots have. Σ₁ is that
    /// of fewer samples. Its eigenvalues that are rounding count as 0, for a root makes much of
    /// them; the others stand in descending order, so that small λ keep their digits.
    ///
    /// - solver: whose eigenvalues
    /// - Throws: `.shape` if the widths differ; `.argument` for a matrix that is no covariance;
    ///   `.internal` if the eigenvalues contradict tr Σ₁Σ₂.
    package static func between(
        _ first: FeatureStatistics, _ second: FeatureStatistics,
        _ solver: LinearAlgebra.Solver = .any
    ) throws(USPError) -> FrechetDistance {
        let n = first.width
        try require(
            second.width == n, .shape,
            "Frechet distance: features of width \(n) and \(second.width)")
        if second.count > 0 && (first.count == 0 || second.count < first.count) {
            let swapped = try between(second, first, ordered: solver)
            return FrechetDistance(
                value: swapped.value, meanTerm: swapped.meanTerm, crossTrace: swapped.crossTrace,
                warnings: warnings(first, second))
        }
        return try between(first, second, ordered: solver)
    }

    private static func between(
        _ first: FeatureStatistics, _ second: FeatureStatistics,
        ordered solver: LinearAlgebra.Solver
    ) throws(USPError) -> FrechetDistance {
        let n = first.width
        let root = try factor(first.covariance, n, solver)
        let inner = try LinearAlgebra.product(second.covariance, root, n, n, n, transposed: true)
        var matrix = try LinearAlgebra.product(root, inner, n, n, n)
        symmetrise(&matrix, n)
        let values = try LinearAlgebra.symmetricEigen(
            matrix, n, vectors: false, solver
        ).values
        try checkNotNegative(values)
        try check(values, first.covariance, second.covariance)
        let crossTrace = values.reduce(0) { $0 + max($1, 0).squareRoot() }
        let meanTerm = zip(first.mean, second.mean).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        let spread = trace(first.covariance, n) + trace(second.covariance, n)
        return FrechetDistance(
            value: max(meanTerm + spread - 2 * crossTrace, 0), meanTerm: meanTerm,
            crossTrace: crossTrace, warnings: warnings(first, second))
    }

    /// Bᵀ, row-major, with BBᵀ = Σ: eigenvectors as rows, times the roots of their eigenvalues, the
    /// largest first.
    private static func factor(
        _ covariance: [Double], _ n: Int, _ solver: LinearAlgebra.Solver
    ) throws(USPError) -> [Double] {
        let (values, rows) = try LinearAlgebra.symmetricEigen(
            covariance, n, vectors: true, solver)
        try checkNotNegative(values)
        let rounding = Double(n) * 0x1p-52 * abs(values[n - 1])
        var result = [Double](repeating: 0, count: n * n)
        for (index, value) in values.reversed().enumerated() where value > rounding {
            let (root, source) = (value.squareRoot(), (n - 1 - index) * n)
            for column in 0..<n { result[index * n + column] = rows[source + column] * root }
        }
        return result
    }

    /// Ascending eigenvalues of what should be a covariance: none is negative but for rounding.
    private static func checkNotNegative(_ values: [Double]) throws(USPError) {
        guard let least = values.first, let most = values.last else { return }
        try require(
            least >= -1e-4 * abs(most), .argument,
            "Frechet distance: a covariance has the eigenvalue \(least), expected 0 or more")
    }

    private static func symmetrise(_ matrix: inout [Double], _ n: Int) {
        for i in 0..<n {
            for j in 0..<i {
                let mean = (matrix[i * n + j] + matrix[j * n + i]) / 2
                matrix[i * n + j] = mean
                matrix[j * n + i] = mean
            }
        }
    }

    /// Σ λ must be tr Σ₁Σ₂, which needs no eigenvalues: a broken solver does not pass unseen.
    private static func check(
        _ values: [Double], _ first: [Double], _ second: [Double]
    ) throws(USPError) {
        let expected = zip(first, second).reduce(0) { $0 + $1.0 * $1.1 }
        let sum = values.reduce(0, +)
        let size = zip(first, second).reduce(0) { $0 + abs($1.0 * $1.1) }
        try require(
            abs(sum - expected) <= 1e-6 * max(size, 1e-300), .internal,
            "Frechet distance: eigenvalues sum to \(sum), but tr(S1 S2) is \(expected)")
    }

    private static func trace(_ matrix: [Double], _ n: Int) -> Double {
        (0..<n).reduce(0) { $0 + matrix[$1 * n + $1] }
    }

    private static func warnings(
        _ first: FeatureStatistics, _ second: FeatureStatistics
    ) -> [String] {
        var result: [String] = []
        for (name, set) in [("first", first), ("second", second)]
        where set.count > 0 && set.count <= set.width {
            result.append(
                "the \(name) set has \(set.count) samples for features of width \(set.width): its "
                    + "covariance is singular and the distance biased upwards")
        }
        for (name, set) in [("first", first), ("second", second)]
        where set.count > set.width && set.count < 2048 {
            result.append(
                "the \(name) set has only \(set.count) samples (fewer than 2048): compare only "
                    + "with distances over as many")
        }
        return result
    }
}
