// Augmentations against the bytes of Pillow, timm and OpenCV, on every instruction set, and the
// distributions of what is drawn.

import CKernels
import TestSupport
import Testing
import USPBase
import USPData
import USPFiles
import USPTensor

/// On every instruction set of the machine.
private func onAllSets(_ body: () throws -> Void) rethrows {
    try alone {
        for level in 0...uspi_isa() {
            useInstructions(level)
            try body()
        }
    }
}

private func image(_ golden: GoldenCase, _ key: String) throws -> PixelImage {
    let found = try #require(golden.bytes[key])
    return try PixelImage(
        width: found.shape[1], height: found.shape[0],
        channels: found.shape.count == 3 ? found.shape[2] : 1, pixels: found.values)
}

private func names(_ golden: GoldenCase, _ prefix: String) -> [String] {
    golden.bytes.keys.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
        .sorted()
}

@Suite(.serialized) struct AugmentGoldenTests {
    @Test func operationsArePillows() throws {
        let golden = try GoldenCase("augment/operations")
        try onAllSets {
            for key in names(golden, "out.") {
                let parts = key.split(separator: ".", maxSplits: 2).map(String.init)
                let operation = try AugmentOperation.named(parts[1])
                let made = try image(golden, "in.\(parts[0])").augmented(
                    operation, parts[2] == "None" ? nil : Double(parts[2]))
                #expect(try made == image(golden, "out.\(key)"), "\(key)")
            }
        }
    }

    @Test func evaluationIsPillows() throws {
        let golden = try GoldenCase("augment/evaluation")
        try onAllSets {
            for key in names(golden, "in.") {
                let size = try #require(Int(key.split(separator: ".")[1]))
                let made = try ImageTransform.evaluation(size).geometry(
                    image(golden, "in.\(key)"), RandomKey(seed: 0))
                #expect(try made == image(golden, "out.\(key)"), "\(key)")
            }
        }
    }

    @Test func resizingIsOpenCVs() throws {
        let golden = try GoldenCase("augment/segmentation")
        try onAllSets {
            for key in names(golden, "out.image.") {
                let sides = key.split(separator: "x").compactMap { Int($0) }
                let size = ImageSize(sides[0], sides[1])
                let picture = try image(golden, "in.image").rescaled(to: size)
                #expect(try picture == image(golden, "out.image.\(key)"), "\(key)")
                let labels = try image(golden, "in.labels").rescaledNearest(to: size)
                #expect(try labels == image(golden, "out.labels.\(key)"), "\(key)")
            }
        }
    }

    @Test func coloursAreOpenCVs() throws {
        let golden = try GoldenCase("augment/segmentation")
        let wide = try image(golden, "in.wide")
        var (saturated, turned) = (PhotometricDistortion(), PhotometricDistortion())
        (saturated.saturation, turned.hue) = (1.37, -18)
        try onAllSets {
            for (name, distortion) in [("saturation", saturated), ("hue", turned)] {
                let made = try wide.distorted(distortion).pixels
                let expected = try image(golden, "out.\(name)").pixels
                let differences = zip(made, expected).map { abs(Int($0) - Int($1)) }
                #expect(differences.allSatisfy { $0 <= 1 })
                #expect(differences.count { $0 > 0 } < differences.count / 100)
            }
        }
    }
}

@Suite struct RandAugmentTests {
    @Test func textsOfTimm() throws {
        #expect(try RandAugment(timm: "rand-m9-mstd0.5-inc1") == RandAugment())
        var other = RandAugment()
        (other.magnitude, other.deviation, other.layers) = (7, 101, 3)
        (other.probability, other.increasing) = (0.7, false)
        #expect(try RandAugment(timm: "rand-m7-n3-mstd101-p0.7") == other)
        #expect(throws: USPError.self) { try RandAugment(timm: "augmix-m3") }
        #expect(throws: USPError.self) { try RandAugment(timm: "rand-m11") }
        #expect(throws: USPError.self) { try RandAugment(timm: "rand-x3") }
    }

