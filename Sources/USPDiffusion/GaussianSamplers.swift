// Ancestral sampling and DDIM: noise to latents, and back.

import Glibc
import USPBase
import USPTensor

/// What the samplers of the Gaussian process have in common.
package struct GaussianSamplingOptions {
    /// Clip predicted clean latents to [−1, 1] (the original's `clip_denoised`).
    package var clipsStart = false
    /// Changes the predicted clean latents `[B, C, H, W]` in place, before clipping.
    package var adjustStart: ((Tensor) throws(USPError) -> Void)?
    package var monitor = SamplingMonitor()

    package init() {}
}

extension GaussianDiffusion {
    /// Ancestral sampling (DDPM): x_{t-1} = mean + √variance · noise, from the last step to 0.
    ///
    /// - latents: the noise to start from, `[B, C, H, W]`; not changed.
    /// - noise: drawn once for each step, also for the last, which does not use it (as the
    ///   original, so that seeds mean the same).
    /// - Throws: `.shape`, `.dtype`; `.notFinite` with the step if the model's output is.
    package func sampleAncestral(
        _ denoiser: @escaping Denoiser, latents: Tensor, noise: NoiseSource,
        options: GaussianSamplingOptions = GaussianSamplingOptions()
    ) throws(USPError) -> Tensor {
        try checkLatents(latents, "latents")
        let x = try latents.copied()
        let (start, fresh) = (try Tensor(x.shape), try Tensor(x.shape))
        var run = SamplingRun("ancestral sampling", steps: steps, denoiser, options.monitor)
        for step in (0..<steps).reversed() {
            let time = Double(modelTimes[step])
            let prediction = try run.predict(
                x, time: time, doubled: configuration.variance.isLearned)
            let c = coefficients(step)
            try predictStart(prediction, at: x, c, into: start, options)
            try noise.fill(fresh)
            ancestralUpdate(x, prediction, start: start, noise: step > 0 ? fresh : nil, c)
            try run.finishStep(time: time, start: start)
        }
        return x
    }

    private func ancestralUpdate(
        _ x: Tensor, _ prediction: Prediction, start: Tensor, noise: Tensor?,
        _ c: StepCoefficients
    ) {
        let count = prediction.count
        for sample in 0..<x.shape[0] {
            let offset = sample * count
            let (current, clean) = (x.floats + offset, start.floats + offset)
            let (o, v) = (prediction.mean(sample), prediction.variance(sample))
            let e = noise.map { $0.floats + offset }
            let fixed = expf(0.5 * c.fixedLogVariance)
            for i in 0..<count {
                let mean = c.mean(o[i], start: clean[i], current[i])
                guard let e else {
                    current[i] = mean
                    continue
                }
                let deviation = v.map { expf(0.5 * c.logVariance($0[i])) } ?? fixed
                current[i] = mean + deviation * e[i]
            }
        }
    }

    /// DDIM (Song et al. 2020), from the last step to 0.
    ///
    /// - eta: 0 is deterministic, 1 has the ancestral sampler's noise.
    /// - noise: as for `sampleAncestral`; not drawn, and may be nil, where `eta` is 0.
    package func sampleDDIM(
        _ denoiser: @escaping Denoiser, latents: Tensor, eta: Double = 0,
        noise: NoiseSource? = nil, options: GaussianSamplingOptions = GaussianSamplingOptions()
    ) throws(USPError) -> Tensor {
        try checkLatents(latents, "latents")
        try require((0...1).contains(eta), .argument, "eta: expected 0 to 1, got \(eta)")
        try require(eta == 0 || noise != nil, .argument, "eta \(eta) needs noise")
        let x = try latents.copied()
        let (start, fresh) = (try Tensor(x.shape), try Tensor(x.shape))
        var run = SamplingRun("DDIM", steps: steps, denoiser, options.monitor)
        for step in (0..<steps).reversed() {
            let time = Double(modelTimes[step])
            let prediction = try run.predict(
                x, time: time, doubled: configuration.variance.isLearned)
            try predictStart(prediction, at: x, coefficients(step), into: start, options)
            if eta > 0 { try noise?.fill(fresh) }
            let sigma = eta * implicitDeviation(step)
            implicitUpdate(
                x, start: start, step, bar: alphasCumulativePrevious[step], sigma: sigma,
                noise: sigma > 0 ? fresh : nil)
            try run.finishStep(time: time, start: start)
        }
        return x
    }

    /// DDIM run backwards: latents to the noise that DDIM (eta 0) makes them from.
    package func invertDDIM(
        _ denoiser: @escaping Denoiser, latents: Tensor,
        options: GaussianSamplingOptions = GaussianSamplingOptions()
    ) throws(USPError) -> Tensor {
        try checkLatents(latents, "latents")
        let x = try latents.copied()
        let start = try Tensor(x.shape)
        var run = SamplingRun("DDIM inversion", steps: steps, denoiser, options.monitor)
        for step in 0..<steps {
            let time = Double(modelTimes[step])
            let prediction = try run.predict(
                x, time: time, doubled: configuration.variance.isLearned)
            try predictStart(prediction, at: x, coefficients(step), into: start, options)
            implicitUpdate(
                x, start: start, step, bar: alphasCumulativeNext[step], sigma: 0, noise: nil)
            try run.finishStep(time: time, start: start)
        }
        return x
    }

    /// σ of equation 16 for eta 1.
    private func implicitDeviation(_ step: Int) -> Double {
        let (bar, previous) = (alphasCumulative[step], alphasCumulativePrevious[step])
        return ((1 - previous) / (1 - bar)).squareRoot() * (1 - bar / previous).squareRoot()
    }

    /// Equation 12: to the level `bar`, along the noise that `start` leaves in x.
    private func implicitUpdate(
        _ x: Tensor, start: Tensor, _ step: Int, bar: Double, sigma: Double, noise: Tensor?
    ) {
        let c = coefficients(step)
        let signal = Float(bar.squareRoot())
        let direction = Float(max(1 - bar - sigma * sigma, 0).squareRoot())
        let (current, clean, e) = (x.floats, start.floats, noise?.floats)
        for i in 0..<x.count {
            let mean = clean[i] * signal + direction * c.noise(start: clean[i], current[i])
            current[i] = mean + (e.map { Float(sigma) * $0[i] } ?? 0)
        }
    }
}
