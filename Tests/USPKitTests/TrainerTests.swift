// The trainer of the Swift API: options that change a loss or an update, and those it refuses;
// families that a file tells.

import Foundation
import TestSupport
import Testing
import USPBase
import USPKit
import USPTensor

private func encoder() -> TransformerSizes {
    var sizes = TransformerSizes()
    (sizes.grid, sizes.width, sizes.depth, sizes.heads) = (Grid(4, 4), 32, 1, 2)
    return sizes
}

private func classifier(head: ViT.Head = .linear) throws -> ViT {
    var sizes = ViT.Configuration()
    (sizes.transformer, sizes.head, sizes.classes) = (encoder(), head, 5)
    return try ViT(sizes, seed: 1)
}

private func autoencoder() throws -> MaskedAutoencoder {
    var sizes = MaskedAutoencoder.Configuration()
    (sizes.transformer, sizes.decoderWidth, sizes.decoderDepth) = (encoder(), 16, 1)
    sizes.decoderHeads = 2
    return try MaskedAutoencoder(sizes, seed: 1)
}

/// Blocks and the last layer are random: fresh ones ignore time and label.
private func transformer(_ family: String) throws -> DiT {
    var sizes = DiT.Configuration()
    sizes.returnsSigma = family == "DiT"
    (sizes.grid, sizes.width, sizes.depth, sizes.heads) = (Grid(4, 4), 32, 1, 2)
    sizes.classes = 5
    let model = try DiT(sizes, seed: 1)
    for name in model.weights.names where name != "pos_embed" {
        let weight = try model.weights[name]
        try weight.copy(from: randomTensor(weight.shape, name, scale: 0.1))
    }
    return model
}

private func batch(_ labels: [Int]? = nil) throws -> Batch {
    Batch(try normalTensor([4, 4, 8, 8], seed: 1), labels: labels)
}

@Suite struct TrainerOptionTests {
    @Test func valuesThatNoTrainingMeansAreRefused() throws {
        let model = try classifier()
        func told(
            _ other: (any Model)? = nil, _ change: (inout TrainerOptions) -> Void
        ) -> String? {
            var options = TrainerOptions()
            change(&options)
            return #expect(throws: USPError.self) { try Trainer(other ?? model, options) }?.message
        }
        #expect(told { $0.rate = .infinity } == "rate: inf, expected a number of 0 or more")
        #expect(told { $0.clipNorm = -1 } == "clip_norm: -1, expected a number of 0 or more")
        #expect(told { $0.beta2 = 1 } == "beta2: 1, expected a number of 0 to below 1")
        #expect(
            told { $0.labelSmoothing = 1.5 } == "label_smoothing: 1.5, expected a number of 0 to 1")
        let dit = try transformer("DiT")
        #expect(
            told(dit) { $0.labelDropout = 1.5 } == "label_dropout: 1.5, expected a number of 0 to 1"
        )
        #expect(
            told(dit) { $0.maskRatio = 0.5 } == "mask_ratio: has no part in a DiT, only in MAE")
    }

    /// What the header promises for fields that are 0.
    @Test func whatIsNotSaidIsThePublishedValue() {
        let options = TrainerOptions()
        #expect(options.beta1 == 0.9 && options.beta2 == 0.999 && options.maskRatio == 0.75)
        #expect(options.rate == 1e-4 && options.klWeight == 1e-6)
        let sampling = SampleOptions()
        #expect(sampling.atol == 1e-6 && sampling.rtol == 1e-3 && sampling.lastStepSize == 0.04)
    }

    /// LARS moves a matrix by rate · 0.001 · ‖p‖/‖g‖ · g in its first step.
    @Test func probesTrustAThousandth() throws {
        let model = try classifier(head: .probe)
        var options = TrainerOptions()
        (options.optimizer, options.rate, options.headOnly) = (.lars, 0.5, true)
        let trainer = try Trainer(model, options)
        let batch = try batch([0, 1, 2, 3])
        let name = "head.1.weight"
        let gradient = try trainer.gradients(batch).gradients.tensor(name).values
        try trainer.step(batch)
        let before = try model.weights[name].values
        let after = try trainer.model().weights[name].values
        func norm(_ x: [Float]) -> Float { x.reduce(0) { $0 + $1 * $1 }.squareRoot() }
        let scale = 0.5 * 0.001 * norm(before) / norm(gradient)
        let moved = zip(after, before).map { $0 - $1 }
        #expect(relativeError(moved, gradient.map { -scale * $0 }) < 1e-3)
    }

    /// MAE's fine-tuning: the class token and the positions do not decay, matrices do.
    @Test func classifiersKeepTheirTokenAndPositions() throws {
        let model = try classifier()
        func trained(_ decay: Float) throws -> any Model {
            var options = TrainerOptions()
            (options.rate, options.weightDecay) = (0.01, decay)
            let trainer = try Trainer(model, options)
            try trainer.step(batch([0, 1, 2, 3]))
            return try trainer.model()
        }
        let (plain, decayed) = (try trained(0), try trained(0.5))
        for name in ["cls_token", "pos_embed", "blocks.0.mlp.fc1.bias"] {
            #expect(try plain.weights[name].values == decayed.weights[name].values)
        }
        let name = "blocks.0.mlp.fc1.weight"
        let expected = try zip(plain.weights[name].values, model.weights[name].values).map {
            $0 - 0.01 * 0.5 * $1
        }
        #expect(relativeError(try decayed.weights[name], expected) < 1e-5)
    }

    @Test func plainPatchesAreComparedPlainly() throws {
        let model = try autoencoder()
        var options = TrainerOptions()
        options.normPixLoss = false
        var batch = try batch()
        batch.noise = try Tensor([4, 16], (0..<64).map { Float($0 * 5 % 64) })
        var pass = MaskedAutoencoder.Options()
        (pass.noise, pass.normalizesPatches) = (batch.noise, false)
        let expected = try model.forward(batch.inputs, pass).loss
        #expect(try Trainer(model, options).step(batch).loss == expected)
    }

    @Test(arguments: ["DiT", "SiT"]) func allLabelsDroppedAreNone(_ family: String) throws {
        let model = try transformer(family)
        var options = TrainerOptions()
        options.labelDropout = 1
        let dropped = try Trainer(model, options).step(batch([0, 1, 2, 3])).loss
        let none = try Trainer(model).step(batch()).loss
        let given = try Trainer(model).step(batch([0, 1, 2, 3])).loss
        #expect(dropped == none && dropped != given)
        let told = #expect(throws: USPError.self) {
            try Trainer(model).step(batch([0, 1, 2, 3, 4]))
        }
        #expect(told?.message == "labels: 5, expected 4")
    }
}

@Suite struct FamilyTests {
    @Test func filesTellTheirFamily() throws {
        let models: [any Model] = [
            try autoencoder(), try classifier(), try transformer("DiT"), try transformer("SiT"),
        ]
        for model in models {
            let path = NSTemporaryDirectory() + "usp-family-\(getpid()).safetensors"
            defer { unlink(path) }
            try model.save(path)
            let again = try loadModel(path)
            #expect(again.family == model.family)
            // Without our texts the tensors tell, but for SiT, which has DiT's.
            var options = LoadOptions()
            options.heads = 2
            options.decoderHeads = model.family == "MAE" ? 2 : nil
            let bare = try loadModel(
                Checkpoint(model.weights.names.map { ($0, try model.weights[$0]) }), options)
            #expect(bare.family == (model.family == "SiT" ? "DiT" : model.family))
        }
    }
}
