// Numbers that say how good images or predictions are.

import USPBase
import USPEvaluation
import USPTensor

/// Scores of generated images and of classifiers, from features, logits or label maps.
public enum Evaluate {
    /// Fréchet distance between two sets of features `[N, D]`, `[M, D]`: FID, over Inception's.
    ///
    /// - Throws: for different widths, and for fewer than two samples.
    public static func frechetDistance(_ a: Tensor, _ b: Tensor) throws(USPError) -> Double {
        try FrechetDistance.between(statistics(a, "a"), statistics(b, "b")).value
    }

    /// The same from means `[D]` and covariances `[D, D]`, as reference files store them.
    public static func frechetDistance(
        means: ([Double], [Double]), covariances: ([Double], [Double])
    ) throws(USPError) -> Double {
        let a = try FeatureStatistics(count: 0, mean: means.0, covariance: covariances.0)
        let b = try FeatureStatistics(count: 0, mean: means.1, covariance: covariances.1)
        return try FrechetDistance.between(a, b).value
    }

    /// Inception score of logits `[N, K]` over consecutive splits: mean and deviation over them.
    public static func inceptionScore(
        _ logits: Tensor, splitSize: Int = 5000
    ) throws(USPError) -> (mean: Double, deviation: Double) {
        let score = try InceptionScore.of(logits, splitSize: splitSize)
        return (score.mean, score.deviation)
    }

    /// Improved precision and recall of samples `[M, D]` against a reference `[N, D]`.
    public static func precisionRecall(
        reference: Tensor, samples: Tensor, neighbours: Int = 3
    ) throws(USPError) -> (precision: Double, recall: Double) {
        let scores = try PrecisionRecall.of(
            reference: reference, samples: samples, neighbours: neighbours)
        return (scores.precision, scores.recall)
    }

    /// Share of samples whose label is among the k largest of its logits `[N, K]`.
    public static func accuracy(
        _ logits: Tensor, labels: [Int], top k: Int = 1
    ) throws(USPError) -> Double {
        var accuracy = try TopAccuracy([k])
        try accuracy.add(logits, labels: labels)
        return accuracy.shares[0]
    }

    /// Mean intersection over union of label maps over the classes that occur; nil if none does.
    public static func meanIntersectionOverUnion(
        predicted: [Int], labels: [Int], classes: Int, ignored: Int = 255
    ) throws(USPError) -> Double? {
        var score = try SegmentationScore(classes: classes, ignored: ignored)
        try score.add(predicted: predicted, labels: labels)
        return score.meanIntersectionOverUnion
    }

    private static func statistics(
        _ features: Tensor, _ name: String
    ) throws(USPError) -> FeatureStatistics {
        try locating(name) { () throws(USPError) in
            try require(
                features.shape.rank == 2, .shape, "shape \(features.shape), expected [N, D]")
            var accumulator = try FeatureAccumulator(width: features.shape[1])
            try accumulator.add(features)
            return try accumulator.statistics()
        }
    }
}
