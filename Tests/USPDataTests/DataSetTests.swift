import Glibc
import Testing
import USPBase
import USPData
import USPFiles
import USPTensor

@Suite struct DataSetTests {
    @Test(.enabled(if: FolderListing.isFolder(FashionMNIST.debianFolder)))
    func fashionMNISTAsDebianInstallsIt() throws {
        let test = try FashionMNIST.load(.test)
        #expect(test.count == 10_000 && test.classCount == 10)
        #expect((0..<10).map { test.label($0) } == [9, 2, 1, 1, 6, 1, 4, 6, 5, 7])
        let batch = try test.batch([0, 1, 0], mirrored: [false, false, true])
        #expect(batch.shape == [3, 1, 32, 32])
        #expect(batch.floats[0] == -1)
        for y in 0..<32 {
            for x in 0..<32 {
                let mirrored = batch.floats[2 * 1024 + y * 32 + 31 - x]
                #expect(batch.floats[y * 32 + x] == mirrored)
            }
        }
        let training = try FashionMNIST.load(.training, side: 28)
        #expect(training.count == 60_000)
        let image = try training.image(0)
        #expect(image.pixels.reduce(0) { $0 + Int($1) } == 76247)
        let few = try training.firstOfEachClass(3)
        #expect(few.count == 30)
        #expect(Set((0..<30).map { few.label($0) }).count == 10)
    }

    @Test func missingFilesAreTold() {
        #expect(throws: USPError.self) { try FashionMNIST.load(.test, folder: "/nowhere") }
        #expect(throws: USPError.self) { try ImageFolder("/nowhere") }
    }

