// Train a LightningDiT whose tokens are turned towards a frozen encoder's (REPA).

import USPKit

/// Or `ViT.load("dinov2_vitb14_pretrain.pth")`.
private func teacher() throws(USPError) -> ViT {
    var sizes = ViT.Configuration()
    (sizes.grid, sizes.channels, sizes.patch) = (Grid(4, 4), 3, 14)
    (sizes.width, sizes.depth, sizes.heads) = (48, 1, 3)
    (sizes.head, sizes.classes) = (.none, 0)
    return try ViT(sizes, seed: 1)
}

func align() throws(USPError) {
    // What stands for images, prepared as the teacher's code does, and for their latents.
    let features = try teacher().tokens(Tensor.normal([4, 3, 56, 56], seed: 1))
    let latents = try Tensor.normal([4, 8, 4, 4], seed: 2)

    let model = try createModel(
        "LightningDiT",
        "grid=4 channels=8 width=32 depth=2 heads=2 classes=10 projections=48 projector=64 "
            + "encoder_depth=1", seed: 1)
    var options = TrainerOptions()
    (options.rate, options.align, options.clipNorm) = (1e-3, 0.5, 1)
    let trainer = try Trainer(model, options)
    var batch = Batch(latents, labels: [0, 3, 7, 9])
    batch.features = [features]
    let first = try trainer.step(batch).loss
    var last = first
    for _ in 1..<50 { last = try trainer.step(batch).loss }
    print("loss \(first), then \(last)")
    precondition(last < first)
}
