// The whole idea in one file, as `usp demo` tells it: an autoencoder, masked pretraining on its
// latents, transfer into a diffusion transformer and a classifier, each beside a fresh start.
// Too few steps to show the effect; `make demo` takes its time.

import USPKit

/// Trains a copy of the model on batches of 64 that go round the set.
private func fit<Trained: Model>(
    _ model: Trained, _ steps: Int, _ options: TrainerOptions, on set: ImageSet,
    _ prepare: (Tensor) throws(USPError) -> Tensor = { (images) throws(USPError) in images }
) throws(USPError) -> Trained {
    let trainer = try Trainer(model, options)
    for step in 0..<steps {
        let (images, labels) = try set.batch((0..<64).map { (64 * step + $0) % set.count })
        let report = try trainer.step(Batch(prepare(images), labels: labels))
        if step == 0 || step == steps - 1 { print("  step \(report.step): loss \(report.loss)") }
    }
    return try trainer.model(averaged: options.averageDecay > 0) as! Trained
}

func demo() throws(USPError) {
    let training = try ImageSet.fashionMNIST(training: true)
    let (real, labels) = try ImageSet.fashionMNIST(training: false).batch(0..<500)

    print(
        "1. An autoencoder: 1x32x32 pixels to 4x8x8 latents, then frozen, its latents scaled to 1")
    var sizes = VAE.Configuration()
    (sizes.imageChannels, sizes.baseWidth, sizes.groups) = (1, 8, 4)
    (sizes.multipliers, sizes.blocksPerLevel) = ([1, 2, 2], 1)
    var options = TrainerOptions()
    options.rate = 2e-3
    let trained = try fit(VAE(sizes, seed: 1), 30, options, on: training)
    let raw = try trained.encode(real).mean.values
    var loading = LoadOptions()
    loading.scale = 1 / (raw.reduce(0) { $0 + $1 * $1 } / Float(raw.count)).squareRoot()
    let vae = try VAE.load(trained.checkpoint(), loading)
    func latents(_ images: Tensor) throws(USPError) -> Tensor { try vae.encode(images).mean }

    print("2. Masked pretraining on latents")
    var masked = MaskedAutoencoder.Configuration()
    (masked.grid, masked.width, masked.depth, masked.heads) = (Grid(4, 4), 64, 2, 4)
    (masked.decoderWidth, masked.decoderDepth, masked.decoderHeads) = (32, 1, 4)
    (options.rate, options.beta2, options.weightDecay) = (1e-3, 0.95, 0.05)
    let fresh = try MaskedAutoencoder(masked, seed: 2)
    let pretrained = try fit(fresh, 30, options, on: training, latents)

    print("A judge of samples: a classifier of images")
    var judging = ViT.Configuration()
    judging.transformer = masked.transformer
    (judging.channels, judging.patch, judging.classes) = (1, 8, 10)
    options.beta2 = 0.999
    let judge = try fit(ViT(judging, seed: 3), 30, options, on: training)

    for (name, source) in [("pretrained", pretrained), ("fresh", fresh)] {
        var target = TransferOptions()
        (target.classes, target.heads) = (10, 4)
        var loading = LoadOptions()
        (loading.family, loading.heads) = ("SiT", 4)

        print("3. A diffusion transformer from the \(name) encoder")
        var flow = TrainerOptions()
        (flow.rate, flow.averageDecay, flow.labelDropout) = (1e-3, 0.9, 0.1)
        let plan = try TransferPlan(source.checkpoint(), to: "SiT", target)
        let sit = try fit(DiT.load(plan.apply(), loading), 30, flow, on: training, latents)
        var run = SampleOptions()
        (run.method, run.steps) = ("euler", 10)
        let noise = try Tensor.normal([500, 4, 8, 8], seed: 4)
        let sampler = try Sampler(.flow(Transport()), run)
        let samples = try vae.decode(sampler.run(sit.denoiser, from: noise, labels: labels))
        let distance = try Evaluate.frechetDistance(judge.features(samples), judge.features(real))

        print("4. A classifier from the \(name) encoder")
        (options.layerDecay, loading.family, target.pool) = (0.75, "ViT", .avg)
        let start = try TransferPlan(source.checkpoint(), to: "ViT", target).apply()
        let vit = try fit(ViT.load(start, loading), 30, options, on: training, latents)
        let accuracy = try Evaluate.accuracy(vit.logits(latents(real)), labels: labels)
        print("\(name): Frechet distance \(distance), accuracy \(accuracy)")
    }
}
