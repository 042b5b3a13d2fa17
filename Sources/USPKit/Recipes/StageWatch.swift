// What is looked at while a generator is trained: its loss on other data, pictures of samples, their
// Fréchet distance.

import USPBase
import USPData
import USPDiffusion
import USPFiles
import USPModels
import USPTensor
import USPTraining

/// The same noise and labels each time, so that what is seen differs by training alone.
final class StageWatch: Sendable {
    private let options: StageOptions
    private let vae: VAE?
    private let judge: Judge?
    private let labels: LabelQuota
    /// Of the files of the run; nil before it is made.
    private let stem = Lock<String?>(nil)
    let drawn = DrawnPictures()
    /// Features of real samples, made once.
    private let real = Lock<Tensor?>(nil)

    /// - Throws: `.argument` where pictures or distances are asked for without what they need
    init(_ options: StageOptions, _ data: DataSet, through vae: VAE?) throws(USPError) {
        (self.options, self.vae) = (options, vae)
        try require(
            options.sampleEvery == nil || vae != nil, .argument,
            "sample_every: pictures need an autoencoder: give vae")
        try require(
            options.frechetEvery == nil || options.judge != nil, .argument,
            "frechet_every: needs a judge, in whose features it is measured: Inception's weights, or a "
                + "classifier such as finetune makes")
        judge = try options.judge.map { path throws(USPError) in
            try Judge(loading: path, for: data.sampleShape, vae)
        }
        labels = LabelQuota(data.labels ?? [], classes: data.classes)
    }

    /// How often there may be something to look at; nil: at the ends of epochs.
    var interval: Int? {
        switch (options.sampleEvery, options.frechetEvery) {
        case (let a?, let b?): gcd(a, b)
        case (let a, let b): a ?? b
        }
    }

    func write(beside output: String) {
        let end = output.lastIndex(of: ".") ?? output.endIndex
        stem.withLock { $0 = String(output[..<end]) }
    }

    /// - steps: done, and in all
    /// - Returns: `val_loss` where there is other data, `frechet`
    func measure(
        _ model: any Model, _ trainer: TrainerOptions, at step: Int, of steps: Int, epochSteps: Int,
        data: DataSet, validation: DataSet?, isStopped: () -> Bool
    ) throws(USPError) -> [Run.Metric] {
        var result: [Run.Metric] = []
        let isLast = step >= steps
        if let validation, isLast || step % epochSteps == 0 {
            guard let loss = try loss(of: model, trainer, on: validation, isStopped) else {
                return []
            }
            result.append(Run.Metric("val_loss", loss))
        }
        let draws = { (every: Int?) in every.map { isLast || step % $0 == 0 } ?? false }
        if draws(options.sampleEvery), trainer.ranks?.writes ?? true, let vae,
            let stem = stem.withLock({ $0 })
        {
            let latents = try samples(of: model, trainer, 0..<32, isStopped)
            let picture = try ImageGrid(columns: 8).picture(vae.decode(latents))
            drawn.add("samples", picture)
            try PNG.write(
                "\(stem)-samples-\(step).png", picture,
                texts: [(PNG.composedKey, "several images in one picture")])
        }
        if draws(options.frechetEvery), let judge {
            let known = try reference(judge, validation ?? data)
            let count = options.frechetSamples
            let features = try Tensor([count, judge.width])
            for first in stride(from: 0, to: count, by: 64) {
                if isStopped() { return [] }
                let range = first..<min(first + 64, count)
                let latents = try samples(of: model, trainer, range, isStopped)
                try features.detachedRows(range).copy(from: judge.features(latents: latents, vae))
            }
            result.append(Run.Metric("frechet", try Evaluate.frechetDistance(features, known)))
        }
        return result
    }

    /// The mean over at most 512 samples, at the same times and noise each time.
    private func loss(
        of model: any Model, _ trainer: TrainerOptions, on data: DataSet, _ isStopped: () -> Bool
    ) throws(USPError) -> Double? {
        let count = min(data.count, 512)
        var sum = 0.0
        for first in stride(from: 0, to: count, by: 32) {
            if isStopped() { return nil }
            let batch = try data.samples(first..<min(first + 32, count))
            let seed = options.seed &+ UInt64(first)
            if let model = model as? MAR {
                var options = MAR.Options()
                (options.seed, options.copies) = (seed, 1)
                let found = try model.forward(batch.inputs, labels: batch.classes, options)
                sum += Double(found.loss) * Double(batch.inputs.shape[0])
            } else {
                let found = try losses(of: transformer(model), trainer, batch, seed)
                sum += found.reduce(0) { $0 + Double($1) }
            }
        }
        return sum / Double(count)
    }

