// The Swift API: a model that is saved and loaded has the same parameters; masked passes.

import Foundation
import Testing
import USPKit

private func smallMaskedAutoencoder() throws -> MaskedAutoencoder {
    var sizes = MaskedAutoencoder.Configuration()
    sizes.encoder.gridHeight = 4
    sizes.encoder.gridWidth = 4
    sizes.encoder.width = 32
    sizes.encoder.depth = 2
    sizes.encoder.heads = 2
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
