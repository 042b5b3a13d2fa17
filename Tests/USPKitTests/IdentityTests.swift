// Caches, latents and runs that go on know their samples by what is in them.

import Foundation
import Testing
import USPBase
import USPFiles
import USPKit
import USPTensor

private func options(_ change: (inout DataOptions) -> Void = { _ in }) -> DataOptions {
    var options = DataOptions()
    (options.batch, options.size, options.augmentation) = (3, 16, .generation)
    change(&options)
    return options
}

private func write(_ path: String, shade: UInt8) throws {
    let pixels = [UInt8](repeating: shade, count: 20 * 16 * 3)
    try PNG.write(path, PixelImage(width: 20, height: 16, channels: 3, pixels: pixels))
}

/// Another time, the same bytes.
private func touch(_ path: String) {
    var times = [timeval(tv_sec: 1, tv_usec: 0), timeval(tv_sec: 1, tv_usec: 0)]
    #expect(utimes(path, &times) == 0)
}

private func run(
    _ data: DataSet, _ root: String, steps: Int = 4, restart: Bool = false
) throws -> Run {
    var sizes = MaskedAutoencoder.Configuration(
        TransformerSizes(
            grid: Grid(2, 2), channels: data.sampleShape[0], patch: data.sampleShape[1] / 2,
            width: 16, depth: 1, heads: 2),
        decoderWidth: 16, decoderDepth: 1, decoderHeads: 2)
    sizes.transformer.classToken = true
    var options = RunOptions()
    (options.steps, options.restart) = (steps, restart)
    return try Run(
        Trainer(MaskedAutoencoder(sizes, seed: 1), TrainerOptions()), on: data,
        to: "\(root)/m.safetensors", options)
}

private func filesOfState(_ root: String) throws -> [(path: String, wasRead: Bool)] {
    let archive = try Archive.open("\(root)/m-state.safetensors")
    let paths = try archive.entry("usp.samples.paths").bytes().text.split(separator: "\0")
    let sums = try archive.entry("usp.samples.checksums").bytes()
    return paths.enumerated().map { index, path in
        (String(path), sums.bytes.loadUnaligned(fromByteOffset: 8 * index, as: Int.self) != 0)
    }
}

private func told(_ body: () throws -> Void) -> String {
    #expect(throws: USPError.self) { try body() }?.message ?? ""
}

