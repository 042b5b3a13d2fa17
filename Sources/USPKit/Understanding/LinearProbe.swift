// A linear classifier on features that were computed once.

import USPBase
import USPData
import USPEvaluation
import USPModels
import USPTensor
import USPTraining

/// Batch norm without γ and β and a linear layer, trained by LARS as MAE's probe.
struct LinearProbe {
    var steps: Int
    var batch: Int
    /// For a batch of 256, in proportion for others.
    var rate: Float
    var seed: UInt64

    /// - features: `[N, D]`
    /// - classes: labels are 0 to one less
    /// - Returns: its head takes features
    func train(
        _ features: Tensor, _ labels: [Int], classes: Int,
        progress: (_ step: Int) throws(USPError) -> Void = { _ in }
    ) throws(USPError) -> ViT {
        var sizes = ViT.Configuration()
        sizes.transformer = TransformerSizes(
            grid: Grid(1, 1), channels: 1, patch: 1, width: features.shape[1], depth: 1, heads: 1)
        (sizes.pool, sizes.classes, sizes.head) = (.token, classes, .probe)
        var settings = TrainerOptions()
        (settings.optimizer, settings.headOnly) = (.lars, true)
        let batch = min(batch, labels.count)
        (settings.steps, settings.warmup, settings.seed) = (steps, steps / 10, seed)
        settings.rate = rate * Float(batch) / 256
        let trainer = try Trainer(ViT(sizes, seed: seed), settings)
        var reading = DataOptions()
        (reading.batch, reading.seed) = (batch, seed)
        let data = try DataSet(features: features, labels: labels, reading)
        for step in 0..<steps {
            try trainer.step(data.batch(atStep: step))
            try progress(step + 1)
        }
        guard let model = try trainer.model() as? ViT else {
            throw USPError(.internal, "a probe that is no classifier")
        }
        return model
    }

    /// The accuracy on other features.
    func accuracy(
        _ training: (features: Tensor, labels: [Int]), _ test: (features: Tensor, labels: [Int]),
        classes: Int, progress: (_ step: Int) throws(USPError) -> Void = { _ in }
    ) throws(USPError) -> Double {
        let model = try train(
            training.features, training.labels, classes: classes, progress: progress)
        return try Evaluate.accuracy(model.logits(features: test.features), labels: test.labels)
    }

    /// The one of these rates that does best on a tenth of the features, trained on the others.
    func bestRate(
        of rates: [Float], _ features: Tensor, _ labels: [Int], classes: Int
    ) throws(USPError) -> Float {
        let numbers = 0..<labels.count
        func part(_ isHeld: Bool) throws(USPError) -> (features: Tensor, labels: [Int]) {
            let chosen = numbers.filter { ($0 % 10 == 9) == isHeld }
            let width = features.shape[1]
            let rows = try Tensor([chosen.count, width])
            for (place, number) in chosen.enumerated() {
                (rows.floats + place * width).update(
                    from: features.floats + number * width, count: width)
            }
            return (rows, chosen.map { labels[$0] })
        }
        guard labels.count >= 20 else { return rate }
        let (known, held) = (try part(false), try part(true))
        var best: (rate: Float, accuracy: Double) = (rate, -1)
        for candidate in rates {
            var probe = self
            probe.rate = candidate
            let found = try probe.accuracy(known, held, classes: classes)
            if found > best.accuracy { best = (candidate, found) }
        }
        return best.rate
    }
}
