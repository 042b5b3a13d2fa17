// The inception score: how sure a classifier is of each image, and how varied over all.

import Glibc
import USPBase
import USPTensor

/// exp(E KL(p(y|x) ‖ p(y))) over consecutive splits (Salimans et al. 2016).
package struct InceptionScore: Sendable {
    /// Mean and standard deviation (divisor: number of splits) over the splits.
    package let mean: Double
    package let deviation: Double
    package let splits: [Double]

    /// - logits: `[N, K]` f32, before softmax (for Inception: without the last layer's bias).
    /// - splitSize: images of a split, in the given order; ADM's suite has 5000. The last may be
    ///   smaller.
    package static func of(_ logits: Tensor, splitSize: Int = 5000) throws(USPError)
        -> InceptionScore
    {
        try checkFeatures(logits, "logits")
        try require(splitSize > 0, .argument, "split size: expected above 0, got \(splitSize)")
        let rows = logits.shape[0]
        let scores = stride(from: 0, to: rows, by: splitSize).map { first in
            score(logits, first..<min(first + splitSize, rows))
        }
        let mean = scores.reduce(0, +) / Double(scores.count)
        let variance = scores.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(scores.count)
        return InceptionScore(mean: mean, deviation: variance.squareRoot(), splits: scores)
    }

    /// E KL is E Σ p log p − Σ m log m with the marginal m.
    private static func score(_ logits: Tensor, _ rows: Range<Int>) -> Double {
        let classes = logits.shape[1]
        var marginal = [Double](repeating: 0, count: classes)
        var negativeEntropy = 0.0
        for row in rows {
            let values = logits.floats + row * classes
            var top = -Double.infinity
            for k in 0..<classes { top = max(top, Double(values[k])) }
            var total = 0.0
            for k in 0..<classes { total += exp(Double(values[k]) - top) }
            let normaliser = top + log(total)
            for k in 0..<classes {
                let logProbability = Double(values[k]) - normaliser
                let probability = exp(logProbability)
                marginal[k] += probability
                negativeEntropy += probability * logProbability
            }
        }
        let count = Double(rows.count)
        let marginalTerm = marginal.reduce(0) { sum, value in
            value > 0 ? sum + value / count * log(value / count) : sum
        }
        return exp(negativeEntropy / count - marginalTerm)
    }
}