@Suite struct IdentityTests {
    /// What is cached is used while the images are the same, whatever their times.
    @Test func cachesKnowTheirImages() throws {
        try withPictures { root in
            let vae = try pictureAutoencoder()
            let cached = options { $0.cache = "\(root)/cache.safetensors" }
            let first = try DataSet(root, vae, cached).samples(0..<6).inputs.values
            touch("\(root)/a/1.png")
            #expect(try DataSet(root, vae, cached).samples(0..<6).inputs.values == first)
            try write("\(root)/a/1.png", shade: 9)
            try write("\(root)/b/4.png", shade: 9)
            #expect(
                told { _ = try DataSet(root, vae, cached) }.contains(
                    "a/1.png and 1 more have changed; remove it to encode anew"))
        }
    }

    /// Of equal size and another time: only the content tells.
    @Test func changesOfEqualSizeAreSeen() throws {
        try withPictures { root in
            let path = "\(root)/b/5.ppm"
            let head = Array("P6 20 16 255\n".utf8)
            func write(_ shade: UInt8) throws {
                let file = try AtomicFile(path)
                try file.write(head + [UInt8](repeating: shade, count: 960))
                try file.commit()
            }
            try write(3)
            let cached = options { $0.cache = "\(root)/cache.safetensors" }
            #expect(try DataSet(root, pictureAutoencoder(), cached).count == 7)
            try write(4)
            #expect(
                told { _ = try DataSet(root, pictureAutoencoder(), cached) }.contains(
                    "b/5.ppm has changed"))
        }
    }

    @Test func cachesTellWhatIsGoneAndWhatIsNew() throws {
        try withPictures { root in
            let vae = try pictureAutoencoder()
            let cached = options { $0.cache = "\(root)/cache.safetensors" }
            _ = try DataSet(root, vae, cached)
            #expect(rename("\(root)/a/0.png", "\(root)/a/9.png") == 0)
            let words = told { _ = try DataSet(root, vae, cached) }
            #expect(words.contains("a/0.png is gone, a/9.png is new"))
            #expect(rename("\(root)/a/9.png", "\(root)/a/0.png") == 0)
            let other = told {
                _ = try DataSet(root, VAE(vae.configuration, seed: 6), cached)
            }
            #expect(other.contains("latents of autoencoder ") && !other.contains("pixels"))
        }
    }

    /// A file whose images cannot be told is used, and that is said.
    @Test func cachesWithoutARecordAreUsedWithANote() throws {
        try withPictures { root in
            let path = "\(root)/cache.safetensors"
            let cached = options { $0.cache = path }
            _ = try DataSet(root, pictureAutoencoder(), cached)
            let archive = try Archive.open(path)
            let kept = archive.entries.filter { !$0.name.hasPrefix("usp.samples") }
            try Safetensors.write(path, kept.map { ArrayOutput($0) }, metadata: archive.metadata)
            let data = try DataSet(root, pictureAutoencoder(), cached)
            #expect(data.leftOut.contains { $0.contains("only their names were compared") })
        }
    }

    /// The file that is unfinished is gone on with, and ends with the same bytes.
    @Test func cachesAreMadeAsImagesComeAndGoneOnWith() throws {
        try withPictures { root in
            // Of this size every image is a piece of its own.
            let whole = options { ($0.size, $0.cache) = (368, "\(root)/whole.safetensors") }
            var sizes = VAE.Configuration()
            (sizes.baseWidth, sizes.multipliers, sizes.blocksPerLevel) = (4, [1, 1, 1, 1, 1], 1)
            sizes.groups = 1
            let vae = try VAE(sizes, seed: 5)
            _ = try DataSet(root, vae, whole)
            let cut = options { ($0.size, $0.cache) = (368, "\(root)/cut.safetensors") }
            #expect(throws: USPError(.cancelled, "enough")) {
                try DataSet(root, vae, cut) { (done, all) throws(USPError) in
                    if done == 4 { throw USPError(.cancelled, "enough") }
                }
            }
            #expect(FolderListing.isFile("\(root)/cut.safetensors.part"))
            #expect(!FolderListing.isFile("\(root)/cut.safetensors"))
            // One of those that are done is another image now.
            try write("\(root)/a/2.png", shade: 200)
            var seen: [Int] = []
            let data = try DataSet(root, vae, cut) { done, all in seen.append(done) }
            #expect(seen == [3, 4, 5, 6])
            #expect(!FolderListing.isFile("\(root)/cut.safetensors.part"))
            unlink("\(root)/whole.safetensors")
            _ = try DataSet(root, vae, whole)
            #expect(
                try ByteView.file("\(root)/whole.safetensors").array
                    == ByteView.file("\(root)/cut.safetensors").array)
            #expect(data.count == 6)
        }
    }

    @Test func unfinishedCachesOfOtherImagesAreReplaced() throws {
        try withPictures { root in
            let vae = try pictureAutoencoder()
            let file = try AtomicFile("\(root)/cache.safetensors.part")
            try file.write("something else")
            try file.commit()
            let cached = options { $0.cache = "\(root)/cache.safetensors" }
            let data = try DataSet(root, vae, cached)
            #expect(data.leftOut.contains { $0.contains(".part: began anew") })
        }
    }

    /// A run that goes on looks at what it has read, not at what it has not.
    @Test func runsKnowTheImagesTheyHaveRead() throws {
        try withPictures { root in
            let data = { try DataSet(root, nil, options { $0.batch = 2 }) }
            let first = try run(data(), root, steps: 1)
            try first.train()
            let files = try filesOfState(root)
            let seen = files.filter(\.wasRead).map(\.path)
            #expect(seen.count == 2 && files.count == 6)
            let unseen = try #require(files.first { !$0.wasRead }?.path)
            try write("\(root)/\(unseen)", shade: 1)
            #expect(try run(data(), root, steps: 1).resumed == 1)
            let known = try #require(seen.first)
            try write("\(root)/\(known)", shade: 1)
            #expect(told { _ = try run(data(), root, steps: 1) }.contains("\(known) has changed"))
            #expect(try run(data(), root, restart: true).resumed == 0)
        }
    }
    /// Latents that differ only far behind the first ones are others.
    @Test func runsKnowLatentsOfFilesAndOfMemory() throws {
        try withPictures { root in
            let path = "\(root)/latents.safetensors"
            func write(_ last: Float) throws -> Tensor {
                let latents = try Tensor.normal([70, 4, 64, 64], seed: 1)
                latents.floats[latents.count - 1] = last
                try Checkpoint([(name: "latents", tensor: latents)]).save(path)
                return latents
            }
            var how = DataOptions()
            how.batch = 70
            for fromFile in [true, false] {
                let latents = try write(1)
                let data =
                    fromFile ? try DataSet(path, nil, how) : try DataSet(latents: latents, how)
                try run(data, root, steps: 1, restart: true).train()
                touch(path)
                let again =
                    fromFile ? try DataSet(path, nil, how) : try DataSet(latents: latents, how)
                #expect(try run(again, root, steps: 1).resumed == 1)
                let others = try write(2)
                let changed =
                    fromFile ? try DataSet(path, nil, how) : try DataSet(latents: others, how)
                #expect(
                    told { _ = try run(changed, root, steps: 1) }.contains("sample 69 has changed"))
            }
        }
    }
}

