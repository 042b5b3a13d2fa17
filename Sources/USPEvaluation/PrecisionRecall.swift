// Precision and recall of a generator by k-nearest-neighbour balls.

import USPBase
import USPTensor

/// Precision: share of samples inside a ball around some reference image; recall: the reverse
/// (Kynkäänniemi et al. 2019). A ball reaches to its centre's k-th neighbour in its own set.
public struct PrecisionRecall: Sendable {
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
        let (firstRadii, secondRadii) = (try radii(first, k), try radii(second, k))
        return PrecisionRecall(
            precision: try share(of: second, inside: first, firstRadii),
            recall: try share(of: first, inside: second, secondRadii))
    }

    /// Squared distance of each row to its k-th neighbour (the row itself is the 0th).
    private static func radii(_ set: CentredFeatures, _ k: Int) throws(USPError) -> [Float] {
        try perRow(set, against: set, start: [Float](repeating: .infinity, count: k + 1)) {
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
    ) throws(USPError) -> Double {
        let inside = try perRow(set, against: other, start: false) { found, distance, column in
            if distance <= radii[column] { found = true }
        }
        return Double(inside.count { $0 }) / Double(set.rows)
    }

    /// Folds the squared distances of each row of `set` to all rows of `other`, block by block.
    private static func perRow<Result: Sendable>(
        _ set: CentredFeatures, against other: CentredFeatures, start: Result,
        _ fold: (inout Result, _ distance: Float, _ column: Int) -> Void
    ) throws(USPError) -> [Result] {
        let (blockRows, blockColumns) = (2048, 1024)
        var results = [Result](repeating: start, count: set.rows)
        let products = try Tensor([min(blockRows, set.rows), blockColumns])
        for first in stride(from: 0, to: other.rows, by: blockColumns) {
            let columns = first..<min(first + blockColumns, other.rows)
            let packed = try other.packed(columns)
            for top in stride(from: 0, to: set.rows, by: blockRows) {
                let rows = top..<min(top + blockRows, set.rows)
                try set.multiply(rows, packed, into: products)
                results.withUnsafeMutableBufferPointer { results in
                    let (results, line) = (results, products.floats)
                    parallelRanges(rows.count, grain: 64) { range in
                        for row in range {
                            let products = line + row * columns.count
                            for column in columns {
                                let square = set.squares[top + row] + other.squares[column]
                                let distance = max(square - 2 * products[column - first], 0)
                                fold(&results[top + row], distance, column)
                            }
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

    /// Some rows as the right factor of products.
    func packed(_ rows: Range<Int>) throws(USPError) -> PackedMatrix {
        let columns = MatrixView(tensor.raw + rows.lowerBound * width * 4, row: width).transposed
        return try USPTensor.packed(columns, k: width, n: rows.count, compute: .float32)
    }

    /// Inner products of our rows with the others', `[rows.count, others]`.
    func multiply(
        _ rows: Range<Int>, _ others: PackedMatrix, into products: Tensor
    ) throws(USPError) {
        try USPTensor.multiply(
            MatrixView(tensor.raw + rows.lowerBound * width * 4, row: width), others,
            rows: rows.count, into: MatrixView(products.raw, row: others.n))
    }
}
