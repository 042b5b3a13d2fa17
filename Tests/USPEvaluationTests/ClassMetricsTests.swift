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

    @Test func meanIntersectionOverUnionOfClassesThatOccur() throws {
        var score = try SegmentationScore(classes: 4)
        try score.add(predicted: [0, 0, 1, 1, 2], labels: [0, 1, 1, 1, 255])
        let expected: [Double?] = [0.5, 2.0 / 3, nil, nil]
        #expect(score.intersectionOverUnion == expected)
        let meanUnion: Double? = (0.5 + 2.0 / 3) / 2
        #expect(score.meanIntersectionOverUnion == meanUnion)
        #expect(score.pixelAccuracy == 0.75)
        let meanAccuracy: Double? = (1 + 2.0 / 3) / 2
        #expect(score.meanAccuracy == meanAccuracy)
        #expect(
            throws: USPError(.argument, "pixel 1: label 0, prediction 4, expected 4 classes")
        ) { try score.add(predicted: [0, 4], labels: [0, 0]) }
    }

    @Test func zeroLabelIsReduced() throws {
        var score = try SegmentationScore(classes: 2, reducesZeroLabel: true)
        try score.add(predicted: [0, 1, 1, 0], labels: [0, 1, 2, 255])
        let expected: [Double?] = [0, 0.5]
        #expect(score.intersectionOverUnion == expected)
    }
}
