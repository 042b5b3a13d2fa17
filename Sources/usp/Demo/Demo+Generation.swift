// Stages 3 and 4: the diffusion transformer, from pretrained weights and from scratch.

import USPBase
import USPKit
import USPTensor

extension Demo {
    /// Fine-tunes both transformers with the same seeds, data order and noise, and compares them.
    func generate(_ judging: SampleJudging, _ latents: DemoLatents) throws(USPError) {
        for start in ["usp", "scratch"] where !folder.isDone("generation_" + start) {
            let file = start == "usp" ? "pretrained.safetensors" : "random.safetensors"
            let started = try transfer(file, to: "SiT") { $0.gateBias = plan.gateBias }
            let model = try DiT.load(started, loading("SiT"))
            try stage("generation_" + start) { () throws(USPError) in
                try fit(model, start, latents, judging)
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
        _ model: DiT, _ start: String, _ latents: DemoLatents, _ judging: SampleJudging
    ) throws(USPError) {
        var options = TrainerOptions()
        (options.rate, options.warmup) = (plan.generationRate, plan.generationWarmup)
        (options.averageDecay, options.averageWarmsUp) = (plan.averageDecay, true)
        (options.labelDropout, options.dtype) = (0.1, plan.compute)
        options.seed = seed("generation")
        let trainer = try Trainer(model, options)
        let curve = "generation.\(start)_frechet"
        let title = start == "usp" ? "5/8 SiT from USP weights" : "6/8 SiT from scratch"
        try folder.train(
            "generation_" + start, title: title, trainer,
            on: latents.training(plan.generationBatch, seed: options.seed),
            steps: plan.generationSteps, curve: "generation.\(start)_loss"
        ) { (step) throws(USPError) in
            guard plan.evaluates(at: step) else { return }
            let averaged = try trained(trainer, averaged: true, as: DiT.self)
            let distance = try distance(
                judging, samples: plan.samples, picture: "samples_\(start)_\(step).png"
            ) { (noise, labels, _) throws(USPError) in try flow(averaged, noise, labels) }
            var distances = (folder.results[curve: curve] ?? Curve()).upTo(step - 1)
            distances.append(step, distance)
            folder.results[curve: curve] = distances
            try folder.saveResults()
        }
        try trained(trainer, averaged: true, as: DiT.self).save(
            folder.file("sit_\(start).safetensors"))
    }

    /// Frechet distance of decoded samples to the test images; the first 40 become a picture.
    ///
    /// - draw: latents from noise and labels, with the number of the first sample
    func distance(
        _ judging: SampleJudging, samples: Int, picture: String? = nil,
        _ draw: (Tensor, [Int], Int) throws(USPError) -> Tensor
    ) throws(USPError) -> Double {
        let features = try Tensor([samples, Judge.width])
        try inBatches(samples, 250) { (range) throws(USPError) in
            let noise = try Tensor.normal(
                [range.count, plan.latentChannels, 8, 8], seed: seed("sampling noise"),
                firstSample: range.lowerBound)
            let latents = try draw(noise, range.map { $0 % 10 }, range.lowerBound)
            let images = try judging.autoencoder.decode(latents)
            for index in 0..<images.count {
                images.floats[index] = min(max(images.floats[index], -1), 1)
            }
            try features.detachedRows(range).copy(from: judging.judge.model.features(images))
            if let picture, range.lowerBound == 0 {
                try folder.savePicture(picture, ImageGrid(columns: 10), images.detachedRows(0..<40))
            }
        }
        return try USPKit.Evaluate.frechetDistance(features, judging.real)
    }

    /// Latents from noise along the learned velocity, t from 0 to 1, by the solver that comes
    /// nearest to the flow's end with few evaluations. Its first step takes two.
    private func flow(_ model: DiT, _ noise: Tensor, _ labels: [Int]) throws(USPError) -> Tensor {
        var options = SampleOptions()
        (options.method, options.steps) = ("adams-bashforth", plan.sampleEvaluations)
        return try Sampler(.flow(Transport()), options).run(
            model.denoiser, from: noise, labels: labels, interruptible)
    }

    /// Ends a sampler when the run is interrupted.
    var interruptible: SamplingMonitor {
        SamplingMonitor { _ throws(USPError) in try Interrupt.check() }
    }
}

/// What latents are decoded and judged with.
struct SampleJudging {
    let autoencoder: VAE
    let judge: Judge
    /// Features of the test images.
    let real: Tensor
}
