// Training losses of the transport, per sample, with their gradient in closed form.

import Glibc
import USPBase
import USPTensor

extension Transport {
    /// The times of training for numbers in [0, 1), on the model's scale.
    package func times(_ shares: [Float]) -> [Float] {
        let (start, end) = publishedInterval(stochastic: false, evaluates: false)
        return shares.map {
            Float(modelTime(Double($0 * Float(end - start) + Float(start))))
        }
    }

    /// One time for each sample on the model's scale, from the sample's own stream.
    package func drawTimes(_ key: RandomKey, count: Int, firstSample: Int = 0) -> [Float] {
        times(
            (0..<count).map { index in
                var stream = RandomStream(key.stream(firstSample + index))
                switch (options.times, path) {
                case (.uniform, _): return stream.uniform()
                case (.lognormal, .gvp): return 2 / Float.pi * atanf(expf(stream.normal()))
                case (.lognormal, _): return 1 / (1 + expf(-stream.normal()))
                }
            })
    }

    /// As training draws them.
    public func drawTimes(_ count: Int, seed: UInt64) -> [Float] {
        drawTimes(RandomKey(seed: seed).stream("times"), count: count)
    }

    /// Losses of a denoiser, one a sample.
    ///
    /// - data: clean latents `[B, C, H, W]`
    /// - times: one a sample; nil draws them
    /// - noise: `[B, C, H, W]`; nil draws it
    /// - features: of teachers, `[B, T, Z]` for each projector of the model: adds the term
    ///   "alignment", which is no part of the loss
    public func losses(
        of denoiser: Denoiser, data: Tensor, times: [Float]? = nil, labels: [Int]? = nil,
        noise: Tensor? = nil, features: [Tensor] = [], seed: UInt64 = 0
    ) throws(USPError) -> LossAndGradient {
        try checkLatents(data, "data")
        try checkLabels(labels, data)
        let transport = try facing(denoiser.noiseAt)
        let times =
            times
            ?? transport.drawTimes(RandomKey(seed: seed).stream("times"), count: data.shape[0])
        let drawn: Tensor
        if let noise { drawn = noise } else { drawn = try Tensor.normal(data.shape, seed: seed) }
        let noised = try transport.noised(data, times: times, noise: drawn)
        guard !features.isEmpty else {
            let output = try denoiser.predict(noised, times, labels)
            return try transport.losses(output: output, data: data, noise: drawn, times: times)
        }
        let (output, alignment) = try denoiser.aligned(noised, times, labels, with: features)
        let plain = try transport.losses(output: output, data: data, noise: drawn, times: times)
        return LossAndGradient(
            losses: plain.losses,
            terms: plain.terms.merging(["alignment": alignment]) { $1 }, gradient: plain.gradient)
    }

    /// x_t = α · data + σ · noise, `[B, C, H, W]`, each sample at its own time on the model's scale.
    package func noised(
        _ data: Tensor, times: [Float], noise: Tensor
    ) throws(USPError) -> Tensor {
        try checkLatents(data, "data")
        try checkLike(noise, data, "noise")
        try check(times, batch: data.shape[0])
        let result = try Tensor(data.shape)
        let count = data.count / times.count
        for (sample, time) in times.enumerated() {
            let p = path.coefficients(modelTime(Double(time)))
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
            let target = lossTarget(modelTime(Double(time)))
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
        guard options.cosineLoss else {
            return LossAndGradient(losses: losses, terms: ["loss": losses], gradient: gradient)
        }
        let cosines = times.indices.map { sample in
            let target = lossTarget(modelTime(Double(times[sample])))
            return cosineLoss(
                prediction.mean(sample), data.floats + sample * count,
                noise.floats + sample * count, target, channels: data.shape[1],
                pixels: count / data.shape[1], weight: weights[sample], slopes.mean(sample))
        }
        return LossAndGradient(
            losses: zip(losses, cosines).map { $0 + $1 },
            terms: ["mse": losses, "cos_loss": cosines], gradient: gradient)
    }

    /// The mean over pixels of 1 − the cosine of output and target along the channels, as torch's
    /// `cosine_similarity`; adds its gradient.
    private func cosineLoss(
        _ output: UnsafePointer<Float>, _ x: UnsafePointer<Float>, _ e: UnsafePointer<Float>,
        _ target: LossTarget, channels: Int, pixels: Int, weight: Float,
        _ gradient: UnsafeMutablePointer<Float>
    ) -> Float {
        let (fromData, fromNoise) = (Float(target.fromData), Float(target.fromNoise))
        let scale = Double(weight) / Double(pixels)
        var total = 0.0
        for pixel in 0..<pixels {
            var (dot, own, other) = (0.0, 0.0, 0.0)
            for channel in 0..<channels {
                let i = channel * pixels + pixel
                let (o, t) = (Double(output[i]), Double(fromData * x[i] + fromNoise * e[i]))
                (dot, own, other) = (dot + o * t, own + o * o, other + t * t)
            }
            let (length, reach) = (max(own.squareRoot(), 1e-8), max(other.squareRoot(), 1e-8))
            let cosine = dot / (length * reach)
            total += 1 - cosine
            for channel in 0..<channels {
                let i = channel * pixels + pixel
                let (o, t) = (Double(output[i]), Double(fromData * x[i] + fromNoise * e[i]))
                gradient[i] += Float(scale * (cosine * o / length - t / reach) / length)
            }
        }
        return Float(total / Double(pixels))
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
                weight: 1, fromOutput: 1, fromData: direction * p.alphaSlope,
                fromNoise: direction * p.sigmaSlope)
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
