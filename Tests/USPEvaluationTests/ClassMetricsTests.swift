import Testing
import USPBase
import USPEvaluation
import USPTensor

@Suite struct ClassMetricsTests {
    @Test func topAccuracyCountsSamplesAlike() throws {
        var accuracy = try TopAccuracy([1, 2])
        try accuracy.add(
            try Tensor([3, 3], [0.1, 0.7, 0.2, 3, 1, 2, -.infinity, 0, 1]), labels: [1, 2, 0])
        let expected = [1.0 / 3, 2.0 / 3]
        #expect(accuracy.shares == expected)
        try accuracy.add(try Tensor([1, 3], [5, 5, 5]), labels: [0])
        #expect(accuracy.count == 4)
        #expect(accuracy.shares == [0.5, 0.75])
        // The equal ones before a label count against it.
        try accuracy.add(try Tensor([1, 3], [5, 5, 5]), labels: [2])
        #expect(accuracy.shares == [0.4, 0.6])
        #expect(throws: USPError(.argument, "label 3 of sample 0: expected 0 to 2")) {
            try accuracy.add(try Tensor([1, 3], [5, 5, 5]), labels: [3])
        }
        let told = "logits: row 1 has NaN for class 2, expected a number"
        #expect(throws: USPError(.argument, told)) {
            try accuracy.add(try Tensor([2, 3], [5, 5, 5, 5, 5, .nan]), labels: [0, 1])
        }
        #expect(throws: USPError(.shape, "logits: shape [0, 3], expected at least one sample")) {
            try accuracy.add(try Tensor([0, 3], []), labels: [])
        }
    }

    /// Of u8 and i64 maps alike, and of both together.
    @Test(arguments: [DType.uint8, .int64], [DType.uint8, .int64])
    func meanIntersectionOverUnionOfClassesThatOccur(_ first: DType, _ second: DType) throws {
        var confusion = try Confusion(classes: 4)
        try confusion.add(
            predicted: map([0, 0, 1, 1, 2], first), target: map([0, 1, 1, 1, 255], second))
        let score = try SegmentationScore(confusion)
        let expected: [Double?] = [0.5, 2.0 / 3, nil, nil]
        #expect(score.intersectionOverUnion == expected)
        let meanUnion: Double? = (0.5 + 2.0 / 3) / 2
        #expect(score.meanIntersectionOverUnion == meanUnion)
        #expect(score.pixelAccuracy == 0.75)
        let meanAccuracy: Double? = (1 + 2.0 / 3) / 2
        #expect(score.meanAccuracy == meanAccuracy)
        let told =
            "pixel 1: label 0, prediction 4, expected 4 classes, 0 to 3, or the label 255 to ignore"
        #expect(throws: USPError(.argument, told)) {
            try confusion.add(predicted: map([0, 4], first), target: map([0, 0], second))
        }
        #expect(throws: USPError.self) {
            try confusion.add(predicted: map([0, 0], first), target: map([0, 4], second))
        }
    }

    /// mmseg's rules: a class that is only predicted has no accuracy and an IoU of 0.
    @Test func classesThatAreOnlyPredicted() throws {
        let score = try SegmentationScore([2, 1, 0, 0, 0, 0, 1, 0, 0], classes: 3)
        let (union, accuracy): ([Double?], [Double?]) = ([0.5, 0, 0], [2.0 / 3, nil, 0])
        #expect(score.intersectionOverUnion == union)
        #expect(score.classAccuracy == accuracy)
        #expect(score.meanAccuracy == 1.0 / 3)
        let empty = try SegmentationScore([0], classes: 1)
        #expect(empty.pixelAccuracy == nil && empty.meanIntersectionOverUnion == nil)
        #expect(throws: USPError.self) { try SegmentationScore([1, -1, 0, 0], classes: 2) }
        #expect(throws: USPError.self) { try SegmentationScore([.max, 1, 0, 0], classes: 2) }
    }

    private func map(_ labels: [Int64], _ dtype: DType) throws -> Tensor {
        let result = try Tensor([labels.count], dtype)
        for (index, label) in labels.enumerated() {
            if dtype == .uint8 {
                result.raw.assumingMemoryBound(to: UInt8.self)[index] = UInt8(label)
            } else {
                result.raw.assumingMemoryBound(to: Int64.self)[index] = label
            }
        }
        return result
    }
}
