import TestSupport
import Testing
import USPBase
import USPEvaluation
import USPTensor

/// The sets that NumPy and SciPy computed the expected values from (`torch.manual_seed`, `randn`).
private func sets() throws -> (Tensor, Tensor) {
    var random = TorchRandom(seed: 3)
    let first = try Tensor([300, 6], random.normal(count: 1800))
    let second = try Tensor([200, 6], random.normal(count: 1200).map { $0 * 1.5 + 0.3 })
    return (first, second)
}

private func statistics(_ features: Tensor, batch: Int) throws -> FeatureStatistics {
    var gathered = try FeatureAccumulator(width: features.shape[1])
    for first in stride(from: 0, to: features.shape[0], by: batch) {
        let rows = first..<min(first + batch, features.shape[0])
        try gathered.add(try features.detachedRows(rows))
    }
    return try gathered.statistics()
}

@Suite struct DistributionMetricsTests {
    @Test func frechetDistanceMatchesTheGeneralSquareRoot() throws {
        let (first, second) = try sets()
        let (a, b) = (try statistics(first, batch: 77), try statistics(second, batch: 200))
        let distance = try FrechetDistance.between(a, b)
        #expect(abs(distance.value - 2.3344207751228474) < 1e-6)
        #expect(abs(distance.meanTerm - 0.8868130715351159) < 1e-6)
        #expect(distance.warnings.count == 2)
        #expect(try FrechetDistance.between(a, a).value < 1e-10)
        let swapped = try FrechetDistance.between(b, a)
        #expect(abs(swapped.value - distance.value) < 1e-10)
    }

    @Test func frechetDistanceOfSingularSetsIsFiniteAndTold() throws {
        var random = TorchRandom(seed: 1)
        let few = try Tensor([5, 40], random.normal(count: 200))
        let many = try Tensor([60, 40], random.normal(count: 2400))
        let (a, b) = (try statistics(few, batch: 2), try statistics(many, batch: 60))
        let distance = try FrechetDistance.between(a, b)
        #expect(distance.value.isFinite && distance.value > 0)
        #expect(distance.warnings.first?.contains("singular") == true)
        #expect(try FrechetDistance.between(a, a).value < 1e-6)
    }

    /// Whole numbers, which f32 holds exactly with and without 2²³; their squares are beyond f64.
    @Test func largeMeansCostNoDigits() throws {
        let first = try Tensor([300, 6], (0..<1800).map { Float($0 * 7 % 11) })
        let shifted = try Tensor([300, 6], first.values.map { $0 + 0x1p23 })
        let (a, b) = (try statistics(first, batch: 50), try statistics(shifted, batch: 50))
        for (x, y) in zip(a.covariance, b.covariance) { #expect(abs(x - y) < 1e-10) }
        #expect(zip(a.mean, b.mean).allSatisfy { abs($0 + 0x1p23 - $1) < 1e-8 })
    }

    @Test func fewSamplesAreTold() throws {
        func warnings(_ count: Int, width: Int = 1) throws -> [String] {
            var identity = [Double](repeating: 0, count: width * width)
            for i in 0..<width { identity[i * width + i] = 1 }
            let mean = [Double](repeating: 0, count: width)
            let set = try FeatureStatistics(count: count, mean: mean, covariance: identity)
            let other = try FeatureStatistics(count: 0, mean: mean, covariance: identity)
            return try FrechetDistance.between(set, other).warnings
        }
        #expect(try warnings(3, width: 3).first?.contains("singular") == true)
        #expect(try warnings(4, width: 3).first?.contains("only 4 samples") == true)
        #expect(try warnings(2047).count == 1 && warnings(2048).isEmpty && warnings(0).isEmpty)
    }

    /// Rounding makes eigenvalues and distances of 0 negative now and then.
    @Test func distancesAreNeverNegative() throws {
        var random = TorchRandom(seed: 5)
        for count in 2..<40 {
            let few = try Tensor([count, 30], random.normal(count: count * 30))
            let set = try statistics(few, batch: count)
            let value = try FrechetDistance.between(set, set).value
            #expect(value >= 0 && value < 1e-6)
        }
    }

    @Test func inceptionScoreBySplits() throws {
        var random = TorchRandom(seed: 4)
        let logits = try Tensor([50, 10], random.normal(count: 500).map { $0 * 2 })
        let split = try InceptionScore.of(logits, splitSize: 20)
        #expect(abs(split.mean - 2.4806089162537646) < 1e-5)
        #expect(abs(split.deviation - 0.0812009712347439) < 1e-5)
        #expect(abs(try InceptionScore.of(logits).mean - 2.5920505246453485) < 1e-5)
    }

    @Test func precisionAndRecallByNeighbours() throws {
        let (reference, samples) = try sets()
        let three = try PrecisionRecall.of(reference: reference, samples: samples)
        #expect(abs(three.precision - 0.58) < 1e-9)
        #expect(abs(three.recall - 0.9733333333333334) < 1e-9)
        let one = try PrecisionRecall.of(reference: reference, samples: samples, neighbours: 1)
        #expect(abs(one.precision - 0.41) < 1e-9)
        #expect(abs(one.recall - 0.8066666666666666) < 1e-9)
    }

    /// On a line: balls reach to the neighbour, which lies on their edge, and the edge is inside.
    @Test func ballsHaveTheirEdges() throws {
        let reference = try Tensor([4, 1], [0, 1, 2, 4])
        let samples = try Tensor([4, 1], [3, 6.5, -1, -1.5])
        // The reference's radii are 1, 1, 1, 2: 3 and −1 lie on edges, 6.5 and −1.5 outside. The
        // samples' are 3.5, 3.5, 0.5, 0.5: 0, 1, 2 and 4 lie within 3.5 of 3.
        let scores = try PrecisionRecall.of(
            reference: reference, samples: samples, neighbours: 1)
        #expect(scores.precision == 0.5 && scores.recall == 1)
    }

    @Test func badFeaturesAreTold() throws {
        let (first, second) = try sets()
        first.floats[13] = .nan
        #expect(throws: USPError(.argument, "features: row 2 has a value that is not finite")) {
            _ = try statistics(first, batch: 300)
        }
        #expect(throws: USPError(.argument, "neighbours: expected 1 to 199, got 200")) {
            _ = try PrecisionRecall.of(reference: second, samples: second, neighbours: 200)
        }
    }
}

@Test func imageFeaturesAreGatheredBatchByBatch() throws {
    let (pool, spatial) = (try normalTensor([7, 5], seed: 1), try normalTensor([7, 4], seed: 2))
    let logits = try normalTensor([7, 3], seed: 3)
    var gathered = try ImageFeatures(count: 7, pool: 5, spatial: 4, logits: 3)
    func add(_ rows: Range<Int>) throws {
        try gathered.add(
            pool: pool.detachedRows(rows), spatial: spatial.detachedRows(rows),
            logits: logits.detachedRows(rows))
    }
    for rows in [0..<3, 3..<6, 6..<7] { try add(rows) }
    #expect(gathered.added == 7)
    #expect(gathered.pool.values == pool.values && gathered.logits.values == logits.values)
    var accumulator = try FeatureAccumulator(width: 4)
    try accumulator.add(spatial)
    let (own, expected) = (try gathered.spatialStatistics(), try accumulator.statistics())
    #expect(own.count == 7 && own.mean == expected.mean)
    #expect(zip(own.covariance, expected.covariance).allSatisfy { abs($0 - $1) < 1e-12 })
    #expect(throws: USPError.self) { try add(0..<1) }
}
