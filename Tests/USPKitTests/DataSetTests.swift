// Data sets and runs: the same latents whether made as needed or kept; the same bits after an interruption.

import Foundation
import Testing
import USPBase
import USPFiles
import USPKit
import USPTensor

/// Six pictures of two classes, 20 x 16 pixels, in a folder that is removed at the end.
func withPictures(_ body: (String) throws -> Void) throws {
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
        try? FileManager.default.removeItem(atPath: root)
    }
    try body(root)
}

func pictureAutoencoder() throws -> VAE {
    var sizes = VAE.Configuration()
    (sizes.baseWidth, sizes.multipliers, sizes.blocksPerLevel) = (8, [1, 2, 2], 1)
    sizes.groups = 4
    sizes.normalization = LatentNormalization(shift: [0.1, 0, 0.2, 0], scale: [2, 3, 1, 0.5])
    return try VAE(sizes, seed: 5)
}

@Suite struct DataSetTests {
    @Test(arguments: [false, true])
    func latentsOfACacheAreThoseMadeForEachStep(samples: Bool) throws {
        try withPictures { root in
            var options = DataOptions()
            (options.batch, options.size, options.seed) = (4, 16, 3)
            options.samplePosterior = samples
            let made = try DataSet(root, pictureAutoencoder(), options)
            #expect(made.count == 6 && made.classNames == ["a", "b"] && !made.isEncoded)
            #expect(made.sampleShape == [4, 4, 4] && made.stepsPerEpoch == 1)
            var told = 0
            options.cache = "\(root)/cache.safetensors"
            let kept = try DataSet(root, pictureAutoencoder(), options) { done, all in
                #expect(all == 6)
                told = done
            }
            #expect(told == 6 && kept.summary != made.summary)
            for step in [0, 3, 7] {
                let (a, b) = (try made.batch(atStep: step), try kept.batch(atStep: step))
                #expect(a.classes == b.classes)
                let largest = zip(a.inputs.values, b.inputs.values).map { abs($0 - $1) }.max() ?? 1
                #expect(largest < 1e-5)
            }
            (options.cache, options.size) = (nil, DataOptions().size)
            let file = try DataSet("\(root)/cache.safetensors", nil, options)
            #expect(
                try file.batch(atStep: 7).inputs.values == kept.batch(atStep: 7).inputs.values)
            #expect(file.classNames == ["a", "b"])
        }
    }

    @Test func aStepSeesTheSameWhateverWasSeenBefore() throws {
        try withPictures { root in
            var options = DataOptions()
            (options.batch, options.size, options.augmentation) = (2, 8, .pretraining)
            options.samplePosterior = true
            let vae = try pictureAutoencoder()
            let data = try DataSet(root, vae, options)
            var seen: Set<[Float]> = []
            for step in 0..<6 { seen.insert(try data.batch(atStep: step).inputs.values) }
            #expect(seen.count == 6)
            let again = try DataSet(root, vae, options).batch(atStep: 4)
            #expect(try again.inputs.values == data.batch(atStep: 4).inputs.values)
            let whole = try data.samples(0..<6).inputs
            let part = try data.samples(3..<5).inputs
            #expect(try whole.detachedRows(3..<5).values == part.values)
        }
    }

    /// Two ranks see the halves of one process's batch; a selection counts its own samples.
    @Test func ranksShareBatchesAndSelectionsAreSets() throws {
        try withPictures { root in
            var options = DataOptions()
            (options.batch, options.size) = (4, 8)
            let whole = try DataSet(root, nil, options)
            #expect(whole.holdsPixels && whole.sampleShape == [3, 8, 8])
            for step in 0..<3 {
                let all = try whole.batch(atStep: step)
                for rank in 0..<2 {
                    options.ranks = try Ranks(rank: rank, count: 2) { _, _ in }
                    let share = try whole.with(options)
                    #expect(share.batchSize == 2)
                    let part = try share.batch(atStep: step)
                    let rows = try all.inputs.detachedRows(2 * rank..<2 * rank + 2)
                    #expect(part.inputs.values == rows.values)
                }
            }
            let some = try whole.selecting([5, 1, 3, 4])
            #expect(some.count == 4 && some.stepsPerEpoch == 1 && some.summary != whole.summary)
            #expect(
                try some.samples(0..<1).inputs.values == whole.samples(5..<6).inputs.values)
            #expect(throws: USPError.self) { try whole.selecting([6]) }
        }
    }

    @Test func whatIsChosenStaysSoWhereItIsEncoded() throws {
        try withPictures { root in
            var options = DataOptions()
            (options.batch, options.size, options.mirror) = (2, 16, 0)
            let whole = try DataSet(root, pictureAutoencoder(), options)
            let some = try whole.selecting([5, 1, 4])
            let (encoded, made) = (try some.encoded(), try some.samples(0..<3))
            #expect(encoded.count == 3)
            let found = try encoded.samples(0..<3)
            #expect(found.classes == [1, 0, 1] && found.classes == made.classes)
            let largest = zip(found.inputs.values, made.inputs.values).map { abs($0 - $1) }.max()
            #expect((largest ?? 1) < 1e-5)
        }
    }

    @Test func labelsCountInOtherNames() throws {
        try withPictures { root in
            var options = DataOptions()
            (options.batch, options.size, options.order) = (6, 16, .sequential)
            let own = try DataSet(root, pictureAutoencoder(), options)
            let other = try own.numbered(as: ["b", "c", "a"])
            let third = try other.selecting([4, 0]).numbered(as: ["c", "a", "d", "b"])
            #expect(try own.batch(atStep: 0).classes == [0, 0, 0, 0, 1, 1])
            #expect(try other.batch(atStep: 0).classes == [2, 2, 2, 2, 0, 0])
            #expect(other.classes == 3 && other.classNames == ["b", "c", "a"])
            #expect(other.labels == [2, 2, 2, 2, 0, 0] && other.summary != own.summary)
            #expect(try third.samples(0..<2).classes == [3, 1])
            #expect(try third.encoded().samples(0..<2).classes == [3, 1])
            #expect(try own.numbered(as: []).summary == own.summary)
            for names in [["a", "c"], ["a", "b", "b"]] {
                #expect(throws: USPError.self) { try own.numbered(as: names) }
            }
            var mixing = DataOptions()
            (mixing.batch, mixing.mixing.mixup, mixing.mixing.smoothing) = (6, 0.8, 0)
            let mixed = try own.encoded().with(mixing).numbered(as: ["b", "c", "a"])
            guard case .shares(let shares) = try mixed.batch(atStep: 0).labels else {
                Issue.record("labels are no shares")
                return
            }
            #expect(shares.shape == [6, 3])
            #expect((0..<6).allSatisfy { shares.values[3 * $0 + 1] == 0 })
        }
    }

    @Test func foldersWithoutClassesHaveNoLabels() throws {
        try withPictures { root in
            var options = DataOptions()
            (options.batch, options.size, options.channels) = (2, 8, 1)
            let data = try DataSet("\(root)/a", nil, options)
            #expect(data.count == 4 && data.classes == 0 && data.classNames.isEmpty)
            let batch = try data.batch(atStep: 0)
            #expect(batch.labels == nil && batch.inputs.shape == [2, 1, 8, 8])
            (options.order, options.mirror) = (.sequential, 0)
            let plain = try DataSet("\(root)/a", nil, options)
            #expect(
                try plain.batch(atStep: 1).inputs.values == plain.samples(2..<4).inputs.values)
            options.mirror = 1
            let mirrored = try DataSet("\(root)/a", nil, options).batch(atStep: 0).inputs.values
            let image = try plain.samples(0..<1).inputs.values
            #expect(mirrored[0] == image[7] && mirrored[7] == image[0])
        }
    }

    @Test func whatDoesNotFitIsTold() throws {
        try withPictures { root in
            func told(_ path: String, _ vae: VAE?, _ change: (inout DataOptions) -> Void) -> String?
            {
                var options = DataOptions()
                (options.batch, options.size) = (2, 16)
                change(&options)
                return #expect(throws: USPError.self) { try DataSet(path, vae, options) }?.message
            }
            let (vae, cache) = (try pictureAutoencoder(), "\(root)/cache.safetensors")
            var options = DataOptions()
            (options.batch, options.size, options.cache) = (7, 16, cache)
            let data = try DataSet(root, vae, options)
            #expect(throws: USPError.self) { try data.batch(atStep: 0) }
            #expect(
                told(root, vae) { ($0.size, $0.cache) = (8, cache) }?.contains("8 pixels") == true)
            #expect(
                told(root, nil) { $0.cache = "\(root)/c.safetensors" }?.contains("need") == true)
            #expect(told(root, vae) { $0.size = 10 }?.contains("multiple of 4") == true)
            #expect(told(root, vae) { $0.channels = 1 } == "channels: 1, the autoencoder takes 3")
            #expect(
                told(root, vae) { $0.cropArea = [0.5, 0.2] }?.contains("smaller first") == true)
            #expect(told(root, vae) { $0.cropArea = [0.2, 1] }?.contains("at random") == true)
            #expect(
                told(cache, nil) { $0.mirror = 0.5 }
                    == "size: has no part in a file of latents, only in folder of images")
        }
    }
}