    private func losses(
        of model: DiT, _ trainer: TrainerOptions, _ batch: Batch, _ seed: UInt64
    ) throws(USPError) -> [Float] {
        if model.configuration.isFlow {
            return try trainer.flow().losses(
                of: model.denoiser, data: batch.inputs, labels: batch.classes, seed: seed
            ).losses
        }
        let process = if let own = trainer.diffusion { own } else { try Diffusion() }
        return try process.losses(
            of: model.denoiser, start: batch.inputs, labels: batch.classes, seed: seed
        ).losses
    }

    private func transformer(_ model: any Model) throws(USPError) -> DiT {
        guard let model = model as? DiT else {
            throw USPError(.internal, "\(model.family): draws no samples")
        }
        return model
    }

    /// Latents of these samples: of a flow along its velocity by Adams and Bashforth's rule, of a
    /// diffusion by DPM-Solver++, of a masked autoregressive model in a few iterations.
    private func samples(
        of model: any Model, _ trainer: TrainerOptions, _ range: Range<Int>,
        _ isStopped: () -> Bool
    ) throws(USPError) -> Tensor {
        let wanted = Array(labels.first(range.upperBound)[range])
        if let model = model as? MAR {
            var sampling = MAR.SampleOptions.early
            sampling.iterations = min(options.sampleSteps, model.tokens)
            (sampling.seed, sampling.firstSample) = (options.seed, range.lowerBound)
            return try model.sample(labels: wanted, sampling)
        }
        let model = try transformer(model)
        let shape = model.inputShape(batch: range.count)
        let noise = try Tensor.normal(shape, seed: options.seed, firstSample: range.lowerBound)
        var sampling = SampleOptions()
        let kind: Sampler.Process
        if model.configuration.isFlow {
            (sampling.method, sampling.steps) = ("adams-bashforth", options.sampleSteps)
            kind = .flow(try trainer.flow())
        } else {
            sampling.method = "dpm++"
            var process = trainer.diffusion?.options ?? Diffusion.Options()
            process.respacing = "\(options.sampleSteps)"
            kind = .diffusion(try Diffusion(process))
        }
        return try Sampler(kind, sampling).run(model.denoiser, from: noise, labels: wanted)
    }

    private func reference(
        _ judge: Judge, _ data: DataSet
    ) throws(USPError) -> Tensor {
        if let known = real.withLock({ $0 }) { return known }
        let count = min(data.count, 10_000)
        let features = try Tensor([count, judge.width])
        try inBatches(count, 64) { range throws(USPError) in
            // Spread over the set, which is in the order of its classes.
            let numbers = range.map { $0 * data.count / count }
            let latents = try data.selecting(numbers).samples(0..<range.count).inputs
            try features.detachedRows(range).copy(from: judge.features(latents: latents, vae))
        }
        real.withLock { $0 = features }
        return features
    }
}

extension TrainerOptions {
    /// The path that a flow learns.
    fileprivate func flow() throws(USPError) -> Transport {
        if let transport { return transport }
        return try Transport()
    }
}

private func gcd(_ a: Int, _ b: Int) -> Int { b == 0 ? a : gcd(b, a % b) }

extension Judge {
    /// - sample: the latents' shape
    /// - Throws: for a file of another kind, and for one of pixels without an autoencoder
    init(loading path: String, for sample: Shape, _ vae: VAE?) throws(USPError) {
        let file = try FileModel(Archive.open(path))
        if file.kind == .inception {
            try require(
                vae != nil, .argument, "judge: \(path) looks at images: give the autoencoder, vae")
            self = .inception(try Inception.load(path))
            return
        }
        let model = try ViT.load(path)
        let wanted = Shape(Array(model.inputShape(batch: 1).extents.dropFirst()))
        if wanted == sample {
            self = .latents(model)
            return
        }
        let seen = vae.map { [$0.configuration.imageChannels, $0.factor * sample[1]] } ?? []
        try require(
            seen.count == 2 && wanted == [seen[0], seen[1], seen[1]], .shape,
            "judge: \(path) takes \(wanted), the latents are \(sample)")
        self = .network(model)
    }

    /// Of images by what they become, of latents by themselves.
    func features(latents: Tensor, _ vae: VAE?) throws(USPError) -> Tensor {
        if case .latents(let model) = self { return try model.features(latents) }
        guard let vae else { throw USPError(.internal, "a judge of images without an autoencoder") }
        return try features(vae.decode(latents))
    }
}
