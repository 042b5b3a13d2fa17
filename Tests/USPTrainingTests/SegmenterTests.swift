// Segmentation networks against PyTorch: loaded from the names of mmsegmentation, of BEiT and of our
// own files; outputs, losses, all gradients, what training moves, what is refused.

import Foundation
import TestSupport
import Testing
import USPBase
import USPData
import USPFiles
import USPModels
import USPTensor
import USPTraining

@Suite struct SegmenterTests {
    static let cases = ["mmseg", "beit", "plain", "linear"]

    private struct Loaded {
        let golden: GoldenCase
        let model: Segmenter
        let images: Tensor
        let labels: Tensor
    }

    private func load(_ name: String) throws -> Loaded {
        let golden = try GoldenCase("models/segmenter_\(name)")
        var options = LoadOptions()
        options.heads = 2
        if name == "plain" { (options.grid, options.outIndices) = (Grid(4, 6), [0, 0, 1, 1]) }
        if name == "linear" { options.grid = Grid(4, 5) }
        let path = try #require(golden.line["params"] as? String)
        let model = try Segmenter.load(
            goldenFolder.appending(path: path).path(percentEncoded: false), options)
        let images = try golden.tensor("in.images")
        let wanted = try golden.indices("in.labels")
        let labels = try Tensor([3, wanted.count / 3 / 31, 31], .int64)
        for (index, label) in wanted.enumerated() {
            labels.raw.assumingMemoryBound(to: Int64.self)[index] = Int64(label)
        }
        return Loaded(golden: golden, model: model, images: images, labels: labels)
    }