@Suite struct RunTests {
    private func start(
        _ root: String, _ change: (inout RunOptions) -> Void = { _ in }
    ) throws -> Run {
        var options = DataOptions()
        (options.batch, options.size, options.augmentation) = (3, 8, .pretraining)
        var sizes = ViT.Configuration()
        sizes.transformer = TransformerSizes(
            grid: Grid(2, 2), channels: 3, patch: 4, width: 16, depth: 1, heads: 2)
        sizes.classes = 2
        var training = TrainerOptions()
        (training.rate, training.averageDecay) = (1e-2, 0.9)
        var run = RunOptions()
        (run.steps, run.logEvery) = (10, 3)
        change(&run)
        return try Run(
            Trainer(ViT(sizes, seed: 1), training), on: DataSet(root, nil, options),
            to: "\(root)/m.safetensors", run)
    }

    private func log(_ root: String) throws -> [String] {
        try ByteView.file("\(root)/m-log.jsonl").text
            .split(separator: "\n").map { $0.components(separatedBy: ",\"images_per")[0] }
    }

    private func withRun(_ body: (String) throws -> Void) throws {
        try withPictures { root in
            defer {
                for end in [".safetensors", "-state.safetensors", "-log.jsonl"] {
                    unlink("\(root)/m\(end)")
                }
            }
            try body(root)
        }
    }

