// Stage 2: masked latent modelling.

import USPBase
import USPModels
import USPTensor
import USPTraining

extension Demo {
    var encoderSizes: TransformerSizes {
        TransformerSizes(
            grid: Grid(plan.grid, plan.grid), channels: plan.latentChannels,
            patch: plan.patch, width: plan.width, depth: plan.depth, heads: plan.heads)
    }

    /// Pretrains the masked autoencoder on the latents; beside it stays an untrained one, the
    /// control of everything that follows.
    func pretrain(_ autoencoder: VAE, _ latents: DemoLatents) throws(USPError) {
        if folder.isDone("pretraining") { return }
        let sizes = MaskedAutoencoder.Configuration(
            encoderSizes, decoderWidth: plan.decoderWidth, decoderDepth: plan.decoderDepth,
            decoderHeads: plan.decoderHeads)
        let model = try MaskedAutoencoder(sizes, key: key("masked autoencoder"))
        let control = try MaskedAutoencoder(sizes, key: key("random encoder"))
        try folder.save("random.safetensors", control)
        try stage("pretraining") { () throws(USPError) in
            var options = TrainerOptions()
            options.optimizer = .pretraining
            options.weightDecay = 0.05
            options.schedule = Schedule(
                rate: plan.pretrainingRate, warmup: plan.pretrainingWarmup,
                steps: plan.pretrainingSteps)
            options.arithmetic.compute = plan.compute
            let source = latents.training
            let run = try TrainingRun(
                Trainer(model.parameters, options), count: source.shape[0],
                batch: plan.pretrainingBatch, seed: seed("pretraining"),
                loss: TrainingTask.masking(
                    model,
                    latents: { (indices) throws(USPError) in try source.gatherRows(indices) },
                    ratio: plan.maskRatio, noisy: plan.noisyPretraining))
            try folder.train(
                "pretraining", title: "4/8 masked pretraining", run, steps: plan.pretrainingSteps,
                curve: "pretrain.loss")
            let losses = folder.results[curve: "pretrain.loss"]?.values ?? []
            folder.results[number: "pretrain.loss_first"] = losses.first
            folder.results[number: "pretrain.loss_last"] = losses.last
            try drawMasked(model, autoencoder, latents)
        }
        try folder.save("pretrained.safetensors", model)
        try folder.finish("pretraining")
    }

    /// Visible part, prediction and whole of some test images, decoded.
    private func drawMasked(
        _ model: MaskedAutoencoder, _ autoencoder: VAE, _ latents: DemoLatents
    ) throws(USPError) {
        let count = 12
        let context = Context()
        let x = try latents.test.detachedRows(0..<count)
        let tokens = plan.grid * plan.grid
        let masking = try Masking(
            key: key("masked picture"), batch: count, tokens: tokens, ratio: plan.maskRatio)
        let output = try model.forward(x, masking: masking, in: context)
        let patches = try context.patchify(x, patch: plan.patch, order: .channelLast)
        let completed = try output.prediction.copied()
        let size = patches.shape[2]
        for token in 0..<count * tokens {
            let (source, target) = (patches.floats + token * size, completed.floats + token * size)
            if masking.mask[token] == 0 {
                target.update(from: source, count: size)
            } else {
                denormalise(target, like: source, size)
            }
        }
        let predicted = try autoencoder.decode(model.image(completed, in: context), in: context)
        let whole = try autoencoder.decode(x, in: context)
        let visible = try whole.copied()
        hideMasked(visible, masking)
        let rows = try Tensor([3 * count, 1, 32, 32])
        for (index, part) in [visible, predicted, whole].enumerated() {
            try rows.detachedRows(index * count..<(index + 1) * count).copy(from: part)
        }
        try folder.savePicture("masked.png", ImageGrid(columns: count), rows)
    }

    /// Undoes the target's normalisation with the true patch's statistics, to show the prediction.
    private func denormalise(
        _ values: UnsafeMutablePointer<Float>, like source: UnsafeMutablePointer<Float>, _ size: Int
    ) {
        let truth = UnsafeBufferPointer(start: source, count: size)
        let mean = truth.reduce(0, +) / Float(size)
        let variance = truth.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Float(size - 1)
        let deviation = (variance + 1e-6).squareRoot()
        for index in 0..<size { values[index] = values[index] * deviation + mean }
    }

    /// Paints removed patches grey.
    private func hideMasked(_ images: Tensor, _ masking: Masking) {
        let side = 32 / plan.grid
        for (index, removed) in masking.mask.enumerated() where removed == 1 {
            let (sample, token) = index.quotientAndRemainder(dividingBy: plan.grid * plan.grid)
            let (row, column) = token.quotientAndRemainder(dividingBy: plan.grid)
            for y in 0..<side {
                let line = images.floats + (sample * 32 + row * side + y) * 32 + column * side
                for x in 0..<side { line[x] = 0 }
            }
        }
    }
}
