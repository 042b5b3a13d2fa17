// Stage 1: the autoencoder, its scale, and all latents; and the judge of samples.

import USPBase
import USPFiles
import USPKit
import USPTensor

extension Demo {
    private var autoencoderSizes: VAE.Configuration {
        var sizes = VAE.Configuration()
        sizes.imageChannels = 1
        sizes.baseWidth = plan.autoencoderWidth
        sizes.multipliers = plan.autoencoderMultipliers
        sizes.blocksPerLevel = 1
        sizes.hasMiddleAttention = false
        sizes.latentChannels = plan.latentChannels
        sizes.groups = 8
        return sizes
    }

    /// Trains the autoencoder, measures its latent scale, and freezes it.
    func trainAutoencoder() throws(USPError) -> VAE {
        let path = folder.file("autoencoder.safetensors")
        if folder.isDone("autoencoder") { return try VAE.load(path) }
        var loading = LoadOptions()
        let model = try stage("autoencoder") { () throws(USPError) in
            let model = try fitAutoencoder()
            loading.scale = try measureAutoencoder(model)
            return model
        }
        let scaled = try VAE.load(model.checkpoint(), loading)
        try scaled.save(path)
        try folder.finish("autoencoder")
        return scaled
    }

    private func fitAutoencoder() throws(USPError) -> VAE {
        var options = TrainerOptions()
        (options.rate, options.steps) = (plan.autoencoderRate, plan.autoencoderSteps)
        options.warmup = min(50, plan.autoencoderSteps / 10)
        (options.klWeight, options.seed) = (plan.divergenceWeight, seed("autoencoder"))
        let trainer = try Trainer(VAE(autoencoderSizes, seed: seed("fresh autoencoder")), options)
        try folder.train(
            "autoencoder", title: "1/8 autoencoder", trainer,
            on: images(plan.autoencoderBatch, seed: options.seed), steps: plan.autoencoderSteps,
            curve: "vae.loss")
        return try trained(trainer, as: VAE.self)
    }

    private func images(_ batch: Int, seed: UInt64) throws(USPError) -> DataSet {
        var options = DataOptions()
        (options.batch, options.seed) = (batch, seed)
        return try DataSet(training, options)
    }

    /// The error of its reconstructions goes to the results.
    ///
    /// - Returns: what gives its latents the variance 1
    private func measureAutoencoder(_ model: VAE) throws(USPError) -> Float {
        var plain = VAE.Options()
        plain.scaled = false
        var squares = 0.0
        var (sum, sumOfSquares, count) = (0.0, 0.0, 0)
        try inBatches(test.count, 250) { (range) throws(USPError) in
            let images = try test.batch(range).images
            let latents = try model.encode(images, plain).mean
            for (seen, there) in zip(try model.decode(latents, plain).values, images.values) {
                squares += Double((seen - there) * (seen - there))
            }
            for value in latents.values {
                sum += Double(value)
                sumOfSquares += Double(value) * Double(value)
            }
            count += latents.count
        }
        let (mean, pixels) = (sum / Double(count), 32 * 32 * test.count)
        folder.results[number: "vae.test_mse"] = squares / Double(pixels)
        return Float(1 / max(sumOfSquares / Double(count) - mean * mean, 1e-12).squareRoot())
    }

    /// Posterior means of all images, normalised; kept as a file.
    func encodeLatents(_ model: VAE) throws(USPError) -> DemoLatents {
        let path = folder.file("latents.safetensors")
        if !folder.isDone("latents") {
            try stage("latents") { () throws(USPError) in
                var progress = Progress(
                    "2/8 latents", total: training.count + test.count, unit: "images")
                let trained = try encode(training, model) { progress.update($0) }
                let tested = try encode(test, model) { progress.update(training.count + $0) }
                try Checkpoint([("training", trained), ("test", tested)]).save(path)
                try folder.finish("latents")
            }
        }
        let saved = try Checkpoint.open(path)
        return DemoLatents(
            training: try DataSet(latents: saved.tensor("training"), labels: training.labels),
            test: try saved.tensor("test"), testLabels: test.labels)
    }

    private func encode(
        _ images: ImageSet, _ model: VAE, _ done: (Int) -> Void
    ) throws(USPError) -> Tensor {
        let result = try Tensor([images.count, plan.latentChannels, 8, 8])
        try inBatches(images.count, 250) { (range) throws(USPError) in
            let latents = try model.encode(images.batch(range).images).mean
            try result.detachedRows(range).copy(from: latents)
            done(range.upperBound)
        }
        return result
    }

    /// Trains the classifier in whose features Frechet distances are measured.
    func trainJudge() throws(USPError) -> Judge {
        let path = folder.file("judge.safetensors")
        var loading = LoadOptions()
        loading.compute = plan.compute
        if folder.isDone("judge") { return Judge(model: try ViT.load(path, loading)) }
        let judge = try stage("judge") { () throws(USPError) in
            let judge = Judge(model: try fitJudge())
            folder.results[number: "judge.top1"] = try accuracy(test.count) {
                (range) throws(USPError) in
                let batch = try test.batch(range)
                return (try judge.model.logits(batch.images), batch.labels)
            }
            return judge
        }
        try judge.model.save(path)
        try folder.finish("judge")
        return judge
    }

    private func fitJudge() throws(USPError) -> ViT {
        var options = TrainerOptions()
        (options.rate, options.steps) = (1e-3, plan.judgeSteps)
        options.warmup = min(50, plan.judgeSteps / 10)
        (options.weightDecay, options.dtype, options.seed) = (0.01, plan.compute, seed("judge"))
        let trainer = try Trainer(Judge.fresh(seed: seed("fresh judge")), options)
        try folder.train(
            "judge", title: "3/8 judge of samples", trainer,
            on: images(plan.judgeBatch, seed: options.seed), steps: plan.judgeSteps,
            curve: "judge.loss")
        return try trained(trainer, as: ViT.self)
    }

    /// Share of samples whose highest logit is their label's.
    func accuracy(
        _ count: Int, _ body: (Range<Int>) throws(USPError) -> (logits: Tensor, labels: [Int])
    ) throws(USPError) -> Double {
        var right = 0.0
        try inBatches(count, 500) { (range) throws(USPError) in
            let (logits, labels) = try body(range)
            right += try USPKit.Evaluate.accuracy(logits, labels: labels) * Double(range.count)
        }
        return right / Double(count)
    }

    /// How near the test images' reconstructions come to them.
    func judgeReconstructions(
        _ judging: SampleJudging, _ latents: DemoLatents
    ) throws(USPError) {
        guard folder.results[number: "vae.frechet"] == nil else { return }
        let decoded = try Tensor([test.count, Judge.width])
        try inBatches(test.count, 250) { (range) throws(USPError) in
            let images = try judging.autoencoder.decode(latents.test.detachedRows(range))
            try decoded.detachedRows(range).copy(from: judging.judge.model.features(images))
        }
        folder.results[number: "vae.frechet"] = try USPKit.Evaluate.frechetDistance(
            decoded, judging.real)
        let rows = try Tensor([32, 1, 32, 32])
        try rows.detachedRows(0..<16).copy(from: test.batch(0..<16).images)
        try rows.detachedRows(16..<32).copy(
            from: judging.autoencoder.decode(latents.test.detachedRows(0..<16)))
        try folder.savePicture("reconstructions.png", ImageGrid(columns: 16), rows)
        try folder.saveResults()
    }
}
