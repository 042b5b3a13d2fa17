// Stage 1: the autoencoder, its scale, and all latents; and the judge of samples.

import USPBase
import USPData
import USPEvaluation
import USPFiles
import USPModels
import USPTensor
import USPTraining

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
        let sizes = autoencoderSizes
        let model = try VAE(sizes, key: key("autoencoder"))
        let name = "autoencoder.safetensors"
        if folder.isDone("autoencoder") {
            try folder.load(name, into: model.parameters)
        } else {
            try stage("autoencoder") { () throws(USPError) in
                try fitAutoencoder(model)
                try measureAutoencoder(model)
            }
        }
        var normalised = sizes
        normalised.normalization = LatentNormalization(
            scale: [Float(folder.results[number: "vae.scale"] ?? 1)])
        let finished = try VAE(normalised, model.parameters)
        if !folder.isDone("autoencoder") {
            try folder.save(name, finished)
            try folder.finish("autoencoder")
        }
        return finished
    }

    private func fitAutoencoder(_ model: VAE) throws(USPError) {
        var options = TrainerOptions()
        options.schedule = Schedule(
            rate: plan.autoencoderRate, warmup: min(50, plan.autoencoderSteps / 10),
            steps: plan.autoencoderSteps)
        let images = training
        let run = try TrainingRun(
            Trainer(model.parameters, options), count: training.count, batch: plan.autoencoderBatch,
            seed: seed("autoencoder"),
            loss: TrainingTask.autoencoding(
                model, images: { (indices) throws(USPError) in try images.batch(indices) },
                divergenceWeight: plan.divergenceWeight))
        try folder.train(
            "autoencoder", title: "1/8 autoencoder", run, steps: plan.autoencoderSteps,
            curve: "vae.loss")
    }

    private func measureAutoencoder(_ model: VAE) throws(USPError) {
        var squares = 0.0
        var (sum, sumOfSquares, count) = (0.0, 0.0, 0)
        let context = Context()
        try inBatches(test.count, 250) { (range) throws(USPError) in
            let images = try test.batch(Array(range))
            let latents = try model.encode(images, normalizes: false, in: context)
            let error = try context.meanSquaredError(
                model.decode(latents, normalized: false, in: context), images)
            squares += Double(error.floats[0]) * Double(range.count)
            for value in latents.values {
                sum += Double(value)
                sumOfSquares += Double(value) * Double(value)
            }
            count += latents.count
        }
        let mean = sum / Double(count)
        folder.results[number: "vae.test_mse"] = squares / Double(test.count)
        folder.results[number: "vae.scale"] =
            1 / max(sumOfSquares / Double(count) - mean * mean, 1e-12).squareRoot()
    }

    /// Posterior means of all images, normalised; kept as a file.
    func encodeLatents(_ model: VAE) throws(USPError) -> DemoLatents {
        let (trainingLabels, testLabels) = (
            try training.labels(Array(0..<training.count)), try test.labels(Array(0..<test.count))
        )
        let path = folder.file("latents.safetensors")
        if folder.isDone("latents") {
            let archive = try Archive.open(path)
            return DemoLatents(
                training: try archive.entry("training").tensor(), trainingLabels: trainingLabels,
                test: try archive.entry("test").tensor(), testLabels: testLabels)
        }
        return try stage("latents") { () throws(USPError) in
            var progress = Progress(
                "2/8 latents", total: training.count + test.count, unit: "images")
            let trained = try encode(training, model) { progress.update($0) }
            let tested = try encode(test, model) { progress.update(training.count + $0) }
            try Safetensors.write(
                path, [ArrayOutput("training", trained), ArrayOutput("test", tested)])
            try folder.finish("latents")
            return DemoLatents(
                training: trained, trainingLabels: trainingLabels, test: tested,
                testLabels: testLabels)
        }
    }

    private func encode(
        _ images: LabelledImages, _ model: VAE, _ done: (Int) -> Void
    ) throws(USPError) -> Tensor {
        let result = try Tensor([images.count, plan.latentChannels, 8, 8])
        try inBatches(images.count, 250) { (range) throws(USPError) in
            let latents = try model.encode(images.batch(Array(range)), in: Context())
            try result.detachedRows(range).copy(from: latents)
            done(range.upperBound)
        }
        return result
    }

    /// Trains the classifier in whose features Frechet distances are measured.
    func trainJudge() throws(USPError) -> Judge {
        let judge = try Judge()
        judge.parameters.initialize(key("judge"))
        if folder.isDone("judge") {
            try folder.load("judge.safetensors", into: judge.parameters)
            return judge
        }
        try stage("judge") { () throws(USPError) in
            var options = TrainerOptions()
            options.schedule = Schedule(
                rate: 1e-3, warmup: min(50, plan.judgeSteps / 10), steps: plan.judgeSteps)
            options.weightDecay = 0.01
            let images = training
            let run = try TrainingRun(
                Trainer(judge.parameters, options), count: training.count, batch: plan.judgeBatch,
                seed: seed("judge")
            ) { (context, batch) throws(USPError) in
                let logits = try judge.logits(images.batch(batch.indices), in: context)
                return .scalar(
                    try context.softmaxCrossEntropy(
                        logits: logits, labels: images.labels(batch.indices)))
            }
            try folder.train(
                "judge", title: "3/8 judge of samples", run, steps: plan.judgeSteps,
                curve: "judge.loss")
            folder.results[number: "judge.top1"] = try accuracy(test.count) {
                (range) throws(USPError) in
                let logits = try judge.logits(test.batch(Array(range)), in: Context())
                return (logits, try test.labels(Array(range)))
            }
        }
        try folder.save("judge.safetensors", judge.parameters)
        try folder.finish("judge")
        return judge
    }

    /// Share of samples whose highest logit is their label's.
    func accuracy(
        _ count: Int, _ body: (Range<Int>) throws(USPError) -> (logits: Tensor, labels: [Int])
    ) throws(USPError) -> Double {
        var tally = try TopAccuracy([1])
        try inBatches(count, 500) { (range) throws(USPError) in
            let (logits, labels) = try body(range)
            try tally.add(logits, labels: labels)
        }
        return tally.shares.first ?? 0
    }

    /// Feature statistics of the test images, and how near their reconstructions come.
    func judgeTestImages(
        _ judge: Judge, _ model: VAE, _ latents: DemoLatents
    ) throws(USPError) -> FeatureStatistics {
        var real = try FeatureAccumulator(width: Judge.features)
        try inBatches(test.count, 500) { (range) throws(USPError) in
            try real.add(judge.features(test.batch(Array(range)), in: Context()))
        }
        let statistics = try real.statistics()
        if folder.results[number: "vae.frechet"] == nil {
            var decoded = try FeatureAccumulator(width: Judge.features)
            try inBatches(test.count, 250) { (range) throws(USPError) in
                let images = try model.decode(latents.test.detachedRows(range), in: Context())
                try decoded.add(judge.features(images, in: Context()))
            }
            folder.results[number: "vae.frechet"] = try FrechetDistance.between(
                decoded.statistics(), statistics
            ).value
            try drawReconstructions(model, latents)
            try folder.saveResults()
        }
        return statistics
    }

    private func drawReconstructions(_ model: VAE, _ latents: DemoLatents)
        throws(USPError)
    {
        let rows = try Tensor([32, 1, 32, 32])
        try rows.detachedRows(0..<16).copy(from: test.batch(Array(0..<16)))
        try rows.detachedRows(16..<32).copy(
            from: model.decode(latents.test.detachedRows(0..<16), in: Context()))
        try folder.savePicture("reconstructions.png", ImageGrid(columns: 16), rows)
    }
}
