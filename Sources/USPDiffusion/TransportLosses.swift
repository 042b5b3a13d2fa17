// Training losses of the transport, per sample, with their gradient in closed form.

import USPBase
import USPTensor

extension Transport {
    /// The times of training for uniform numbers in [0, 1).
    package func times(_ uniform: [Float]) -> [Float] {
        let (start, end) = publishedInterval(stochastic: false, evaluates: false)
        return uniform.map { $0 * Float(end - start) + Float(start) }
    }

    /// One uniformly drawn time for each sample, from the sample's own stream.
    package func drawTimes(_ key: RandomKey, count: Int, firstSample: Int = 0) -> [Float] {
        times(
            (0..<count).map { index in
                var stream = RandomStream(key.stream(firstSample + index))
                return stream.uniform()
            })
    }

    /// Losses of a denoiser, one a sample.
    ///
    /// - data: clean latents `[B, C, H, W]`
    /// - times: one a sample; nil draws them
    /// - noise: `[B, C, H, W]`; nil draws it
    public func losses(
        of denoiser: Denoiser, data: Tensor, times: [Float]? = nil, labels: [Int]? = nil,
        noise: Tensor? = nil, seed: UInt64 = 0
    ) throws(USPError) -> LossAndGradient {
        try checkLatents(data, "data")
        try checkLabels(labels, data)
        let times =
            times ?? drawTimes(RandomKey(seed: seed).stream("times"), count: data.shape[0])
        let drawn: Tensor
        if let noise { drawn = noise } else { drawn = try Tensor.normal(data.shape, seed: seed) }
        let output = try denoiser.predict(
            noised(data, times: times, noise: drawn), times, labels)
        return try losses(output: output, data: data, noise: drawn, times: times)
    }

    /// x_t = α · data + σ · noise, `[B, C, H, W]`, each sample at its own time.
    package func noised(
        _ data: Tensor, times: [Float], noise: Tensor
    ) throws(USPError) -> Tensor {
        try checkLatents(data, "data")
        try checkLike(noise, data, "noise")
        try check(times, batch: data.shape[0])
        let result = try Tensor(data.shape)
        let count = data.count / times.count
        for (sample, time) in times.enumerated() {
            let p = path.coefficients(Double(time))
            let (signal, spread) = (Float(p.alpha), Float(p.sigma))
            let (x, e) = (data.floats + sample * count, noise.floats + sample * count)
            let y = result.floats + sample * count
            for i in 0..<count { y[i] = signal * x[i] + spread * e[i] }
        }
        return result
    }

    /// The losses of the model's output at `noised(data, times, noise)`.
    ///
    /// - output: `[B, C, H, W]`, or `[B, 2C, H, W]` of which the second half has no part.
    /// - weights: of each sample in the gradient; nil = 1/B, the gradient of the mean.
    package func losses(
        output: Tensor, data: Tensor, noise: Tensor, times: [Float], weights: [Float]? = nil
    ) throws(USPError) -> LossAndGradient {
        try checkLatents(data, "data")
        try checkLike(noise, data, "noise")
        try check(times, batch: data.shape[0])
        let weights = try sampleWeights(weights, batch: times.count)
        let prediction = try Prediction(output, for: data)
        let gradient = try Tensor.zeros(output.shape)
        let slopes = try Prediction(gradient, for: data)
        let count = prediction.count
        var losses: [Float] = []
        for (sample, time) in times.enumerated() {
            let target = lossTarget(Double(time))
            let (x, e) = (data.floats + sample * count, noise.floats + sample * count)
            let (o, result) = (prediction.mean(sample), slopes.mean(sample))
            let weight = Float(target.weight)
            let (fromData, fromNoise) = (Float(target.fromData), Float(target.fromNoise))
            let fromOutput = Float(target.fromOutput)
            let scale = 2 * weights[sample] * weight * fromOutput / Float(count)
            var total = 0.0
            for i in 0..<count {
                let difference = fromOutput * o[i] - (fromData * x[i] + fromNoise * e[i])
                total += Double(weight * (difference * difference))
                result[i] = scale * difference
            }
            losses.append(Float(total / Double(count)))
        }
        return LossAndGradient(losses: losses, terms: ["loss": losses], gradient: gradient)
    }

    /// loss = weight · mean (fromOutput · output − fromData · data − fromNoise · noise)²
    private func lossTarget(_ t: Double) -> LossTarget {
        let p = path.coefficients(t)
        let weight =
            switch options.lossWeight {
            case .none: 1.0
            case .velocity: (p.variance / p.sigma) * (p.variance / p.sigma)
            case .likelihood: p.variance / (p.sigma * p.sigma)
            }
        return switch prediction {
        case .velocity:
            LossTarget(
                weight: 1, fromOutput: 1, fromData: p.alphaSlope, fromNoise: p.sigmaSlope)
        case .noise: LossTarget(weight: weight, fromOutput: 1, fromData: 0, fromNoise: 1)
        case .score: LossTarget(weight: weight, fromOutput: p.sigma, fromData: 0, fromNoise: -1)
        }
    }

    private func check(_ times: [Float], batch: Int) throws(USPError) {
        try require(
            times.count == batch, .shape, "times: expected \(batch) of them, got \(times.count)")
        for time in times where !(time >= 0 && time <= 1) {
            throw USPError(.argument, "time \(time): expected 0 to 1")
        }
    }
}

/// What the loss compares at one time.
private struct LossTarget {
    let weight: Double
    let fromOutput: Double
    let fromData: Double
    let fromNoise: Double
}
