// Stages 3 and 4: the diffusion transformer, from pretrained weights and from scratch.

import USPBase
import USPDiffusion
import USPEvaluation
import USPModels
import USPTensor
import USPTraining

extension Demo {
    var transformerSizes: DiT.Configuration {
        DiT.Configuration(
            grid: encoderSizes.grid, channels: plan.latentChannels, patch: plan.patch,
            width: plan.width, depth: plan.depth, heads: plan.heads, classes: 10,
            learnsSigma: false, returnsSigma: false, affine: true)
    }

    /// Fine-tunes both transformers with the same seeds, data order and noise, and compares them.
    func generate(
        _ autoencoder: VAE, _ latents: DemoLatents, _ judge: Judge,
        _ real: FeatureStatistics
    ) throws(USPError) {
        for start in ["usp", "scratch"] where !folder.isDone("generation_" + start) {
            let file = start == "usp" ? "pretrained.safetensors" : "random.safetensors"
            let started = try transfer(file, to: transformerSizes)
            let model = try DiT(transformerSizes, started)
            try stage("generation_" + start) { () throws(USPError) in
                try fit(model, start, autoencoder, latents, judge, real)
            }
            try folder.finish("generation_" + start)
        }
        if let usp = folder.results[curve: "generation.usp_frechet"],
            let scratch = folder.results[curve: "generation.scratch_frechet"]
        {
            folder.results[number: "generation.speedup"] = speedup(fast: usp, slow: scratch)
        }
    }

    private func fit(
        _ model: DiT, _ start: String, _ autoencoder: VAE, _ latents: DemoLatents,
        _ judge: Judge, _ real: FeatureStatistics
    ) throws(USPError) {
        var options = TrainerOptions()
        options.schedule = Schedule(rate: plan.generationRate, warmup: plan.generationWarmup)
        options.averageDecay = plan.averageDecay
        options.averageWarmsUp = true
        options.arithmetic.compute = plan.compute
        let (source, labels) = (latents.training, latents.trainingLabels)
        let trainer = try Trainer(model.parameters, options)
        let run = try TrainingRun(
            trainer, count: source.shape[0], batch: plan.generationBatch, seed: seed("generation"),
            loss: TrainingTask.flowing(
                model, Transport(),
                latents: { (indices) throws(USPError) in try source.gatherRows(indices) },
                labels: { (indices) in indices.map { labels[$0] } }, labelDropout: 0.1))
        let curve = "generation.\(start)_frechet"
        let title = start == "usp" ? "5/8 SiT from USP weights" : "6/8 SiT from scratch"
        try folder.train(
            "generation_" + start, title: title, run, steps: plan.generationSteps,
            curve: "generation.\(start)_loss"
        ) { (step) throws(USPError) in
            guard plan.evaluates(at: step) else { return }
            let averaged = try DiT(transformerSizes, trainer.averaged())
            let distance = try evaluate(
                averaged, "samples_\(start)_\(step).png", autoencoder, judge, real)
            var distances = (folder.results[curve: curve] ?? Curve()).upTo(step - 1)
            distances.append(step, distance)
            folder.results[curve: curve] = distances
        }
        try folder.save("sit_\(start).safetensors", DiT(transformerSizes, trainer.averaged()))
    }

    private func evaluate(
        _ model: DiT, _ picture: String, _ autoencoder: VAE, _ judge: Judge,
        _ real: FeatureStatistics
    ) throws(USPError) -> Double {
        let context = Context(compute: plan.compute)
        let judging = SampleJudging(autoencoder: autoencoder, judge: judge, real: real)
        return try distance(judging, samples: plan.samples, picture: picture) {
            (noise, labels, _) throws(USPError) in
            try flow(model, noise, labels, in: context)
        }
    }

    /// Frechet distance of decoded samples to the test images; the first 40 become a picture.
    ///
    /// - draw: latents from noise and labels, with the number of the first sample
    func distance(
        _ judging: SampleJudging, samples: Int, picture: String? = nil,
        _ draw: (Tensor, [Int], Int) throws(USPError) -> Tensor
    ) throws(USPError) -> Double {
        var features = try FeatureAccumulator(width: Judge.features)
        try inBatches(samples, 250) { (range) throws(USPError) in
            let noise = try Tensor.normal(
                [range.count, plan.latentChannels, 8, 8], key("sampling noise"),
                firstSample: range.lowerBound)
            let latents = try draw(noise, range.map { $0 % 10 }, range.lowerBound)
            let images = try judging.autoencoder.decode(latents, in: Context())
            for index in 0..<images.count {
                images.floats[index] = min(max(images.floats[index], -1), 1)
            }
            try features.add(judging.judge.features(images, in: Context()))
            if let picture, range.lowerBound == 0 {
                try folder.savePicture(picture, ImageGrid(columns: 10), images.detachedRows(0..<40))
            }
        }
        return try FrechetDistance.between(features.statistics(), judging.real).value
    }

    /// Latents from noise along the learned velocity, t from 0 to 1, by the solver that comes
    /// nearest to the flow's end with few evaluations. Its first step takes two.
    private func flow(
        _ model: DiT, _ noise: Tensor, _ labels: [Int], in context: Context
    ) throws(USPError) -> Tensor {
        var options = SampleOptions()
        (options.method, options.steps) = ("adams-bashforth", plan.sampleEvaluations)
        let denoiser = Denoiser { (x, times, labels) throws(USPError) in
            try Interrupt.check()
            return try model.forward(x, t: times, y: labels ?? [], in: context)
        }
        return try Sampler(.flow(Transport()), options).run(denoiser, from: noise, labels: labels)
    }
}

/// What latents are decoded and judged with.
struct SampleJudging {
    let autoencoder: VAE
    let judge: Judge
    let real: FeatureStatistics
}
