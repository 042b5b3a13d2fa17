// The Swift API: a model that is saved and loaded has the same parameters; masked passes;
// gradients by name.

import Foundation
import Testing
import USPKit

private func smallMaskedAutoencoder() throws -> MaskedAutoencoder {
    var sizes = MaskedAutoencoder.Configuration()
    sizes.grid = Grid(4, 4)
    sizes.width = 32
    sizes.depth = 2
    sizes.heads = 2
    sizes.decoderWidth = 16
    sizes.decoderDepth = 1
    sizes.decoderHeads = 2
    return try MaskedAutoencoder(sizes, seed: 1)
}

@Test func savedModelsComeBack() throws {
    let model = try smallMaskedAutoencoder()
    let path = NSTemporaryDirectory() + "usp-kit-\(getpid()).safetensors"
    defer { unlink(path) }
    try model.save(path)
    let (saved, loaded) = (try model.checkpoint(), try MaskedAutoencoder.load(path).checkpoint())
    let names = saved.entries.map(\.name).sorted()
    #expect(!names.isEmpty && names == loaded.entries.map(\.name).sorted())
    for name in names {
        #expect(try saved.tensor(name).values == loaded.tensor(name).values)
    }
}

@Test func maskedLossesNeedSomethingMasked() throws {
    let model = try smallMaskedAutoencoder()
    let images = try Tensor.normal(model.inputShape(batch: 2), seed: 1)
    var options = MaskedAutoencoder.Options()
    let (output, predicted) = (try model.forward(images), try model.predict(images))
    #expect(output.loss.isFinite && output.mask.values == predicted.mask.values)
    #expect(output.prediction.values == predicted.prediction.values)
    options.maskRatio = 0
    let none = USPError(
        .argument,
        "masked error: 0 of 2 x 16 patches are masked, expected at least one: "
            + "the loss is their mean")
    #expect(throws: none) { try model.forward(images, options) }
    #expect(throws: none) { try model.gradients(images, options) }
    let whole = try model.predict(images, options)
    #expect(whole.mask.values.allSatisfy { $0 == 0 } && whole.prediction.shape == [2, 16, 16])
}

@Test func gradientsOfATrainerAreThoseOfItsModel() throws {
    let model = try smallMaskedAutoencoder()
    let images = try Tensor.normal(model.inputShape(batch: 2), seed: 1)
    var batch = Batch(images)
    batch.noise = try Tensor([2, 16], (0..<32).map { Float($0 * 5 % 32) })
    var options = MaskedAutoencoder.Options()
    (options.noise, options.normalizesPatches) = (batch.noise, true)
    let expected = try model.gradients(images, options)
    let trainer = try Trainer(model)
    let result = try trainer.gradients(batch)
    #expect(result.loss == expected.loss && trainer.steps == 0)
    let names = expected.gradients.entries.map(\.name)
    #expect(names.contains("mask_token") && names == result.gradients.entries.map(\.name))
    for name in names {
        #expect(
            try result.gradients.tensor(name).values == expected.gradients.tensor(name).values)
    }
    #expect(try trainer.step(batch).loss == result.loss)
}

@Test func trainersKeepNamesOnly() throws {
    weak var file: Checkpoint?
    weak var array: Tensor?
    let trainer: Trainer
    do {
        let arrays = try smallMaskedAutoencoder().weights.names.map { name in
            (name: name, tensor: try smallMaskedAutoencoder().weights[name].copied())
        }
        let checkpoint = try Checkpoint(arrays)
        (file, array) = (checkpoint, arrays[0].tensor)
        var options = LoadOptions()
        (options.heads, options.decoderHeads) = (2, 2)
        trainer = try Trainer(try MaskedAutoencoder.load(checkpoint, options))
    }
    #expect(file == nil && array == nil)
    let gradients = try trainer.gradients(Batch(Tensor.normal([1, 4, 8, 8], seed: 1)))
    #expect(gradients.gradients.entries.map(\.name).contains("mask_token"))
}
