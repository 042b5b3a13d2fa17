// DPM-Solver++ of second order on the discrete schedule: good pictures in ten to twenty steps.

import Glibc
import USPBase
import USPTensor

extension GaussianDiffusion {
    /// DPM-Solver++ (2M), or its stochastic variant (Lu et al. 2022, algorithms 2 and SDE-2M): the
    /// process's steps, the first and the last of first order.
    ///
    /// - latents: the noise to start from, `[B, C, H, W]`; not changed.
    /// - noise: nil is the deterministic solver; else drawn once for each step but the last.
    /// - Throws: `.shape`, `.dtype`; `.argument` with the step if the model's output is not finite.
    package func sampleMultistep(
        _ denoiser: @escaping Denoiser, latents: Tensor, noise: NoiseSource? = nil,
        options: GaussianSamplingOptions = GaussianSamplingOptions()
    ) throws(USPError) -> Tensor {
        try checkLatents(latents, "latents")
        let x = try latents.copied()
        let fresh = try Tensor(x.shape)
        var (start, before) = (try Tensor(x.shape), try Tensor(x.shape))
        var lastStep: Double?
        var run = SamplingRun("DPM-Solver++", steps: steps, denoiser, options.monitor)
        for step in (0..<steps).reversed() {
            let time = Double(modelTimes[step])
            let prediction = try run.predict(
                x, time: time, doubled: configuration.variance.isLearned)
            try predictStart(prediction, at: x, coefficients(step), into: start, options)
            let isLast = step == 0
            if !isLast { try noise?.fill(fresh) }
            lastStep = multistepUpdate(
                x, start: start, before: isLast ? nil : lastStep.map { (before, $0) },
                noise: isLast || noise == nil ? nil : fresh, step)
            try run.finishStep(time: time, start: start)
            swap(&start, &before)
        }
        return x
    }

    /// One step; returns its length in log signal-to-noise ratio.
    private func multistepUpdate(
        _ x: Tensor, start: Tensor, before: (start: Tensor, length: Double)?, noise: Tensor?,
        _ step: Int
    ) -> Double {
        let (bar, next) = (alphasCumulative[step], alphasCumulativePrevious[step])
        let (sigma, nextSigma) = ((1 - bar).squareRoot(), max(1 - next, 0).squareRoot())
        guard nextSigma > 0 else {
            x.floats.update(from: start.floats, count: x.count)
            return .infinity
        }
        let length = 0.5 * (log(next / (1 - next)) - log(bar / (1 - bar)))
        // A straight line through two predictions does not reach far beyond them: the published
        // spacings end in a step many times the one before, which is taken at first order.
        let ratio = before.map { length / $0.length } ?? 0
        let extrapolation = ratio <= 2 ? 0.5 * ratio : 0
        let decay = exp(noise == nil ? -length : -2 * length)
        let keep = Float(nextSigma / sigma * (noise == nil ? 1 : exp(-length)))
        let toward = next.squareRoot() * (1 - decay)
        let (now, then) = (Float(toward * (1 + extrapolation)), Float(toward * extrapolation))
        let deviation = Float(nextSigma * max(1 - decay, 0).squareRoot())
        let (current, clean) = (x.floats, start.floats)
        let (old, e) = (before?.start.floats, noise?.floats)
        for i in 0..<x.count {
            var value = keep * current[i] + now * clean[i]
            if let old { value -= then * old[i] }
            if let e { value += deviation * e[i] }
            current[i] = value
        }
        return length
    }
}
