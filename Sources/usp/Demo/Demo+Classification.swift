// Stage 5: linear probes and fine-tuned classifiers, from pretrained weights and from random ones.

import USPBase
import USPKit
import USPTensor

extension Demo {
    /// Probes, fine-tunes on all labels, and fine-tunes on few.
    func classify(_ latents: DemoLatents) throws(USPError) {
        let starts = [("usp", "pretrained.safetensors"), ("random", "random.safetensors")]
        for (start, source) in starts {
            try measure("probe.\(start)_top1") { () throws(USPError) in
                try probe("probe_\(start)", source, latents)
            }
        }
        let cases = [
            (name: "finetune", steps: plan.finetuneSteps, labels: Array(0..<training.count)),
            (name: "few_labels", steps: plan.fewLabelsSteps, labels: fewLabels(training.labels)),
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
        let started = try transfer(source, to: "ViT") { ($0.pool, $0.head) = (.token, .probe) }
        let model = try ViT.load(started, loading("ViT"))
        var options = TrainerOptions()
        (options.optimizer, options.headOnly) = (.lars, true)
        options.rate = plan.probeRate * Float(plan.probeBatch) / 256
        (options.warmup, options.steps) = (plan.probeSteps / 10, plan.probeSteps)
        options.seed = seed("classifier")
        let data = try latents.training(plan.probeBatch, seed: options.seed).features(of: model)
        return try fit(name, model, options, on: data, latents)
    }

    /// The whole network on the chosen images: average of the tokens, layer-wise decay.
    private func fineTune(
        _ name: String, _ source: String, steps: Int, among chosen: [Int], _ latents: DemoLatents
    ) throws(USPError) -> Double {
        let started = try transfer(source, to: "ViT") { $0.pool = .avg }
        var options = TrainerOptions()
        (options.dtype, options.weightDecay, options.layerDecay) = (plan.compute, 0.05, 0.75)
        (options.rate, options.warmup, options.steps) = (plan.finetuneRate, steps / 10, steps)
        (options.labelSmoothing, options.seed) = (0.1, seed("classifier"))
        let batch = min(plan.classifierBatch, chosen.count)
        let data = try latents.training(batch, seed: options.seed).selecting(chosen)
        return try fit(name, ViT.load(started, loading("ViT")), options, on: data, latents)
    }

    /// Trains a classifier.
    ///
    /// - Returns: its accuracy on the test images
    private func fit(
        _ name: String, _ model: ViT, _ options: TrainerOptions, on data: DataSet,
        _ latents: DemoLatents
    ) throws(USPError) -> Double {
        let trainer = try Trainer(model, options)
        try folder.train(
            name, title: "7/8 " + name.split(separator: "_").joined(separator: " "), trainer,
            on: data, steps: options.steps, curve: "loss." + name)
        let model = try trained(trainer, as: ViT.self)
        return try accuracy(test.count) { (range) throws(USPError) in
            let logits = try model.logits(latents.test.detachedRows(range))
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
