// Move a pretrained masked autoencoder's weights into a diffusion transformer.

import USPKit

func transfer() throws(USPError) {
    var sizes = MaskedAutoencoder.Configuration()
    sizes.grid = Grid(4, 4)
    sizes.width = 32
    sizes.depth = 2
    sizes.heads = 2
    sizes.decoderWidth = 16
    sizes.decoderDepth = 1
    sizes.decoderHeads = 2
    let pretrained = try MaskedAutoencoder(sizes, seed: 1)

    // "SiT" takes the source's sizes; a published name such as "SiT-XL/2" has its own.
    var options = TransferOptions()
    options.grid = Grid(6, 6)
    options.classes = 10
    let plan = try TransferPlan(pretrained.checkpoint(), to: "SiT", options)
    print(plan.text)

    var loading = LoadOptions()
    loading.family = "SiT"
    loading.heads = 2
    let model = try DiT.load(plan.apply(), loading)
    print("a \(model.family) of \(model.weights.count) parameters")
    try model.save("sit.safetensors")
}
