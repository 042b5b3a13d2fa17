// Stage 5: linear probes and fine-tuned classifiers, from pretrained weights and from random ones.

import USPBase
import USPModels
import USPTensor
import USPTraining

extension Demo {
    /// Probes, fine-tunes on all labels, and fine-tunes on few.
    func classify(_ latents: DemoLatents) throws(USPError) {
        let few = fewLabels(latents.trainingLabels)
        let starts = [("usp", "pretrained.safetensors"), ("random", "random.safetensors")]
        for (start, source) in starts {
            try measure("probe.\(start)_top1") { () throws(USPError) in
                try probe("probe_\(start)", source, latents)
            }
        }
        let cases = [
            (
                name: "finetune", steps: plan.finetuneSteps,
                labels: Array(latents.trainingLabels.indices)
            ),
            (name: "few_labels", steps: plan.fewLabelsSteps, labels: few),
        ]
        for item in cases {
            for (start, source) in [("usp", starts[0].1), ("scratch", starts[1].1)] {
                try measure("\(item.name).\(start)_top1") { () throws(USPError) in
                    try fineTune(
                        "\(item.name)_\(start)", source, steps: item.steps, among: item.labels,
                        latents)
                }
            }
        }
    }

    /// One number of the table, unless an earlier run has it.
    private func measure(
        _ name: String, _ body: () throws(USPError) -> Double
    ) throws(USPError) {
        guard folder.results[number: name] == nil else { return }
        try stage("classification") { () throws(USPError) in
            folder.results[number: name] = try body()
        }
        try folder.saveResults()
    }

    /// A linear classifier on frozen features by MAE's recipe: the class token, batch norm without
    /// γ and β, LARS.
    private func probe(
        _ name: String, _ source: String, _ latents: DemoLatents
    ) throws(USPError) -> Double {
        let sizes = ViT.Configuration(
            encoderSizes, pool: .token, head: .probe, classes: 10, headDeviation: 0.01)
        let model = try ViT(sizes, transfer(source, to: sizes))
        let (features, labels) = (try features(model, latents.training), latents.trainingLabels)
        var options = TrainerOptions()
        options.optimizer = .probe
        options.schedule = Schedule(
            rate: plan.probeRate * Float(plan.probeBatch) / 256, warmup: plan.probeSteps / 10,
            steps: plan.probeSteps)
        let run = try TrainingRun(
            Trainer(model.parameters, options, trains: { $0.name.hasPrefix("head") }),
            count: labels.count, batch: plan.probeBatch, seed: seed("classifier"),
            loss: TrainingTask.probing(
                model, features: { (chosen) throws(USPError) in try features.gatherRows(chosen) },
                labels: { (chosen) in chosen.map { labels[$0] } }))
        try train(name, run, steps: plan.probeSteps)
        return try topOne(model, latents)
    }

    /// Features of all latents.
    private func features(
        _ model: ViT, _ latents: Tensor
    ) throws(USPError) -> Tensor {
        let result = try Tensor([latents.shape[0], model.configuration.width])
        try inBatches(latents.shape[0], 500) { (range) throws(USPError) in
            try result.detachedRows(range).copy(
                from: model.features(
                    latents.detachedRows(range), in: Context(compute: plan.compute)))
        }
        return result
    }

    /// The whole network on the chosen images: average of the tokens, layer-wise decay.
    private func fineTune(
        _ name: String, _ source: String, steps: Int, among chosen: [Int], _ latents: DemoLatents
    ) throws(USPError) -> Double {
        let sizes = ViT.Configuration(
            encoderSizes, pool: .avg, head: .linear, classes: 10)
        let model = try ViT(sizes, transfer(source, to: sizes))
        let (values, labels) = (latents.training, latents.trainingLabels)
        var options = TrainerOptions()
        options.arithmetic.compute = plan.compute
        options.weightDecay = 0.05
        options.schedule = Schedule(rate: plan.finetuneRate, warmup: steps / 10, steps: steps)
        let trainer = try Trainer(
            model.parameters, options,
            rateScale: { LayerDecay.scale(of: $0.name, depth: plan.depth, decay: 0.75) },
            decays: LayerDecay.decays)
        let run = try TrainingRun(
            trainer, count: chosen.count, batch: min(plan.classifierBatch, chosen.count),
            seed: seed("classifier"),
            loss: TrainingTask.classifying(
                model,
                latents: { (batch) throws(USPError) in
                    try values.gatherRows(batch.map { chosen[$0] })
                },
                labels: { (batch) in batch.map { labels[chosen[$0]] } }, smoothing: 0.1))
        try train(name, run, steps: steps)
        return try topOne(model, latents)
    }

    private func train(_ name: String, _ run: TrainingRun, steps: Int) throws(USPError) {
        try folder.train(
            name, title: "7/8 " + name.split(separator: "_").joined(separator: " "), run,
            steps: steps, curve: "loss." + name)
    }

    private func topOne(
        _ model: ViT, _ latents: DemoLatents
    ) throws(USPError) -> Double {
        try accuracy(latents.test.shape[0]) { (range) throws(USPError) in
            let logits = try model.logits(latents.test.detachedRows(range), in: Context())
            return (logits, Array(latents.testLabels[range]))
        }
    }

    /// The first `labelsPerClass` images of each class.
    private func fewLabels(_ labels: [Int]) -> [Int] {
        var counts = [Int](repeating: 0, count: 10)
        return labels.indices.filter { index in
            counts[labels[index]] += 1
            return counts[labels[index]] <= plan.labelsPerClass
        }
    }
}