    /// Each of the 15 operations comes, half of what is drawn is applied, arguments spread around
    /// those of the mean magnitude, and both signs come.
    @Test func drawsAsTimm() throws {
        var drawn: [DrawnOperation] = []
        for sample in 0..<8000 {
            var stream = RandomStream(RandomKey(seed: 1).stream(sample))
            drawn += try RandAugment().draw(&stream)
        }
        #expect(abs(drawn.count - 8000) < 300)
        for level in AugmentLevel.increasing {
            let count = drawn.count { $0.operation == level.operation }
            #expect(abs(count - 533) < 110, "\(level)")
        }
        let angles = drawn.filter { $0.operation == .rotate }.compactMap(\.argument)
        #expect(angles.allSatisfy { (20...30).contains(abs($0)) })
        #expect(abs(angles.map(abs).reduce(0, +) / Double(angles.count) - 27) < 0.3)
        let positive = angles.count { $0 > 0 }
        #expect(abs(Double(positive) / Double(angles.count) - 0.5) < 0.1)
        let colours = drawn.filter { $0.operation == .color }.compactMap(\.argument)
        #expect(colours.contains { $0 < 0.4 } && colours.contains { $0 > 1.6 })
        #expect(colours.allSatisfy { ((0.1...0.4).contains($0) || (1.6...1.9).contains($0)) })
    }

    @Test func uniformMagnitudes() throws {
        var policy = RandAugment()
        (policy.deviation, policy.operations, policy.probability) = (200, ["Rotate"], 1)
        var angles: [Double] = []
        for sample in 0..<2000 {
            var stream = RandomStream(RandomKey(seed: 2).stream(sample))
            angles += try policy.draw(&stream).compactMap(\.argument).map(abs)
        }
        #expect(abs(angles.reduce(0, +) / Double(angles.count) - 13.5) < 0.5)
        #expect(angles.contains { $0 < 1 } && angles.contains { $0 > 26 })
    }
}

@Suite struct MixingTests {
    /// Mean 1/2, variance 1 / (4 (2 a + 1)).
    @Test(arguments: [0.2, 0.8, 1, 3]) func sharesHaveABetaDistribution(_ parameter: Double) {
        var mixing = Mixing()
        (mixing.mixup, mixing.unit) = (parameter, .sample)
        var stream = RandomStream(RandomKey(seed: 3))
        let shares = mixing.draw(40000, height: 8, width: 8, &stream).map { Double($0.share) }
        let mean = shares.reduce(0, +) / 40000
        let spread = shares.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / 40000
        #expect(abs(mean - 0.5) < 0.01)
        #expect(abs(spread * 4 * (2 * parameter + 1) - 1) < 0.03)
    }

    /// The share is what the box leaves; it is even in the mean, as both are.
    @Test func boxesAndSharesAgree() {
        var mixing = Mixing()
        (mixing.mixup, mixing.cutmix, mixing.unit) = (0.8, 1, .sample)
        var stream = RandomStream(RandomKey(seed: 4))
        let draws = mixing.draw(4000, height: 14, width: 20, &stream)
        let cut = draws.filter { $0.box != nil }
        #expect(abs(cut.count - 2000) < 130)
        for case let (share, box?) in draws.map({ ($0.share, $0.box) }) {
            #expect(abs(share - (1 - Float(box.width * box.height) / 280)) < 1e-6)
            #expect(box.left >= 0 && box.left + box.width <= 20 && box.top + box.height <= 14)
        }
        mixing.unit = .pair
        let pairs = mixing.draw(6, height: 14, width: 20, &stream)
        #expect(pairs == pairs.reversed() && pairs[0] != pairs[1])
        mixing.unit = .batch
        #expect(Set(mixing.draw(6, height: 14, width: 20, &stream).map(\.share)).count == 1)
        mixing.probability = 0
        #expect(mixing.draw(3, height: 4, width: 4, &stream) == [.none, .none, .none])
    }
}