@Suite struct UnreadableTests {
    /// Another image of the class takes its place, in steps, in a cache and in a run.
    @Test func anotherImageTakesThePlace() throws {
        try withPictures { root in
            let good = try DataSet(root, nil, options()).samples(0..<6).inputs
            try write("\(root)/a/1.png", shade: 1)
            #expect(truncate("\(root)/a/1.png", 60) == 0)
            #expect(
                told { _ = try DataSet(root, nil, options()).samples(0..<2) }.contains(
                    "a/1.png: PNG: "))
            let skips = options { $0.skipUnreadable = true }
            let data = try DataSet(root, nil, skips)
            let inputs = try data.samples(0..<6).inputs
            #expect(try inputs.detachedRows(1..<2).values == good.detachedRows(2..<3).values)
            #expect(try inputs.detachedRows(2..<6).values == good.detachedRows(2..<6).values)
            #expect(data.unreadable.map(\.path) == ["a/1.png"])
            let cached = options {
                ($0.skipUnreadable, $0.cache) = (true, "\(root)/cache.safetensors")
            }
            let vae = try pictureAutoencoder()
            let kept = try DataSet(root, vae, cached)
            #expect(kept.count == 6 && kept.leftOut.contains { $0.contains("a/1.png") })
            // It may go, as it was of no use.
            unlink("\(root)/a/1.png")
            let plain = options { $0.cache = "\(root)/cache.safetensors" }
            #expect(
                try DataSet(root, vae, plain).leftOut.contains { $0.contains("a/1.png is gone") })
        }
    }

    @Test func classesWithoutAReadableImageAreErrors() throws {
        try withPictures { root in
            for index in 4..<6 { #expect(truncate("\(root)/b/\(index).png", 60) == 0) }
            let data = try DataSet(root, nil, options { $0.skipUnreadable = true })
            #expect(
                told { _ = try data.samples(4..<5) }.contains(
                    "none of the 2 images of class b can be read; "))
        }
    }

    /// A grid under any name is none of the samples.
    @Test func gridsAreNoSamples() throws {
        try withPictures { root in
            let image = try PixelImage(width: 2, height: 1, channels: 1, pixels: [7, 9])
            try PNG.write("\(root)/a/0.png", image, texts: [(key: PNG.composedKey, value: "x")])
            #expect(
                told { _ = try DataSet(root, nil, options()).samples(0..<1) }.contains(
                    "a/0.png: a grid or preview of several images"))
        }
    }

    @Test func runsGoOnWithoutAnImage() throws {
        try withPictures { root in
            let data = { (skips: Bool) in
                try DataSet(root, nil, options { $0.skipUnreadable = skips })
            }
            try run(data(false), root, steps: 2).train()
            unlink("\(root)/a/2.png")
            #expect(
                told { _ = try run(data(false), root, steps: 4) }.contains(
                    "a/2.png is gone; put back what is gone, or go on with skip_unreadable"))
            let again = try run(data(true), root, steps: 4)
            #expect(again.resumed == 2 && again.data.count == 6)
            try again.train()
            #expect(again.data.unreadable.map(\.path) == ["a/2.png"])
        }
    }
}

@Suite struct OutputTests {
    @Test func twoRunsWithOneOutputRefuseEachOther() throws {
        try withPictures { root in
            let data = try DataSet(root, nil, options())
            let first = try run(data, root)
            let words = told { _ = try run(data, root) }
            #expect(words.contains("is written by another run of this process"))
            try first.train()
            #expect(!FolderListing.isFile("\(root)/m-run.lock"))
            #expect(try run(data, root).resumed == 4)
            // Left behind by a process that is gone.
            let file = try AtomicFile("\(root)/m-run.lock")
            try file.write("1\n")
            try file.commit()
            #expect(try run(data, root).resumed == 4)
        }
    }

    @Test func savingIsAskedForAtAnyTime() throws {
        try withPictures { root in
            let long = try run(DataSet(root, nil, options()), root, steps: 6)
            var saved: [Bool] = []
            try long.train(progress: { told in
                saved.append(FolderListing.isFile("\(root)/m-state.safetensors"))
                if told.report.step == 2 { long.requestSave() }
            })
            #expect(saved == [false, false, true, true, true, true])
        }
    }
}
