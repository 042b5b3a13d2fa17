// Stage 2: masked latent modelling.

import USPBase
import USPKit
import USPTensor

extension Demo {
    /// Pretrains the masked autoencoder on the latents; beside it stays an untrained one, the
    /// control of everything that follows.
    func pretrain(_ autoencoder: VAE, _ latents: DemoLatents) throws(USPError) {
        if folder.isDone("pretraining") { return }
        var sizes = MaskedAutoencoder.Configuration()
        sizes.transformer = TransformerSizes(
            grid: Grid(plan.grid, plan.grid), channels: plan.latentChannels, patch: plan.patch,
            width: plan.width, depth: plan.depth, heads: plan.heads)
        (sizes.decoderWidth, sizes.decoderDepth) = (plan.decoderWidth, plan.decoderDepth)
        sizes.decoderHeads = plan.decoderHeads
        let control = try MaskedAutoencoder(sizes, seed: seed("random encoder"))
        try control.save(folder.file("random.safetensors"))
        let fresh = try MaskedAutoencoder(sizes, seed: seed("masked autoencoder"))
        try stage("pretraining") { () throws(USPError) in
            let model = try fit(fresh, latents)
            let losses = folder.results[curve: "pretrain.loss"]?.values ?? []
            folder.results[number: "pretrain.loss_first"] = losses.first
            folder.results[number: "pretrain.loss_last"] = losses.last
            try drawMasked(model, autoencoder, latents)
            try model.save(folder.file("pretrained.safetensors"))
        }
        try folder.finish("pretraining")
    }

    private func fit(
        _ fresh: MaskedAutoencoder, _ latents: DemoLatents
    ) throws(USPError) -> MaskedAutoencoder {
        var options = TrainerOptions()
        (options.beta2, options.weightDecay) = (0.95, 0.05)
        (options.rate, options.steps) = (plan.pretrainingRate, plan.pretrainingSteps)
        (options.warmup, options.dtype) = (plan.pretrainingWarmup, plan.compute)
        (options.maskRatio, options.addNoise) = (plan.maskRatio, plan.noisyPretraining)
        options.seed = seed("pretraining")
        let trainer = try Trainer(fresh, options)
        try folder.train(
            "pretraining", title: "4/8 masked pretraining", trainer,
            on: latents.training(plan.pretrainingBatch, seed: options.seed),
            steps: plan.pretrainingSteps, curve: "pretrain.loss")
        return try trained(trainer, as: MaskedAutoencoder.self)
    }

    /// Visible part, prediction and whole of some test images, decoded.
    private func drawMasked(
        _ model: MaskedAutoencoder, _ autoencoder: VAE, _ latents: DemoLatents
    ) throws(USPError) {
        let count = 12
        let x = try latents.test.detachedRows(0..<count)
        var options = MaskedAutoencoder.Options()
        (options.maskRatio, options.seed) = (plan.maskRatio, seed("masked picture"))
        options.normalizesPatches = true
        let (completed, mask) = try model.completion(of: x, options)
        let predicted = try autoencoder.decode(completed)
        let whole = try autoencoder.decode(x)
        let visible = try model.hiding(mask, in: whole)
        let rows = try Tensor([3 * count, 1, 32, 32])
        for (index, part) in [visible, predicted, whole].enumerated() {
            try rows.detachedRows(index * count..<(index + 1) * count).copy(from: part)
        }
        try folder.savePicture("masked.png", ImageGrid(columns: count), rows)
    }
}
