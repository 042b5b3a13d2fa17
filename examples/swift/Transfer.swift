// Move a pretrained masked autoencoder's weights into a diffusion transformer.

import USPKit

func transfer() throws(USPError) {
    var sizes = MaskedAutoencoder.Configuration()
    sizes.encoder.gridHeight = 4
    sizes.encoder.gridWidth = 4
    sizes.encoder.width = 32
    sizes.encoder.depth = 2
    sizes.encoder.heads = 2
    sizes.decoderWidth = 16
    sizes.decoderDepth = 1
    sizes.decoderHeads = 2
    let pretrained = try MaskedAutoencoder(sizes, seed: 1)

    // "SiT" takes the source's sizes; a published name such as "SiT-XL/2" has its own.
    var options = Transfer.Options()
    options.grid = (height: 6, width: 6)
    options.classes = 10
    let plan = try Transfer(pretrained.checkpoint(), to: "SiT", options)
    print(plan.text)

    var loading = LoadOptions()
    loading.family = "SiT"
    loading.heads = 2
    let model = try DiT.load(plan.apply(), loading)
    print("a \(model.family) of \(model.weights.count) parameters")
    try model.save("out/examples/sit.safetensors")
}
