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

    /// How often pixels of each true class were predicted as each class: `[K, K]`, i64, true
    /// classes in rows; sums over images add up.
    ///
    /// - predicted, target: u8 or i64, of one shape
    /// - Throws: `.argument` for a class outside of 0 ..< classes whose target is not `ignored`
    public static func confusion(
        predicted: Tensor, target: Tensor, classes: Int, ignored: Int = 255
    ) throws(USPError) -> Tensor {
        var confusion = try Confusion(classes: classes, ignored: ignored)
        try confusion.add(predicted: predicted, target: target)
        let result = try Tensor([classes, classes], .int64)
        result.raw.assumingMemoryBound(to: Int64.self).update(
            from: confusion.matrix, count: classes * classes)
        return result
    }

    /// What a confusion matrix says; nil where nothing is defined.
    public struct SegmentationScores: Sendable {
        /// Share of all labelled pixels that is right.
        public let accuracy: Double?
        /// Mean over the classes that are labelled or predicted.
        public let meanIoU: Double?
        /// Mean over the classes that are labelled.
        public let meanAccuracy: Double?
        /// Intersection over union of each class.
        public let iou: [Double?]
        /// Share of each class's pixels that is right.
        public let classAccuracy: [Double?]
    }

    /// The scores of a confusion matrix `[K, K]`, i64.
    public static func segmentationScores(
        _ confusion: Tensor
    ) throws(USPError) -> SegmentationScores {
        let shape = confusion.shape
        try require(
            shape.rank == 2 && shape[0] == shape[1] && confusion.dtype == .int64, .shape,
            "confusion: \(confusion.dtype.name) \(shape), expected i64 [K, K]")
        try SystemMemory.expect(confusion.count, of: Int64.self)
        let counts = UnsafeBufferPointer(
            start: confusion.raw.assumingMemoryBound(to: Int64.self), count: confusion.count)
        let score = try SegmentationScore(Array(counts), classes: shape[0])
        return SegmentationScores(
            accuracy: score.pixelAccuracy, meanIoU: score.meanIntersectionOverUnion,
            meanAccuracy: score.meanAccuracy, iou: score.intersectionOverUnion,
            classAccuracy: score.classAccuracy)
    }

    /// Mean intersection over union of label maps over the classes that occur; nil if none does.
    public static func meanIntersectionOverUnion(
        predicted: Tensor, target: Tensor, classes: Int, ignored: Int = 255
    ) throws(USPError) -> Double? {
        var confusion = try Confusion(classes: classes, ignored: ignored)
        try confusion.add(predicted: predicted, target: target)
        return try SegmentationScore(confusion).meanIntersectionOverUnion
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
