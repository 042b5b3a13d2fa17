// Cosines between rows: what alignment with a teacher and cosine losses are made of.

import CKernels
import USPBase

extension Context {
    /// cos(a, b) = a·b / (max(‖a‖, ε)·max(‖b‖, ε)) of each pair of rows: torch's
    /// `cosine_similarity`, and the product of `normalize`d rows.
    ///
    /// - a, b: `[.., D]`, f32, of one shape
    /// - epsilon: 1e-8 in `cosine_similarity`, 1e-12 in `normalize`
    /// - Returns: `[..]`, f32
    /// - Throws: `.shape`, `.memory`
    package func cosineSimilarity(
        _ a: Tensor, _ b: Tensor, epsilon: Float
    ) throws(USPError) -> Tensor {
        try require(
            a.shape == b.shape && a.shape.rank > 0 && a.dtype == .float32 && b.dtype == .float32,
            .shape, "cosine similarity: \(a.shape) and \(b.shape)")
        let (rows, width) = (a.shape.rows, a.shape[-1])
        let y = try Tensor(Shape(Array(a.shape.extents.dropLast())))
        let (x, z, result) = (a.floats, b.floats, y.floats)
        parallelRanges(rows, grain: rowGrain(width: width)) { range in
            let at = range.lowerBound
            uspi_cosine_rows(
                x + at * width, z + at * width, range.count, width, epsilon, result + at)
        }
        tape?.record(y, inputs: [a, b]) { [tape] gradient throws(USPError) in
            let dy = gradient.floats
            for (input, other) in [(a, b), (b, a)] {
                guard let target = try tape?.target(for: input) else { continue }
                let (x, z, dx) = (input.floats, other.floats, target.tensor.floats)
                let accumulates: Int32 = target.accumulates ? 1 : 0
                parallelRanges(rows, grain: rowGrain(width: width)) { range in
                    let at = range.lowerBound
                    uspi_cosine_rows_backward(
                        x + at * width, z + at * width, dy + at, range.count, width, epsilon,
                        dx + at * width, accumulates)
                }
            }
        }
        return y
    }
}