    @Test func everyEpochSeesEverySampleOnceWhateverTheRanks() throws {
        let key = RandomKey(seed: 3)
        var whole = try EpochOrder(count: 22, batch: 4, key: key)
        var first = try EpochOrder(count: 22, batch: 4, key: key, rank: 0, ranks: 2)
        var second = try EpochOrder(count: 22, batch: 4, key: key, rank: 1, ranks: 2)
        #expect(whole.stepsPerEpoch == 5)
        var seen: [Int] = []
        for step in 0..<5 {
            let batch = whole.batch(atStep: step)
            seen += batch.indices
            let halves = first.batch(atStep: step).indices + second.batch(atStep: step).indices
            #expect(halves == batch.indices)
        }
        #expect(Set(seen).count == 20)
        let later = whole.batch(atStep: 7)
        #expect(later.epoch == 1 && later.indices != whole.batch(atStep: 2).indices)
        #expect(throws: USPError(.argument, "batch 4 over 3 ranks, this one 0")) {
            try EpochOrder(count: 22, batch: 4, key: key, ranks: 3)
        }
        var resumed = try EpochOrder(count: 22, batch: 4, key: key)
        #expect(resumed.batch(atStep: 7) == later)
        var plain = try EpochOrder(count: 22, batch: 4, key: nil)
        #expect(plain.batch(atStep: 6).indices == [4, 5, 6, 7])
    }

    @Test func loaderGivesTheSameImageInEveryBatch() throws {
        var pixels: [UInt8] = []
        for index in 0..<5 * 12 * 10 { pixels.append(UInt8(index * 37 % 251)) }
        let images = try LabelledImages(
            channels: 1, height: 12, width: 10, pixels: pixels, labels: [0, 1, 0, 1, 1],
            classNames: ["a", "b"])
        let loader = try ImageLoader(images, .pretraining(8))
        let key: @Sendable (Int) -> RandomKey = { RandomKey(seed: 9).stream($0) }
        let batch = try loader.batch([0, 3, 4], key: key)
        #expect(batch.shape == [3, 3, 8, 8])
        let alone = try loader.batch([3], key: key)
        #expect(try batch.detachedRows(1..<2).values == alone.values)
        let ends = try LabelledImages(
            channels: 1, height: 1, width: 2, pixels: [0, 255], labels: [0], classNames: ["a"])
        #expect(try ends.batch([0]).values == [-1, 1])
        #expect(batch.values.allSatisfy { $0 >= -1 && $0 <= 1 })
        #expect(throws: USPError.self) { try loader.batch([7], key: key) }
    }

    @Test func latentsGoToAFileAndBack() throws {
        var stream = RandomStream(RandomKey(seed: 4))
        let values = (0..<6 * 4 * 2 * 2).map { _ in stream.normal() * 3 }
        let plain = try Tensor([6, 4, 2, 2], values)
        var set = try LatentSet.encoding(
            labels: [0, 1, 2, 0, 1, 2], count: 6, channels: 2, batch: 4, mirrored: true,
            images: { indices, flips throws(USPError) in
                try Tensor([indices.count, 1], indices.map { Float(flips ? -$0 - 1 : $0) })
            },
            encode: { batch throws(USPError) in
                let result = try Tensor([batch.count, 4, 2, 2])
                for row in 0..<batch.count {
                    let source = batch.floats[row]
                    let from = plain.floats + Int(source < 0 ? -source - 1 : source) * 16
                    for i in 0..<16 {
                        result.floats[row * 16 + i] = source < 0 ? -from[i] : from[i]
                    }
                }
                return result
            })
        #expect(set.moments.values == values)
        let path = "/tmp/usp-latents-\(UInt64.random(in: 0..<UInt64.max)).safetensors"
        (set.scale, set.shift) = ([2, 3], [0.5])
        (set.classNames, set.origin) = (["a", "b", "c,\""], "a test")
        try set.save(path)
        let again = try LatentSet.load(path)
        #expect(again.moments.values == values && again.labels == set.labels && again.channels == 2)
        #expect(again.scale == [2, 3] && again.shift == [0.5] && again.origin == "a test")
        #expect(again.classNames == set.classNames && again.classes == 3)
        #expect(again.mirroredMoments?.values == values.map { -$0 })
        let means = try again.batch([5, 0])
        #expect(means.shape == [2, 2, 2, 2])
        #expect(means.values[8] == 2 * (values[0] - 0.5))
        #expect(means.values[12] == 3 * (values[4] - 0.5))
        let key: @Sendable (Int) -> RandomKey = { RandomKey(seed: 1).stream($0) }
        let drawn = try again.batch([5, 0], samples: true, key: key)
        let single = try again.batch([0], samples: true, key: key)
        #expect(try drawn.detachedRows(1..<2).values == single.values)
        #expect(removeFile(path))
    }

    /// z = mean + exp(½·logvar)·ε with logvar limited to −30 … 20, as LDM's distribution does.
    @Test func posteriorsAreDrawnAsTheOriginalDraws() throws {
        func draw(_ logVariance: Float) throws -> Float {
            let set = try LatentSet(
                moments: Tensor([1, 2, 1, 1], [0, logVariance]), labels: [0], channels: 1)
            return try set.batch([0], samples: true) { RandomKey(seed: 5).stream($0) }
                .values[0]
        }
        let unit = try draw(0)
        #expect(abs(try draw(2 * logf(3)) / unit - 3) < 1e-5)
        #expect(abs(try draw(100) / unit / expf(10) - 1) < 1e-5)
        #expect(abs(try draw(-100) / unit / expf(-15) - 1) < 1e-5)
    }

    @Test func halfOfTheDrawsAreMirrored() throws {
        let set = try LatentSet(
            moments: Tensor([1, 1, 1, 1], [1]), mirroredMoments: Tensor([1, 1, 1, 1], [-1]),
            labels: [0], channels: 1)
        let mirrored = try (0..<400).count { seed in
            try set.batch([0]) { RandomKey(seed: UInt64(seed)).stream($0) }.values[0] < 0
        }
        #expect(mirrored > 160 && mirrored < 240)
        #expect(throws: USPError.self) { try set.batch([0], samples: true) }
        let path = "/tmp/usp-means-\(UInt64.random(in: 0..<UInt64.max)).safetensors"
        let means = try LatentSet(
            moments: Tensor([1, 4, 1, 1], [1, 2, 3, 4]), labels: [0], channels: 4)
        try means.save(path)
        #expect(try LatentSet.load(path).channels == 4)
        #expect(removeFile(path))
    }

    /// One more than the largest is the number of classes.
    @Test func labelsThatCannotBeCountedAreErrors() throws {
        let moments = try Tensor([1, 1, 1, 1], [1])
        for label in [-1, Int.max, Int(Int32.max)] {
            let error = #expect(throws: USPError.self) {
                try LatentSet(moments: moments, labels: [label], channels: 1)
            }
            #expect(error?.kind == .format && error?.message.contains("\(label)") == true)
        }
    }

    @Test func endingsOfFilesHaveAnyCase() throws {
        let folder = "/tmp/usp-folder-\(UInt64.random(in: 0..<UInt64.max))"
        let image = try PixelImage(width: 1, height: 1, channels: 1, pixels: [7])
        #expect(mkdir(folder, 0o700) == 0 && mkdir("\(folder)/a", 0o700) == 0)
        defer { rmdir(folder) }
        for name in ["x.png", "Y.PNG"] { try PNG.write("\(folder)/a/\(name)", image) }
        #expect(try ImageFolder(folder).files.map(\.path) == ["a/Y.PNG", "a/x.png"])
        for name in ["x.png", "Y.PNG"] { #expect(removeFile("\(folder)/a/\(name)")) }
        rmdir("\(folder)/a")
    }
}
