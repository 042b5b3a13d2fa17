import Testing
import USPBase
import USPData
import USPFiles

/// A picture of which Pillow (one axis after the other) made the expected checksums.
private func picture(_ width: Int, _ height: Int, channels: Int = 3) throws -> PixelImage {
    var pixels: [UInt8] = []
    for y in 0..<height {
        for x in 0..<width {
            for c in 0..<channels {
                pixels.append(UInt8((x * 7 + y * 13 + c * 29 + x * y * 3) % 256))
            }
        }
    }
    return try PixelImage(width: width, height: height, channels: channels, pixels: pixels)
}

/// FNV-1a, 64 bits.
private func checksum(_ image: PixelImage) -> UInt64 {
    image.pixels.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
}

@Suite struct PixelTests {
    @Test(
        arguments: [
            (13, 9, 3, 7, 5, "bicubic", 0x2A16_0F84_7C32_E31F),
            (13, 9, 3, 29, 31, "bicubic", 0xB34D_3F1A_DEFA_202D),
            (64, 48, 3, 32, 24, "box", 0x4F11_BF13_6CBE_7A25),
            (57, 91, 1, 20, 33, "bilinear", 0xBCEC_8941_6F38_B67B),
            (300, 200, 3, 224, 149, "bicubic", 0x1A54_8714_0794_5ED3),
            (300, 200, 3, 100, 100, "box", 0x25A2_B9B3_4C2A_8BEF),
        ] as [(Int, Int, Int, Int, Int, String, UInt64)])
    func resizingIsPillows(
        _ width: Int, _ height: Int, _ channels: Int, _ newWidth: Int, _ newHeight: Int,
        _ filter: String, _ expected: UInt64
    ) throws {
        let image = try picture(width, height, channels: channels)
        let result = try image.resized(
            width: newWidth, height: newHeight, try ResamplingFilter.named(filter))
        #expect(checksum(result) == expected)
    }

    @Test(
        arguments: [
            (301, 203, 0xEFFB_997B_B7B6_954B), (80, 333, 0xC02D_3DBF_C902_004E),
            (64, 64, 0x5600_0631_1898_CBA5), (500, 375, 0x1F89_A68D_0AB3_6C2E),
        ] as [(Int, Int, UInt64)])
    func centreCropIsTheOriginals(_ width: Int, _ height: Int, _ expected: UInt64) throws {
        let result = try picture(width, height).centreCropADM(64)
        #expect(result.width == 64 && result.height == 64)
        #expect(checksum(result) == expected)
    }

    /// A side of exactly twice the size is halved; 12.5 rows become 12, as Python rounds.
    @Test(
        arguments: [(128, 64, 128, 0xE1D9_D8BD_8694_D3E5), (6, 5, 15, 0x5D94_65C5_9BB1_08A8)]
            as [(Int, Int, Int, UInt64)])
    func centreCropRoundsAsTheOriginal(
        _ width: Int, _ size: Int, _ height: Int, _ expected: UInt64
    ) throws {
        #expect(checksum(try picture(width, height).centreCropADM(size)) == expected)
    }

