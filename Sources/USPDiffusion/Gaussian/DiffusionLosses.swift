// Training losses of the Gaussian process, per sample, with their gradient in closed form.

import Glibc
import USPBase
import USPTensor

/// Losses of a batch, and the gradient of their weighted sum with respect to the model's output.
public struct LossAndGradient {
    /// One for each sample.
    public let losses: [Float]
    /// Parts of it under the originals' names ("mse", "vb"), one value for each sample.
    public let terms: [String: [Float]]
    /// ∂ Σ weight · loss / ∂ output, f32, of the output's shape: what the tape is seeded with.
    public let gradient: Tensor

    /// The mean over the batch.
    package var mean: Float {
        Float(losses.reduce(0.0) { $0 + Double($1) } / Double(max(losses.count, 1)))
    }
}

extension Diffusion {
    /// Losses of a denoiser at noised latents.
    ///
    /// - start: clean latents `[B, C, H, W]`
    /// - steps: one a sample; nil draws them
    /// - noise: `[B, C, H, W]`; nil draws it
    public func losses(
        of denoiser: Denoiser, start: Tensor, steps: [Int]? = nil, labels: [Int]? = nil,
        noise: Tensor? = nil, seed: UInt64 = 0
    ) throws(USPError) -> LossAndGradient {
        try checkLatents(start, "start")
        try checkLabels(labels, start)
        let steps =
            steps ?? drawSteps(RandomKey(seed: seed).stream("steps"), count: start.shape[0])
        let drawn: Tensor
        if let noise { drawn = noise } else { drawn = try Tensor.normal(start.shape, seed: seed) }
        let noised = try noised(start, steps: steps, noise: drawn)
        let output = try denoiser.predict(noised, times(steps), labels)
        return try losses(
            output: output, start: start, noised: noised, noise: drawn, steps: steps)
    }

    /// The losses of the model's output at `noised`.
    ///
    /// - output: what the model gave at `(noised, times(indices))`; `[B, 2C, H, W]` where variances
    ///   are learned, else `[B, C, H, W]`.
    /// - start, noised, noise: `[B, C, H, W]`; `noised` as `noised(_:steps:noise:)` made it.
    /// - weights: of each sample in the gradient; nil = 1/B, the gradient of the mean.
    /// - binsInDouble: how likelihoods of step 0 are counted; false is the originals' float
    package func losses(
        output: Tensor, start: Tensor, noised: Tensor, noise: Tensor, steps indices: [Int],
        weights: [Float]? = nil, binsInDouble: Bool = false
    ) throws(USPError) -> LossAndGradient {
        try checkLatents(start, "start")
        try checkLike(noised, start, "noised")
        try checkLike(noise, start, "noise")
        try check(indices, batch: start.shape[0])
        let weights = try sampleWeights(weights, batch: indices.count)
        let learned = options.variance.isLearned
        let prediction = try Prediction(output, for: start, doubled: learned)
        let gradient = try Tensor.zeros(output.shape)
        let batch = LossBatch(
            prediction: prediction,
            gradient: try Prediction(gradient, for: start, doubled: learned),
            start: start, noised: noised, noise: noise, binsInDouble: binsInDouble)
        var losses: [Float] = []
        var terms: [String: [Float]] = [:]
        for (sample, step) in indices.enumerated() {
            let (squared, bound) = sampleLoss(batch, sample, step: step, weight: weights[sample])
            losses.append(Float((squared ?? 0) + (bound ?? 0)))
            if let squared { terms["mse", default: []].append(Float(squared)) }
            if let bound { terms["vb", default: []].append(Float(bound)) }
        }
        return LossAndGradient(losses: losses, terms: terms, gradient: gradient)
    }

    /// The squared error, where there is one, and the bound, weighted; adds their gradients.
    private func sampleLoss(
        _ batch: LossBatch, _ sample: Int, step: Int, weight: Float
    ) -> (squared: Double?, bound: Double?) {
        let loss = options.loss
        var squared: Double?
        if !loss.isBound {
            squared = squaredError(batch, sample, step: step, weight: weight)
            guard options.variance.isLearned else { return (squared, nil) }
        }
        let scale =
            switch loss {
            case .meanSquared, .bound: 1.0
            case .rescaledMeanSquared: Double(steps) / 1000
            case .rescaledBound: Double(steps)
            }
        let offset = sample * batch.prediction.count
        let bound = boundTerm(
            step: step, start: batch.start.floats + offset,
            noised: batch.noised.floats + offset, output: batch.prediction.mean(sample),
            variance: batch.prediction.variance(sample), count: batch.prediction.count,
            binsInDouble: batch.binsInDouble, weight: weight * Float(scale),
            meanGradient: loss.isBound ? batch.gradient.mean(sample) : nil,
            varianceGradient: batch.gradient.variance(sample))
        return (squared, bound * scale)
    }

    /// mean((target − output)²) with its gradient written.
    private func squaredError(
        _ batch: LossBatch, _ sample: Int, step: Int, weight: Float
    ) -> Double {
        let count = batch.prediction.count
        let offset = sample * count
        let (x0, xt) = (batch.start.floats + offset, batch.noised.floats + offset)
        let (e, o) = (batch.noise.floats + offset, batch.prediction.mean(sample))
        let result = batch.gradient.mean(sample)
        let (fromStart, fromCurrent) = (Float(meanFromStart[step]), Float(meanFromCurrent[step]))
        let scale = 2 * weight / Float(count)
        var total = 0.0
        for i in 0..<count {
            let target =
                switch options.prediction {
                case .epsilon: e[i]
                case .start: x0[i]
                case .previous: fromStart * x0[i] + fromCurrent * xt[i]
                }
            let difference = o[i] - target
            total += Double(difference * difference)
            result[i] = scale * difference
        }
        return total / Double(count)
    }
}

/// The tensors of one call of the losses.
private struct LossBatch {
    let prediction: Prediction
    let gradient: Prediction
    let start: Tensor
    let noised: Tensor
    let noise: Tensor
    let binsInDouble: Bool
}

/// The given weights, or 1/B.
func sampleWeights(_ weights: [Float]?, batch: Int) throws(USPError) -> [Float] {
    guard let weights else { return [Float](repeating: 1 / Float(batch), count: batch) }
    try require(
        weights.count == batch, .shape, "weights: expected \(batch), got \(weights.count)")
    return weights
}
