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
        let (prediction, mask) = try model.predict(x, options)
        let completed = try prediction.copied()
        let tokens = plan.grid * plan.grid
        for token in 0..<count * tokens {
            complete(
                completed.floats + token * model.patchSize, like: patch(x, token),
                isMasked: mask.floats[token] == 1)
        }
        let predicted = try autoencoder.decode(model.image(completed))
        let whole = try autoencoder.decode(x)
        let visible = try whole.copied()
        hideMasked(visible, mask.values)
        let rows = try Tensor([3 * count, 1, 32, 32])
        for (index, part) in [visible, predicted, whole].enumerated() {
            try rows.detachedRows(index * count..<(index + 1) * count).copy(from: part)
        }
        try folder.savePicture("masked.png", ImageGrid(columns: count), rows)
    }

    /// The values of one token's patch, the channel fastest.
    private func patch(_ x: Tensor, _ token: Int) -> [Float] {
        let (side, size) = (8, plan.patch)
        let (sample, place) = token.quotientAndRemainder(dividingBy: plan.grid * plan.grid)
        let (row, column) = place.quotientAndRemainder(dividingBy: plan.grid)
        var values: [Float] = []
        for y in row * size..<(row + 1) * size {
            for x0 in column * size..<(column + 1) * size {
                for channel in 0..<plan.latentChannels {
                    let plane = sample * plan.latentChannels + channel
                    values.append(x.floats[(plane * side + y) * side + x0])
                }
            }
        }
        return values
    }

    /// A visible patch is the truth; of a masked one the target's normalisation is undone with the
    /// true patch's statistics, to show the prediction.
    private func complete(
        _ values: UnsafeMutablePointer<Float>, like truth: [Float], isMasked: Bool
    ) {
        guard isMasked else { return truth.indices.forEach { values[$0] = truth[$0] } }
        let count = Float(truth.count)
        let mean = truth.reduce(0, +) / count
        let variance = truth.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / (count - 1)
        let deviation = (variance + 1e-6).squareRoot()
        for index in truth.indices { values[index] = values[index] * deviation + mean }
    }

    /// Paints removed patches grey.
    private func hideMasked(_ images: Tensor, _ mask: [Float]) {
        let side = 32 / plan.grid
        for (index, removed) in mask.enumerated() where removed == 1 {
            let (sample, token) = index.quotientAndRemainder(dividingBy: plan.grid * plan.grid)
            let (row, column) = token.quotientAndRemainder(dividingBy: plan.grid)
            for y in 0..<side {
                let line = images.floats + (sample * 32 + row * side + y) * 32 + column * side
                for x in 0..<side { line[x] = 0 }
            }
        }
    }
}
