// Train a classifier, one step at a time, with batches of one's own.

import USPKit

/// Class 0 is bright on the left, class 1 on the right.
private func batch(_ seed: UInt64, size: Int = 16) throws(USPError) -> Batch {
    var pixels = try Tensor.normal([size, 1, 8, 8], seed: seed).values
    for i in pixels.indices where (i % 8 >= 4) == (i / 64 % 2 == 1) { pixels[i] += 1 }
    return Batch(try Tensor([size, 1, 8, 8], pixels), labels: (0..<size).map { $0 % 2 })
}

func train() throws(USPError) {
    var sizes = ViT.Configuration()
    sizes.grid = Grid(4, 4)
    sizes.channels = 1
    sizes.width = 32
    sizes.depth = 2
    sizes.heads = 2
    sizes.classes = 2

    var options = TrainerOptions()
    options.rate = 1e-2
    options.warmup = 5
    options.weightDecay = 0.05
    options.averageDecay = 0.9
    let trainer = try Trainer(ViT(sizes, seed: 1), options)
    for step in 0..<50 {
        let report = try trainer.step(batch(UInt64(step)))
        if step % 10 == 9 { print("step \(report.step): loss \(report.loss)") }
    }

    guard let trained = try trainer.model(averaged: true) as? ViT else { return }
    let new = try batch(1000)
    let accuracy = try Evaluate.accuracy(trained.logits(new.inputs), labels: new.classes ?? [])
    print("\(Int(100 * accuracy)) % of a new batch are right")
    try trained.save("classifier.safetensors")
    precondition(accuracy > 0.7)
}
