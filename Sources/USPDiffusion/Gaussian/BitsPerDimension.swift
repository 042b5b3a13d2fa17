// The whole variational bound of given data under a model, in bits per dimension.

import Glibc
import USPBase
import USPTensor

/// The bound and its terms; the arrays are one entry for each sample.
public struct BitsPerDimension: Sendable {
    /// Sum of all terms and the prior's.
    public let total: [Double]
    /// KL of x_T from the standard normal.
    public let prior: [Double]
    /// `[sample][i]`: the term, the squared error of x_0 and that of the noise, from the noisiest
    /// step (i = 0) to step 0.
    public let bound: [[Double]]
    public let startError: [[Double]]
    public let noiseError: [[Double]]
}

extension Diffusion {
    /// What tables of options call this computation.
    static let boundPart = "bits per dimension"

    /// The bound of clean latents `[B, C, H, W]` of the range [−1, 1]; evaluates every step once for
    /// each sample.
    ///
    /// - options: `clip` (the original clips) and `seed` have a part
    /// - noise: `[steps, B, C, H, W]`, consumed in order; nil draws it from the seed
    public func bitsPerDimension(
        _ denoiser: Denoiser, of start: Tensor, labels: [Int]? = nil, noise: Tensor? = nil,
        _ options: SampleOptions = SampleOptions(), _ monitor: SamplingMonitor = SamplingMonitor()
    ) throws(USPError) -> BitsPerDimension {
        try options.checkFields()
        try options.checkParts(in: Diffusion.boundPart, called: Diffusion.boundPart)
        let usual = SampleOptions()
        for (name, isSet) in [
            ("method", options.method != nil), ("generator", options.generator != nil),
            ("first_sample", options.firstSample != usual.firstSample),
            ("total_samples", options.totalSamples != nil),
        ] where isSet {
            try requirePart(
                name, in: Diffusion.boundPart, called: Diffusion.boundPart,
                of: Solver.names { $0.isDiffusion })
        }
        try checkSteps(options)
        let source: NoiseSource
        if let noise {
            source = try .stack(noise)
        } else {
            source = .streams(RandomKey(seed: options.seed).stream("bound"))
        }
        return try bound(
            SamplingRun(
                Diffusion.boundPart, stage: Diffusion.boundPart, steps: steps, denoiser,
                latents: start, labels: labels, noise: source, options, monitor))
    }

    private func bound(_ run: SamplingRun) throws(USPError) -> BitsPerDimension {
        let start = run.latents
        let batch = start.shape[0]
        let (fresh, clean) = (try Tensor(start.shape), try Tensor(start.shape))
        var bound = [[Double]](repeating: [], count: batch)
        var (startError, noiseError) = (bound, bound)
        for step in (0..<steps).reversed() {
            try run.noise.fill(fresh)
            let indices = [Int](repeating: step, count: batch)
            let x = try noised(start, steps: indices, noise: fresh)
            let prediction = try run.predict(
                x, time: Double(modelTimes[step]), doubled: options.variance.isLearned)
            let c = coefficients(step)
            let count = prediction.count
            for sample in 0..<batch {
                let (x0, xt) = (start.floats + sample * count, x.floats + sample * count)
                let (s, e) = (clean.floats + sample * count, fresh.floats + sample * count)
                bound[sample].append(
                    boundTerm(
                        step: step, start: x0, noised: xt, output: prediction.mean(sample),
                        variance: prediction.variance(sample), count: count,
                        clips: run.options.clip, predictedStart: s))
                startError[sample].append(meanSquare(count) { s[$0] - x0[$0] })
                noiseError[sample].append(
                    meanSquare(count) { c.noise(start: s[$0], xt[$0]) - e[$0] })
            }
            try run.finishStep(start: clean)
        }
        let prior = priorBits(start)
        let total = (0..<batch).map { bound[$0].reduce(0, +) + prior[$0] }
        return BitsPerDimension(
            total: total, prior: prior, bound: bound, startError: startError,
            noiseError: noiseError)
    }

    /// KL(q(x_T | x_0) ‖ N(0, 1)) per element, in bits.
    private func priorBits(_ start: Tensor) -> [Double] {
        let bar = alphasCumulative[steps - 1]
        let (signal, logVariance) = (Float(bar.squareRoot()), Float(log(1 - bar)))
        let count = start.count / start.shape[0]
        return (0..<start.shape[0]).map { sample in
            let x = start.floats + sample * count
            var sum = 0.0
            for i in 0..<count {
                let term = divergenceTerm(
                    trueMean: signal * x[i], trueLog: logVariance, mean: 0, log: 0)
                sum += Double(term.value)
            }
            return sum / Double(count) / M_LN2
        }
    }
}

/// Mean of the squares of the body's values.
func meanSquare(_ count: Int, _ body: (Int) -> Float) -> Double {
    var sum = 0.0
    for i in 0..<count {
        let value = body(i)
        sum += Double(value * value)
    }
    return sum / Double(count)
}
