// The diffusion transformer, from each encoder.

import USPBase
import USPData
import USPDiffusion
import USPModels
import USPTensor
import USPTraining

extension Study {
    /// Trains the transformers of each repetition with the same seeds, data order and noise, and
    /// compares them.
    func generate(
        _ encoders: [Encoder], _ judging: Judging, _ coded: StudyLatents
    ) throws(USPError) {
        for number in 0..<options.seeds {
            for encoder in encoders {
                try generate(encoder, number, judging, coded)
                compare(encoders)
            }
        }
    }

    /// `generation_usp`, `generation_usp_1`, …
    func name(_ part: String, _ encoder: Encoder, _ number: Int) -> String {
        "\(part)_\(encoder.name)" + (number == 0 ? "" : "_\(number)")
    }

    @discardableResult
    func generate(
        _ encoder: Encoder, _ number: Int, _ judging: Judging, _ coded: StudyLatents
    ) throws(USPError) -> String {
        let name = name("generation", encoder, number)
        let file = "sit_\(encoder.name)\(number == 0 ? "" : "_\(number)").safetensors"
        return try stage(
            name,
            of: [encoder.key, judging.key, coded.key, "\(number)"]
                + said(
                    "train_steps", "train_batch", "train_rate", "layers", "gate_bias", "affine",
                    "average_decay", "evaluate_every", "samples", "evaluations", "dtype", "blocks",
                    "align"),
            leaving: [file]
        ) { () throws(USPError) in
            let family = options.blocks == .lightning ? "LightningDiT" : "SiT"
            let start = try transfer(
                encoder.files[number], to: family, as: name, seed: seed("transfer", number),
                classes: coded.classes
            ) {
                ($0.gateBias, $0.layers, $0.affine) = (
                    options.gateBias, options.layers, options.affine
                )
            }
            let curve = "generation.runs.\(encoder.name).\(number)"
            let said: [(name: String, value: String)] =
                [
                    ("family", family),
                    ("batch", "\(min(options.trainBatch, coded.training.count))"),
                    ("steps", "\(options.trainSteps)"), ("rate", "\(options.trainRate)"),
                    ("warmup", "0"), ("average_decay", "\(options.averageDecay)"),
                    ("dtype", options.dtype.name), ("seed", "\(seed("generation", number))"),
                ] + (options.align == 0 ? [] : [("align", "\(options.align)")])
            let stage = try train(
                name, title("generation", "SiT from \(encoder.title)" + repetition(number)), .train,
                on: coded.training, called: coded.trainingPath, said,
                from: start,
                curve: "generation.\(encoder.name)_loss\(number == 0 ? "" : "_\(number)")"
            ) { step, stage throws(USPError) in
                guard step > 0 else {
                    folder.results[curve: curve] = nil
                    return
                }
                guard options.evaluates(at: step),
                    folder.results[curve: curve]?.steps.last != step
                else { return }
                let distance = try distance(
                    judging, coded, samples: options.samples,
                    picture: number == 0 ? "samples_\(encoder.name)_\(step).png" : nil
                ) { noise, labels, _ throws(USPError) in
                    try flow(diffusion(stage.model()), noise, labels)
                }
                var distances = (folder.results[curve: curve] ?? Curve()).upTo(step - 1)
                distances.append(step, distance)
                folder.results[curve: curve] = distances
                try folder.saveResults()
            }
            try stage.model().save(folder.file(file))
        }
    }

    func repetition(_ number: Int) -> String {
        options.seeds > 1 ? ", run \(number + 1) of \(options.seeds)" : ""
    }

    func diffusion(_ model: any Model) throws(USPError) -> DiT {
        guard let model = model as? DiT else {
            throw USPError(.internal, "\(model.family): expected a diffusion transformer")
        }
        return model
    }

    /// The means over the repetitions, and how much sooner USP's came to what the others reached.
    func compare(_ encoders: [Encoder]) {
        var runs: [String: [Curve]] = [:]
        for encoder in encoders {
            let name = encoder.name
            let found = folder.results.repetitions("generation.runs.\(name)", options.seeds)
            if !found.isEmpty { runs[name] = found }
            folder.results[curve: "generation.\(name)_frechet"] = runs[name].map(Curve.mean)
        }
        guard let usp = runs["usp"] else { return }
        for control in encoders.dropFirst() {
            guard let slow = runs[control.name] else { continue }
            let name = "generation.speedup" + (control.name == "scratch" ? "" : "_" + control.name)
            record(usp, against: slow, name)
        }
    }

    /// Fréchet distance of decoded samples to real images; the first 40 become a picture.
    ///
    /// - draw: latents from noise and labels, with the number of the first sample
    func distance(
        _ judging: Judging, _ coded: StudyLatents, samples: Int, picture: String? = nil,
        _ draw: (Tensor, [Int], Int) throws(USPError) -> Tensor
    ) throws(USPError) -> Double {
        try judged(judging, coded, samples: samples, picture: picture, draw).distance
    }

    /// The same, and the share of samples that the judge takes for their class; nil without classes.
    func judged(
        _ judging: Judging, _ coded: StudyLatents, samples: Int, picture: String? = nil,
        _ draw: (Tensor, [Int], Int) throws(USPError) -> Tensor
    ) throws(USPError) -> (distance: Double, accuracy: Double?) {
        var right: Double? = coded.classes > 1 ? 0 : nil
        let features = try Tensor([samples, judging.width])
        let labels = judging.labels.first(samples)
        try inBatches(samples, 250) { (range) throws(USPError) in
            let noise = try Tensor.normal(
                Shape([range.count] + coded.shape.extents), seed: seed("sampling noise"),
                firstSample: range.lowerBound)
            let latents = try draw(noise, Array(labels[range]), range.lowerBound)
            let images = try coded.autoencoder.decode(latents)
            try features.detachedRows(range).copy(from: judging.judge.features(images))
            if let sum = right {
                let share = try judging.judge.accuracy(images, Array(labels[range]))
                right = share.map { sum + $0 * Double(range.count) }
            }
            if let picture, range.lowerBound == 0 {
                try folder.savePicture(
                    picture, ImageGrid(columns: 10),
                    images.detachedRows(0..<min(40, range.count)))
            }
        }
        return (
            try Evaluate.frechetDistance(features, judging.real), right.map { $0 / Double(samples) }
        )
    }

    /// Latents from noise along the learned velocity, t from 0 to 1, by the solver that comes
    /// nearest to the flow's end with few evaluations. Its first step takes two.
    private func flow(_ model: DiT, _ noise: Tensor, _ labels: [Int]) throws(USPError) -> Tensor {
        var sampling = SampleOptions()
        (sampling.method, sampling.steps) = ("adams-bashforth", options.evaluations)
        return try Sampler(.flow(Transport()), sampling).run(
            model.denoiser, from: noise, labels: labels, interruptible)
    }

    /// Ends a sampler when the study is interrupted.
    var interruptible: SamplingMonitor {
        SamplingMonitor { [self] _ throws(USPError) in try report("", 0, 0) }
    }
}