    @Test func oddMarginsAreHalvedToEvenOnes() throws {
        let image = try picture(9, 9)
        for (size, margin) in [(8, 0), (6, 2), (4, 2), (2, 4)] {
            #expect(
                try image.centreCrop(size)
                    == image.cropped(left: margin, top: margin, width: size, height: size))
        }
    }

    @Test(
        arguments: [(301, 203, 0xEA48_119C_BA47_1E12), (80, 333, 0xF5BC_FA8E_FC27_A305)]
            as [(Int, Int, UInt64)])
    func evaluationCropIsTorchvisions(_ width: Int, _ height: Int, _ expected: UInt64) throws {
        let result = try picture(width, height).resizedShorter(73, .bicubic).centreCrop(64)
        #expect(checksum(result) == expected)
    }

    @Test func mirroringTwiceIsNothing() throws {
        let image = try picture(13, 9)
        #expect(try image.mirrored() != image)
        #expect(try image.mirrored().mirrored() == image)
    }

    @Test func randomCropsStayInsideAndCoverTheirShare() throws {
        var crop = RandomCrop(size: 8)
        crop.scale = 0.2...1
        for retries in [true, false] {
            crop.retries = retries
            var shares = 0.0
            for index in 0..<500 {
                var stream = RandomStream(RandomKey(seed: 1).stream(index))
                let box = crop.box(width: 90, height: 60, &stream)
                #expect(box.left >= 0 && box.left + box.width <= 90)
                #expect(box.top >= 0 && box.top + box.height <= 60)
                shares += Double(box.width * box.height) / 5400
            }
            #expect(shares / 500 > 0.35 && shares / 500 < 0.6)
        }
        let narrow = try picture(1, 40)
        var stream = RandomStream(RandomKey(seed: 2))
        let box = crop.box(width: narrow.width, height: narrow.height, &stream)
        #expect(box.width == 1 && box.height >= 1)
    }

    @Test func randomCropsHaveManyShapesAndReachAllEdges() throws {
        let crop = RandomCrop(size: 8)
        var boxes: [CropBox] = []
        for index in 0..<2000 {
            var stream = RandomStream(RandomKey(seed: 3).stream(index))
            boxes.append(crop.box(width: 24, height: 24, &stream))
        }
        #expect(boxes.contains { $0.left + $0.width == 24 && $0.width < 22 })
        #expect(boxes.contains { $0.top + $0.height == 24 && $0.height < 22 })
        let shapes = boxes.filter { $0.width * $0.height > 150 }.map {
            Double($0.width) / Double($0.height)
        }
        #expect(shapes.contains { $0 < 0.85 } && shapes.contains { $0 > 1.18 })
        #expect(shapes.allSatisfy { $0 > 0.68 && $0 < 1.5 })
        let shares = boxes.map { Double($0.width * $0.height) / 576 }
        #expect(shares.contains { $0 < 0.12 } && shares.allSatisfy { $0 > 0.06 })
    }

    /// The whole area fits no strip, whatever is drawn: the middle of the widest shape is left.
    @Test func stripsGiveTheirMiddle() {
        var crop = RandomCrop(size: 8)
        crop.scale = 1...1
        var stream = RandomStream(RandomKey(seed: 4))
        let wide = crop.box(width: 400, height: 40, &stream)
        #expect([wide.left, wide.top, wide.width, wide.height] == [173, 0, 53, 40])
        let tall = crop.box(width: 40, height: 400, &stream)
        #expect([tall.left, tall.top, tall.width, tall.height] == [0, 173, 40, 53])
    }

    /// MAE's crops for pretraining (0.2 of the area at least), torchvision's evaluation (256 to
    /// 224), torchvision's crops (0.08) for probes.
    @Test func publishedTransforms() {
        func crop(_ transform: ImageTransform) -> RandomCrop? {
            guard case .randomCrop(let crop) = transform.steps[0] else { return nil }
            return crop
        }
        #expect(crop(.pretraining(224))?.scale == 0.2...1)
        #expect(crop(.probe(224))?.scale == 0.08...1 && crop(.probe(224))?.retries == false)
        #expect(ImageTransform.evaluation(224).steps == [.resizeShorter(256), .centreCrop(224)])
        #expect(ImageTransform.generation(256).steps == [.centreCropADM(256), .mirror(0.5)])
    }

    @Test func mirrorsByTheirShare() throws {
        let image = try picture(5, 4)
        func flipped(_ share: Float) throws -> PixelImage {
            let transform = ImageTransform(
                [.mirror(share)], mean: [0, 0, 0], deviation: [1, 1, 1])
            return try transform.geometry(image, RandomKey(seed: 1))
        }
        #expect(try flipped(1) == image.mirrored() && flipped(0) == image)
    }
}
