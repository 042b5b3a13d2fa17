// Precision and recall of a generator by k-nearest-neighbour balls.

import COpenBLAS
import USPBase
import USPTensor

/// Precision: share of samples inside a ball around some reference image; recall: the reverse
/// (Kynkäänniemi et al. 2019). A ball reaches to its centre's k-th neighbour in its own set.
package struct PrecisionRecall: Sendable {
    package let precision: Double
    package let recall: Double

    /// - reference, samples: `[N, D]` and `[M, D]` f32 features; ADM's suite takes 10,000 reference
    ///   images, all samples, and k = 3.
    /// - Throws: `.shape`; `.argument` unless each set has more than k rows.
    package static func of(
        reference: Tensor, samples: Tensor, neighbours k: Int = 3
    ) throws(USPError) -> PrecisionRecall {
        try checkFeatures(reference, "reference")
        try checkFeatures(samples, "samples", width: reference.shape[1])
        let smallest = min(reference.shape[0], samples.shape[0])
        try require(
            k > 0 && k < smallest, .argument,
            "neighbours: expected 1 to \(smallest - 1), got \(k)")
        let origin = columnMeans(reference)
        let first = try CentredFeatures(reference, origin)
        let second = try CentredFeatures(samples, origin)
        // Of each row its k + 1 nearest, as an array of its own.
        let most = max(reference.shape[0], samples.shape[0])
        try SystemMemory.expect(
            try CheckedMath.multiply(most, k + 16, "neighbours"), of: Float.self)
        let (firstRadii, secondRadii) = (radii(first, k), radii(second, k))
        return PrecisionRecall(
            precision: share(of: second, inside: first, firstRadii),
            recall: share(of: first, inside: second, secondRadii))
    }

    /// Squared distance of each row to its k-th neighbour (the row itself is the 0th).
    private static func radii(_ set: CentredFeatures, _ k: Int) -> [Float] {
        perRow(set, against: set, start: [Float](repeating: .infinity, count: k + 1)) {
            nearest, distance, _ in
            guard distance < nearest[k] else { return }
            var place = k
            while place > 0 && nearest[place - 1] > distance {
                nearest[place] = nearest[place - 1]
                place -= 1
            }
            nearest[place] = distance
        }.map { $0[k] }
    }

    private static func share(
        of set: CentredFeatures, inside other: CentredFeatures, _ radii: [Float]
    ) -> Double {
        let inside = perRow(set, against: other, start: false) { found, distance, column in
            if distance <= radii[column] { found = true }
        }
        return Double(inside.count { $0 }) / Double(set.rows)
    }

    /// Folds the squared distances of each row of `set` to all rows of `other`, block by block.
    private static func perRow<Result: Sendable>(
        _ set: CentredFeatures, against other: CentredFeatures, start: Result,
        _ fold: (inout Result, _ distance: Float, _ column: Int) -> Void
    ) -> [Result] {
        openblas_set_num_threads(1)
        let (blockRows, blockColumns) = (64, 1024)
        var results = [Result](repeating: start, count: set.rows)
        results.withUnsafeMutableBufferPointer { results in
            let results = results
            parallelRanges(set.rows, grain: blockRows) { rows in
                var products = [Float](repeating: 0, count: blockRows * blockColumns)
                for first in stride(from: 0, to: other.rows, by: blockColumns) {
                    let columns = min(blockColumns, other.rows - first)
                    set.products(rows, other, first..<first + columns, into: &products)
                    for row in rows {
                        let line = (row - rows.lowerBound) * columns
                        for column in 0..<columns {
                            let square = set.squares[row] + other.squares[first + column]
                            let distance = max(square - 2 * products[line + column], 0)
                            fold(&results[row], distance, first + column)
                        }
                    }
                }
            }
        }
        return results
    }

    private static func columnMeans(_ features: Tensor) -> [Float] {
        let (rows, width) = (features.shape[0], features.shape[1])
        var sums = [Double](repeating: 0, count: width)
        for row in 0..<rows {
            let values = features.floats + row * width
            for column in 0..<width { sums[column] += Double(values[column]) }
        }
        return sums.map { Float($0 / Double(rows)) }
    }
}

/// Features about a common origin (distances keep, rounding shrinks), and their squared norms.
private struct CentredFeatures {
    let rows: Int
    let width: Int
    let tensor: Tensor
    let squares: [Float]

    init(_ features: Tensor, _ origin: [Float]) throws(USPError) {
        (rows, width) = (features.shape[0], features.shape[1])
        tensor = try features.copied()
        var squares = [Float](repeating: 0, count: rows)
        for row in 0..<rows {
            let values = tensor.floats + row * width
            var sum = 0.0
            for column in 0..<width {
                values[column] -= origin[column]
                sum += Double(values[column]) * Double(values[column])
            }
            squares[row] = Float(sum)
        }
        self.squares = squares
    }

    /// Inner products of our rows with the other's, `[rows.count, columns.count]`.
    func products(
        _ rows: Range<Int>, _ other: CentredFeatures, _ columns: Range<Int>,
        into result: inout [Float]
    ) {
        cblas_sgemm(
            CblasRowMajor, CblasNoTrans, CblasTrans, Int32(rows.count), Int32(columns.count),
            Int32(width), 1, tensor.floats + rows.lowerBound * width, Int32(width),
            other.tensor.floats + columns.lowerBound * width, Int32(width), 0, &result,
            Int32(columns.count))
    }
}
