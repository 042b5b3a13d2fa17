// Data for training: the same latents whether they are made as needed, or kept; in any batch.

import Glibc
import Testing
import USPBase
import USPFiles
import USPKit
import USPTensor

/// Six pictures of two classes, 20 x 16 pixels, in a folder that is removed at the end.
private func withPictures(_ body: (String) throws -> Void) throws {
    let root = "/tmp/usp-pictures-\(UInt64.random(in: 0..<UInt64.max))"
    mkdir(root, 0o755)
    for name in ["a", "b"] { mkdir("\(root)/\(name)", 0o755) }
    var files: [String] = []
    for index in 0..<6 {
        let pixels = (0..<20 * 16 * 3).map { UInt8(($0 * (index + 3) * 13 + index) % 256) }
        files.append("\(root)/\(index < 4 ? "a" : "b")/\(index).png")
        try PNG.write(
            files[index], PixelImage(width: 20, height: 16, channels: 3, pixels: pixels))
    }
    defer {
        for file in files + ["\(root)/cache.safetensors"] { unlink(file) }
        for folder in ["\(root)/a", "\(root)/b", root] { rmdir(folder) }
    }
    try body(root)
}

private func autoencoder() throws -> VAE {
    var sizes = VAE.Configuration()
    (sizes.baseWidth, sizes.multipliers, sizes.blocksPerLevel) = (8, [1, 2, 2], 1)
    sizes.groups = 4
    sizes.normalization = LatentNormalization(shift: [0.1, 0, 0.2, 0], scale: [2, 3, 1, 0.5])
    return try VAE(sizes, seed: 5)
}

@Suite struct TrainingDataTests {
    @Test(arguments: [false, true])
    func latentsOfACacheAreThoseMadeForEachStep(samples: Bool) throws {
        try withPictures { root in
            var options = TrainingData.Options()
            (options.size, options.samples, options.seed) = (16, samples, 3)
            let made = try TrainingData(root, autoencoder(), options)
            #expect(made.count == 6 && made.classNames == ["a", "b"])
            #expect(made.sampleShape == [4, 4, 4])
            var told = 0
            let kept = try made.cached(at: "\(root)/cache.safetensors") { done, all in
                #expect(all == 12)
                told = done
            }
            #expect(told == 12 && kept.summary != made.summary)
            for step in [0, 3, 7] {
                let (a, b) = (try made.batch(4, atStep: step), try kept.batch(4, atStep: step))
                #expect(a.labels == b.labels)
                let largest = zip(a.inputs.values, b.inputs.values).map { abs($0 - $1) }.max() ?? 1
                #expect(largest < 1e-5)
            }
            let file = try TrainingData("\(root)/cache.safetensors", nil, options)
            #expect(
                try file.batch(4, atStep: 7).inputs.values == kept.batch(4, atStep: 7).inputs.values
            )
            #expect(file.classNames == ["a", "b"])
        }
    }

    @Test func aStepSeesTheSameWhateverWasSeenBefore() throws {
        try withPictures { root in
            var options = TrainingData.Options()
            (options.size, options.augmentation, options.samples) = (8, "pretraining", true)
            let vae = try autoencoder()
            let data = try TrainingData(images: root, vae, options)
            var seen: Set<[Float]> = []
            for step in 0..<6 { seen.insert(try data.batch(2, atStep: step).inputs.values) }
            #expect(seen.count == 6)
            let again = try TrainingData(images: root, vae, options).batch(2, atStep: 4)
            #expect(try again.inputs.values == data.batch(2, atStep: 4).inputs.values)
            let whole = try data.samples(0..<6).inputs
            let part = try data.samples(3..<5).inputs
            #expect(try whole.detachedRows(3..<5).values == part.values)
        }
    }

    @Test func whatDoesNotFitIsTold() throws {
        try withPictures { root in
            var options = TrainingData.Options()
            options.size = 16
            let data = try TrainingData(root, autoencoder(), options)
            _ = try data.cached(at: "\(root)/cache.safetensors")
            options.size = 8
            let smaller = try TrainingData(root, autoencoder(), options)
            #expect(throws: USPError.self) { try smaller.cached(at: "\(root)/cache.safetensors") }
            #expect(throws: USPError.self) { try data.batch(7, atStep: 0) }
            #expect(throws: USPError.self) { try TrainingData(root, nil, options) }
            options.size = 10
            #expect(throws: USPError.self) { try TrainingData(root, autoencoder(), options) }
            (options.size, options.augmentation) = (16, "pretrainin")
            #expect(throws: USPError.self) { try TrainingData(root, autoencoder(), options) }
        }
    }
}
