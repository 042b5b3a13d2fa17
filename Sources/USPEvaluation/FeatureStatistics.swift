// Mean and covariance of feature vectors, gathered batch by batch in double.

import USPBase
import USPTensor

/// What the Fréchet distance knows of a set of images.
public struct FeatureStatistics: Sendable {
    /// D.
    package let width: Int
    /// Samples behind the statistics; 0 = not known (read from a file of mu and sigma).
    package let count: Int
    /// `[D]`
    package let mean: [Double]
    /// `[D, D]`, with divisor N − 1.
    package let covariance: [Double]

    /// - Throws: `.shape` if the sizes do not fit, `.argument` for values that no features have.
    package init(count: Int, mean: [Double], covariance: [Double]) throws(USPError) {
        try require(
            !mean.isEmpty && covariance.count == mean.count * mean.count, .shape,
            "feature statistics: mean [\(mean.count)] and \(covariance.count) covariances")
        try require(
            mean.allSatisfy(\.isFinite) && covariance.allSatisfy(\.isFinite), .argument,
            "feature statistics: a value is not finite")
        try checkWidth(mean.count)
        try checkSymmetric(covariance, mean.count)
        width = mean.count
        self.count = count
        self.mean = mean
        self.covariance = covariance
    }
}

/// Gathers `FeatureStatistics`.
package struct FeatureAccumulator {
    /// Rows that one product takes.
    private static let blockRows = 512

    package let width: Int
    package private(set) var count = 0
    /// The first row: sums are taken about it, so that large means cost no digits.
    private var origin: [Double] = []
    private var sums: [Double]
    private var products: [Double]

    /// - width: D, 1 to 16384.
    package init(width: Int) throws(USPError) {
        try checkWidth(width)
        self.width = width
        try SystemMemory.expect(width * (width + FeatureAccumulator.blockRows), of: Double.self)
        sums = [Double](repeating: 0, count: width)
        products = [Double](repeating: 0, count: width * width)
    }

    /// Adds the rows of `[N, D]` f32.
    ///
    /// - Throws: `.shape`; `.argument` with the row if a value is not finite.
    package mutating func add(_ features: Tensor) throws(USPError) {
        try checkFeatures(features, "features", width: width)
        let rows = features.shape[0]
        for first in stride(from: 0, to: rows, by: FeatureAccumulator.blockRows) {
            let taken = min(FeatureAccumulator.blockRows, rows - first)
            try addBlock(features.floats + first * width, taken)
        }
    }

    private mutating func addBlock(
        _ values: UnsafePointer<Float>, _ rows: Int
    ) throws(USPError) {
        if origin.isEmpty { origin = (0..<width).map { Double(values[$0]) } }
        var block = [Double](repeating: 0, count: rows * width)
        for row in 0..<rows {
            for column in 0..<width {
                let index = row * width + column
                block[index] = Double(values[index]) - origin[column]
                sums[column] += block[index]
            }
        }
        try LinearAlgebra.addGram(block, rows: rows, width, into: &products)
        count += rows
    }

    /// - Throws: `.argument` for fewer than two samples.
    package func statistics() throws(USPError) -> FeatureStatistics {
        try require(count >= 2, .argument, "feature statistics need 2 samples, got \(count)")
        try SystemMemory.expect(width * width, of: Double.self)
        let number = Double(count)
        let shifted = sums.map { $0 / number }
        var covariance = products
        for i in 0..<width {
            for j in 0..<width {
                covariance[i * width + j] =
                    (covariance[i * width + j] - number * shifted[i] * shifted[j]) / (number - 1)
            }
        }
        return try FeatureStatistics(
            count: count, mean: zip(origin, shifted).map(+), covariance: covariance)
    }
}

private func checkWidth(_ width: Int) throws(USPError) {
    try require(
        (1...16384).contains(width), .argument, "feature width: expected 1 to 16384, got \(width)")
}

/// Throws if a variance is negative, or a covariance is not the same both ways but for rounding.
private func checkSymmetric(_ covariance: [Double], _ n: Int) throws(USPError) {
    let tolerance = 1e-6 * covariance.reduce(0) { max($0, abs($1)) }
    for i in 0..<n {
        try require(
            covariance[i * n + i] >= -tolerance, .argument,
            "covariance [\(i), \(i)]: is \(covariance[i * n + i]), expected 0 or more")
        for j in 0..<i where abs(covariance[i * n + j] - covariance[j * n + i]) > tolerance {
            throw USPError(
                .argument,
                "covariance: [\(i), \(j)] is \(covariance[i * n + j]), but [\(j), \(i)] is "
                    + "\(covariance[j * n + i])")
        }
    }
}

/// Throws unless the tensor is f32 `[N, D]`, all finite, with N > 0 (and D = width).
func checkFeatures(_ features: Tensor, _ name: String, width: Int? = nil) throws(USPError) {
    try require(
        features.dtype == .float32 && features.shape.rank == 2 && features.count > 0
            && (width == nil || features.shape[1] == width), .shape,
        "\(name): expected non-empty f32 [N, \(width.map(String.init) ?? "D")], "
            + "got \(features.dtype.name) \(features.shape)")
    let values = features.floats
    for index in 0..<features.count where !values[index].isFinite {
        throw USPError(
            .argument, "\(name): row \(index / features.shape[1]) has a value that is not finite")
    }
}
