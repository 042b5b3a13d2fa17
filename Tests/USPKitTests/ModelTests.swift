// The Swift API: a model that is saved and loaded has the same parameters.

import Foundation
import Testing
import USPKit

@Test func savedModelsComeBack() throws {
    var sizes = MaskedAutoencoder.Configuration()
    sizes.encoder.gridHeight = 4
    sizes.encoder.gridWidth = 4
    sizes.encoder.width = 32
    sizes.encoder.depth = 2
    sizes.encoder.heads = 2
    sizes.decoderWidth = 16
    sizes.decoderDepth = 1
    sizes.decoderHeads = 2
    let model = try MaskedAutoencoder(sizes, seed: 1)
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