    @Test(arguments: cases) func sizesAreInferred(_ name: String) throws {
        let loaded = try load(name)
        let sizes = loaded.model.configuration
        #expect(sizes.outIndices == loaded.golden.config["out_indices"] as? [Int])
        #expect(sizes.classes == 7 && sizes.heads == 2 && sizes.width == 16)
        #expect(sizes.head == (name == "linear" ? .linear : .upernet))
        #expect(sizes.relativePositions == ["mmseg", "beit"].contains(name))
        #expect(sizes.absolutePositions == (name != "beit"))
        #expect(sizes.layerScale == ["mmseg", "beit"].contains(name))
        // Written under our own names, it is the same model.
        let again = try Segmenter.load(try loaded.model.checkpoint())
        #expect(again.configuration == sizes)
        #expect(
            try again.logits(loaded.images).values == loaded.model.logits(loaded.images).values)
    }

    @Test(arguments: cases) func outputsMatchPyTorch(_ name: String) throws {
        let loaded = try load(name)
        let (golden, model) = (loaded.golden, loaded.model)
        let logits = try model.logits(loaded.images)
        #expect(try golden.error(logits.values, "logits") < 1e-5)
        let resized = try model.logits(loaded.images, height: 19, width: 23)
        #expect(resized.shape == [3, 7, 19, 23])
        #expect(try golden.error(resized.values, "resized") < 1e-5)
        guard golden.names("in.").contains("other") else {
            let other = try Tensor.zeros([1, 4, 10, 12])
            let error = #expect(throws: USPError.self) { _ = try model.logits(other) }
            #expect(error?.message.contains("relative positions are of") == true)
            return
        }
        let other = try model.logits(golden.tensor("in.other"))
        #expect(try golden.error(other.values, "other") < 1e-5)
    }

    @Test(arguments: cases) func gradientsMatchPyTorch(_ name: String) throws {
        let loaded = try load(name)
        let before = loaded.model.parameters.fingerprint
        for (key, isBatch) in [("all", false), ("batch", true)] {
            var options = Segmenter.Options()
            options.batchStatistics = isBatch
            let result = try loaded.model.gradients(loaded.images, labels: loaded.labels, options)
            let wanted = try loaded.golden.values("out.loss.\(key)")
            #expect(relativeError([result.loss], wanted) < 1e-5)
            let names = loaded.golden.names("grad_\(key).")
            #expect(Set(names) == Set(result.gradients.entries.map(\.name)))
            for name in names where !isIllDetermined(name, isBatch) {
                let own = try result.gradients.tensor(name)
                let expected = try loaded.golden.values("grad_\(key).\(name)")
                #expect(relativeError(own, expected) < 1e-4, "\(key) \(name)")
            }
        }
        var valid = Segmenter.Options()
        valid.average = .valid
        let loss = try loaded.model.gradients(loaded.images, labels: loaded.labels, valid).loss
        #expect(relativeError([loss], try loaded.golden.values("out.loss.valid")) < 1e-5)
        #expect(loaded.model.parameters.fingerprint == before)
    }

    /// Zero but for rounding.
    private func isIllDetermined(_ name: String, _ isBatch: Bool) -> Bool {
        name.hasSuffix("qkv.bias")
            || isBatch && ["upsample", "fpn1", "fpn2"].contains { name.contains($0) }
                && name.hasSuffix("bias")
            || isBatch && name.hasPrefix("backbone.norm.")
    }

    @Test func trainingMovesStatisticsAndHead() throws {
        for name in ["plain", "linear"] {
            let loaded = try load(name)
            var options = TrainerOptions()
            (options.rate, options.headOnly) = (0, true)
            let trainer = try Trainer(loaded.model, options)
            var batch = Batch(loaded.images)
            batch.labels = .map(loaded.labels)
            let loss = try trainer.step(batch).loss
            #expect(relativeError([loss], try loaded.golden.values("out.loss.batch")) < 1e-5)
            let trained = try #require(trainer.model() as? Segmenter)
            for name in loaded.golden.names("moved.") {
                let moved = try loaded.golden.values("moved.\(name)")
                #expect(relativeError(try trained.weights[name], moved) < 1e-5, "\(name)")
            }
            let gradients = try trainer.gradients(batch).gradients.entries.map(\.name)
            #expect(!gradients.isEmpty && !gradients.contains { $0.hasPrefix("backbone.") })
        }
    }

    @Test func featuresTrainALinearHeadAsImagesDo() throws {
        let loaded = try load("linear")
        let maps = try loaded.model.maps(loaded.images, in: Context())
        let joined = try Context().toChannelsFirst(Context().concatenateChannels(maps))
        var options = TrainerOptions()
        (options.rate, options.headOnly) = (1e-2, true)
        var results: [[Float]] = []
        for inputs in [loaded.images, joined] {
            let trainer = try Trainer(loaded.model, options)
            var batch = Batch(inputs)
            batch.labels = .map(loaded.labels)
            for _ in 0..<3 { try trainer.step(batch) }
            results.append(try trainer.model().weights["decode_head.conv_seg.weight"].values)
        }
        #expect(results[0] == results[1])
        let own = try loaded.model.weights["decode_head.conv_seg.weight"].values
        #expect(results[0] != own)
    }

    @Test func refusals() throws {
        let loaded = try load("plain")
        func message(_ body: () throws -> Void) -> String {
            do { try body() } catch let error as USPError { return error.message } catch {}
            return ""
        }
        var one = Segmenter.Options()
        one.batchStatistics = true
        let single = try loaded.images.detachedRows(0..<1)
        let label = try loaded.labels.detachedRows(0..<1)
        #expect(
            message { _ = try loaded.model.gradients(single, labels: label, one) }
                .contains("batch of 1"))
        let wrong = try Tensor.zeros([3, 4, 4], .uint8)
        wrong.raw.storeBytes(of: 9, as: UInt8.self)
        #expect(
            message { _ = try loaded.model.gradients(loaded.images, labels: wrong) }
                .contains("label 9"))
        var batch = Batch(loaded.images)
        let trainer = try Trainer(loaded.model)
        #expect(message { try trainer.step(batch) }.contains("expected maps"))
        batch.labels = .map(try Tensor.zeros([2, 4, 4], .uint8))
        #expect(message { try trainer.step(batch) }.contains("labels"))
        var dropping = TrainerOptions()
        dropping.dropout = 0.1
        #expect(throws: USPError.self) { _ = try Trainer(MaskedAutoencoder(), dropping) }
    }

    @Test func createdModelsStartAsPublished() throws {
        var sizes = Segmenter.Configuration()
        try sizes.apply(
            "grid=4 width=32 depth=6 heads=2 classes=5 head_channels=16 layer_scale=yes")
        let model = try Segmenter(sizes, seed: 1)
        #expect(model.configuration.outIndices == [1, 2, 3, 5])
        #expect(model.configuration.headChannels == 16)
        let weights = model.weights
        #expect(try weights["backbone.blocks.0.ls1.gamma"].values.allSatisfy { $0 == 1 })
        let fusion = try weights["decode_head.fpn_bottleneck.conv.weight"].values
        let deviation = (fusion.reduce(0) { $0 + $1 * $1 } / Float(fusion.count)).squareRoot()
        #expect(abs(deviation - (2 / Float(16 * 9)).squareRoot()) < 4e-3)
        let bound = 1 / Float(4 * 32).squareRoot()
        let doubling = try weights["neck.upsample_2x.0.weight"].values
        #expect(doubling.allSatisfy { abs($0) <= bound })
        try sizes.apply("head=linear")
        let linear = try Segmenter(sizes)
        #expect(linear.configuration.outIndices == [5])
        #expect(try linear.logits(Tensor.zeros([1, 4, 8, 8])).shape == [1, 5, 4, 4])
        #expect(throws: USPError.self) {
            try sizes.apply("out_indices=1,9"); try sizes.check()
        }
    }
}
