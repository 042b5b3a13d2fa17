// Dropout of elements and of whole samples; one random stream a sample.

import CKernels
import USPBase

extension Context {
    /// Zeroes elements with probability `rate` and divides the others by 1 − rate (Srivastava et
    /// al. 2014); x itself when `random` is nil or the rate 0.
    ///
    /// - x: `[B, ..]`, f32. The stream is `random`: give each place in a model one of its own.
    /// - Throws: `.argument` for a rate outside 0 ..< 1
    package func dropout(_ x: Tensor, rate: Float) throws(USPError) -> Tensor {
        try require(rate >= 0 && rate < 1, .argument, "dropout: rate \(rate), expected 0 ..< 1")
        guard let random, rate > 0, x.shape.rank > 0 else { return x }
        let mask = try Tensor(x.shape)
        let (values, size) = (mask.floats, x.count / max(x.shape[0], 1))
        let kept = 1 / (1 - rate)
        parallelRanges(x.shape[0], grain: 1) { samples in
            for sample in samples {
                var stream = RandomStream(random.stream(sample))
                for i in sample * size..<(sample + 1) * size {
                    values[i] = stream.uniform() < rate ? 0 : kept
                }
            }
        }
        return try multiply(x, mask)
    }

    /// Zeroes whole channels of a sample with probability `rate` and divides the others by 1 − rate
    /// (PyTorch's `Dropout2d`); x itself when `random` is nil or the rate 0.
    ///
    /// - x: `[B, .., C]`, f32, such as channels-last images
    /// - Throws: `.argument` for a rate outside 0 ..< 1
    package func dropoutChannels(_ x: Tensor, rate: Float) throws(USPError) -> Tensor {
        try require(rate >= 0 && rate < 1, .argument, "dropout: rate \(rate), expected 0 ..< 1")
        guard let random, rate > 0, x.shape.rank > 1, x.count > 0 else { return x }
        let (batch, channels) = (x.shape[0], x.shape[-1])
        let factors = try Tensor([batch, channels])
        for sample in 0..<batch {
            var stream = RandomStream(random.stream(sample))
            for channel in 0..<channels {
                factors.floats[sample * channels + channel] =
                    stream.uniform() < rate ? 0 : 1 / (1 - rate)
            }
        }
        return try gate(x, by: Chunk(factors, 0, width: channels))
    }

    /// Zeroes whole samples with probability `rate` and divides the others by 1 − rate
    /// (stochastic depth, Huang et al. 2016); x itself when `random` is nil or the rate 0.
    ///
    /// - x: `[B, ..]`, f32
    /// - Throws: `.argument` for a rate outside 0 ..< 1
    package func dropPath(_ x: Tensor, rate: Float) throws(USPError) -> Tensor {
        guard x.shape.rank > 0, let factors = try dropPathFactors(x.shape[0], rate: rate) else {
            return x
        }
        let y = try Tensor(x.shape)
        let size = x.count / max(x.shape[0], 1)
        scaleSamples(x, factors, size: size, into: GradientTarget(tensor: y, accumulates: false))
        tape?.record(y, inputs: [x]) { [tape] gradient throws(USPError) in
            guard let target = try tape?.target(for: x) else { return }
            scaleSamples(gradient, factors, size: size, into: target)
        }
        return y
    }

    /// The factors of `dropPath` as a gate for `linear`, whose residual they then leave alone;
    /// nil when nothing is dropped.
    package func dropPathGate(
        samples: Int, width: Int, rate: Float
    ) throws(USPError) -> Chunk? {
        guard let factors = try dropPathFactors(samples, rate: rate) else { return nil }
        let gate = try Tensor([samples, width])
        for (sample, factor) in factors.enumerated() {
            (gate.floats + sample * width).update(repeating: factor, count: width)
        }
        return Chunk(gate, 0, width: width)
    }

    /// The factors of `dropPath` times layer scale γ `[D]` as a gate for `linear`; γ itself when
    /// nothing is dropped.
    package func dropPathGate(
        samples: Int, scale: Tensor, rate: Float
    ) throws(USPError) -> Chunk {
        let width = scale.count
        guard let factors = try dropPathFactors(samples, rate: rate) else {
            return Chunk(try scale.reshaped([width]), 0, width: width)
        }
        let gate = try Tensor([samples, width])
        let (gamma, gates) = (scale.floats, gate.floats)
        for (sample, factor) in factors.enumerated() {
            uspi_scale(gamma, factor, gates + sample * width, width, 0)
        }
        tape?.record(gate, inputs: [scale]) { [tape] gradient throws(USPError) in
            guard let target = try tape?.target(for: scale) else { return }
            if !target.accumulates { target.tensor.fillWithZeros() }
            for (sample, factor) in factors.enumerated() {
                uspi_scale(
                    gradient.floats + sample * width, factor, target.tensor.floats, width, 1)
            }
        }
        return Chunk(gate, 0, width: width)
    }

    private func dropPathFactors(_ samples: Int, rate: Float) throws(USPError) -> [Float]? {
        try require(rate >= 0 && rate < 1, .argument, "drop path: rate \(rate), expected 0 ..< 1")
        guard let random, rate > 0 else { return nil }
        return (0..<samples).map { sample in
            var stream = RandomStream(random.stream(sample))
            return stream.uniform() < rate ? 0 : 1 / (1 - rate)
        }
    }
}

/// target[b] (+)= factors[b]·x[b]
private func scaleSamples(
    _ x: Tensor, _ factors: [Float], size: Int, into target: GradientTarget
) {
    let (source, result) = (x.floats, target.tensor.floats)
    let adds: Int32 = target.accumulates ? 1 : 0
    parallelRanges(factors.count, grain: 1) { samples in
        for sample in samples {
            uspi_scale(
                source + sample * size, factors[sample], result + sample * size, size, adds)
        }
    }
}