/// Means over 20,000 boxes of torchvision's `RandomResizedCrop.get_params` and of MAE's variant for
/// probes: top, left, height, width.
@Suite struct RandomCropTests {
    @Test(
        arguments: [
            (300, 200, true, [26.98, 73.88, 145.48, 151.85]),
            (400, 60, true, [2.27, 166.52, 55.47, 66.09]),
            (64, 64, true, [10.37, 10.44, 43.18, 43.17]),
            (300, 200, false, [17.75, 63.28, 164.37, 174.06]),
            (400, 60, false, [0.3, 145.27, 59.39, 110.62]),
            (64, 64, false, [9.41, 9.4, 45.17, 45.28]),
        ])
    func boxesAreTorchvisions(
        _ width: Int, _ height: Int, _ retries: Bool, _ expected: [Double]
    ) {
        var crop = RandomCrop(size: 8)
        crop.retries = retries
        var sums = [0, 0, 0, 0]
        for index in 0..<20000 {
            var stream = RandomStream(RandomKey(seed: 5).stream(index))
            let box = crop.box(width: width, height: height, &stream)
            for (i, value) in [box.top, box.left, box.height, box.width].enumerated() {
                sums[i] += value
            }
        }
        for (sum, mean) in zip(sums, expected) {
            #expect(abs(Double(sum) / 20000 - mean) < 0.1 + 0.012 * mean)
        }
    }
}

@Suite struct SegmentationTransformTests {
    /// A class that fills three quarters of every crop but those over an edge is avoided.
    @Test func cropsAvoidOneClass() throws {
        var labels = [UInt8](repeating: 1, count: 100 * 100)
        for y in 0..<100 { for x in 80..<100 { labels[y * 100 + x] = 2 } }
        let map = try PixelImage(width: 100, height: 100, channels: 1, pixels: labels)
        var transform = SegmentationTransform()
        transform.crop = 40
        func share(_ seed: UInt64) -> Double {
            var stream = RandomStream(RandomKey(seed: seed))
            let box = transform.cropBox(map, &stream)
            #expect(box.width == 40 && box.height == 40)
            return Double(max(0, 80 - box.left)) / 40
        }
        let picky = (0..<200).map { share($0) }
        #expect(picky.count { $0 < 0.75 } > 150)
        transform.categoryShare = 1
        #expect((0..<200).map { share($0) }.count { $0 < 0.75 } < 70)
    }

    /// Mean colour and no class where the sample ends before the crop.
    @Test func samplesArePadded() throws {
        let pixels: [UInt8] = [0, 51, 102, 255, 204, 153]
        let scene = try LabelledScene(
            PixelImage(width: 2, height: 1, channels: 3, pixels: pixels),
            PixelImage(width: 2, height: 1, channels: 1, pixels: [4, 7]))
        var transform = SegmentationTransform()
        transform.crop = 3
        let image = try Tensor([3, 3, 3])
        let labels = try Tensor([3, 3], .uint8)
        transform.write(
            scene, mean: [0, 0.2, 0.4], deviation: [1, 0.5, 0.5], image: image.floats,
            labels: labels.raw.assumingMemoryBound(to: UInt8.self))
        var expected = [Float](repeating: 0, count: 27)
        for (place, value) in [(1, 1), (10, 1.2), (19, 0.4)] { expected[place] = Float(value) }
        for (value, wanted) in zip(image.values, expected) { #expect(abs(value - wanted) < 1e-6) }
        let classes = UnsafeRawBufferPointer(start: labels.raw, count: 9)
        #expect(Array(classes) == [4, 7] + [UInt8](repeating: 255, count: 7))
    }

    @Test func zeroLabelIsReduced() throws {
        let map = try PixelImage(width: 5, height: 1, channels: 1, pixels: [0, 1, 150, 254, 255])
        #expect(try map.zeroLabelReduced().pixels == [255, 0, 149, 253, 255])
        let colours = try PixelImage(width: 1, height: 1, channels: 3, pixels: [0, 1, 2])
        #expect(throws: USPError(.shape, "label map: 3 channels, expected 1")) {
            try colours.zeroLabelReduced()
        }
    }
}