    @Test func anInterruptedRunEndsWithTheSameBits() throws {
        try withRun { root in
            let whole = try start(root)
            var evaluated = 0
            let metrics = try whole.train(evaluate: { _ in
                evaluated += 1
                return [Run.Metric("seen", Double(evaluated))]
            })
            #expect(metrics == [Run.Metric("seen", 5)] && whole.steps == 10)
            let (expected, lines) = (try whole.trainer.model().weights, try log(root))
            #expect(lines.count == 1 + 4 + 5)
            for end in [".safetensors", "-state.safetensors", "-log.jsonl"] {
                unlink("\(root)/m\(end)")
            }
            let cut = try start(root)
            let told = #expect(throws: USPError.self) {
                try cut.train(progress: { if $0.report.step == 4 { cut.cancel() } })
            }
            #expect(told?.kind == .cancelled && cut.trainer.steps == 4)
            let again = try start(root)
            #expect(again.resumed == 4)
            try again.train()
            let weights = try again.trainer.model().weights
            for name in expected.names {
                #expect(try weights[name].values == expected[name].values)
            }
            #expect(try log(root) == lines.filter { !$0.contains("seen") })
            let other = #expect(throws: USPError.self) {
                try Run(
                    Trainer(again.trainer.model()), on: again.data, to: "\(root)/m.safetensors",
                    again.options)
            }
            #expect(other?.message.contains("an earlier run with model ViT") == true)
            #expect(try start(root) { $0.restart = true }.resumed == 0)
        }
    }

    @Test func whatNoRunMeansIsTold() throws {
        try withRun { root in
            func told(_ change: (inout RunOptions) -> Void) -> String? {
                #expect(throws: USPError.self) { try start(root, change) }?.message
            }
            #expect(told { $0.steps = nil } == "steps, epochs: one of them is needed")
            #expect(told { $0.epochs = 1 } == "steps, epochs: exclude each other")
            #expect(try start(root) { ($0.steps, $0.epochs) = (nil, 2.5) }.steps == 5)
            let run = try start(root)
            try run.trainer.step(run.data.batch(atStep: 0))
            let made = #expect(throws: USPError.self) {
                try Run(run.trainer, on: run.data, to: "\(root)/m.safetensors", run.options)
            }
            #expect(made?.message.contains("has made 1 steps") == true)
        }
    }
}
