// Stage 5: linear probes and fine-tuned classifiers, from pretrained weights and from random ones.

import USPBase
import USPModels
import USPTensor
import USPTraining

extension Demo {
    /// Probes, fine-tunes on all labels, and fine-tunes on few.
    func classify(_ latents: DemoLatents) throws(USPError) {
        let few = fewLabels(latents.trainingLabels)
        let cases: [(name: String, probe: Bool, steps: Int, labels: [Int]?)] = [
            ("probe", true, plan.probeSteps, nil), ("finetune", false, plan.finetuneSteps, nil),
            ("few_labels", false, plan.fewLabelsSteps, few),
        ]
        for item in cases {
            let control = item.probe ? "random" : "scratch"
            for (start, source) in [("usp", "pretrained.safetensors"), (control, "random.safetensors")] {
                let number = "\(item.name).\(start)_top1"
                guard folder.results[number: number] == nil else { continue }
                try stage("classification") { () throws(USPError) in
                    folder.results[number: number] = try fitClassifier(
                        "\(item.name)_\(start)", source, probe: item.probe, steps: item.steps,
                        among: item.labels, latents)
                }
                try folder.saveResults()
            }
        }
    }

    private func fitClassifier(
        _ name: String, _ source: String, probe: Bool, steps: Int, among chosen: [Int]?,
        _ latents: DemoLatents
    ) throws(USPError) -> Double {
        let sizes = VisionTransformerConfiguration(
            encoder: encoderSizes, pool: probe ? .token : .average,
            head: probe ? .probe : .linear, classes: 10, headDeviation: probe ? 0.01 : 2e-5)
        let model = try VisionTransformer(sizes, transfer(source, to: .classifier(sizes)))
        let (values, labels) = (latents.training, latents.trainingLabels)
        let indices = chosen ?? Array(0..<values.shape[0])
        let trainer = try Trainer(
            model.parameters, classifierOptions(probe: probe, steps: steps),
            rateScale: { probe ? 1 : LayerDecay.scale(of: $0.name, depth: plan.depth, decay: 0.75) },
            decays: LayerDecay.decays,
            trains: { !probe || $0.name.hasPrefix("head") })
        let run = try TrainingRun(
            trainer, count: indices.count, batch: min(plan.classifierBatch, indices.count),
            seed: seed("classifier"),
            loss: TrainingTask.classifying(
                model, latents: { (chosen) throws(USPError) in try values.gatherRows(chosen.map { indices[$0] }) },
                labels: { (chosen) in chosen.map { labels[indices[$0]] } }, smoothing: probe ? 0 : 0.1))
        try folder.train(
            name, title: "7/7 " + name.replacing("_", with: " "), run, steps: steps, curve: "loss." + name)
        return try accuracy(latents.test.shape[0]) { (range) throws(USPError) in
            let logits = try model.logits(latents.test.detachedRows(range), in: Context())
            return (logits, Array(latents.testLabels[range]))
        }
    }

    private func classifierOptions(probe: Bool, steps: Int) -> TrainerOptions {
        var options = TrainerOptions()
        options.compute = plan.compute
        if probe {
            options.optimizer = .probe
            options.schedule = Schedule(rate: plan.probeRate, warmup: steps / 10, steps: steps)
        } else {
            options.weightDecay = 0.05
            options.schedule = Schedule(rate: plan.finetuneRate, warmup: steps / 10, steps: steps)
        }
        return options
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
