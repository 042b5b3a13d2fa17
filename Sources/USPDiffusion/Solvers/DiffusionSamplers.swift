// Ancestral sampling and DDIM: noise to latents, and back.

import Glibc
import USPBase
import USPTensor

extension Diffusion {
    /// Ancestral sampling (DDPM): x_{t-1} = mean + √variance · noise, from the last step to 0.
    ///
    /// Noise is drawn once for each step, also for the last, which does not use it (as the
    /// original, so that seeds mean the same).
    func ancestral(_ run: SamplingRun) throws(USPError) -> Tensor {
        let x = try run.latents.copied()
        let (start, fresh) = (try Tensor(x.shape), try Tensor(x.shape))
        for step in (0..<steps).reversed() {
            let prediction = try predict(run, x, at: step, start: start)
            try run.noise.fill(fresh)
            ancestralUpdate(
                x, prediction, start: start, noise: step > 0 ? fresh : nil, coefficients(step))
            try run.finishStep(start: start)
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

    /// DDIM (Song et al. 2020), from the last step to 0: eta 0 is deterministic and draws nothing,
    /// 1 has the ancestral sampler's noise.
    func implicit(_ run: SamplingRun) throws(USPError) -> Tensor {
        let eta = Double(run.options.eta)
        let x = try run.latents.copied()
        let (start, fresh) = (try Tensor(x.shape), try Tensor(x.shape))
        for step in (0..<steps).reversed() {
            _ = try predict(run, x, at: step, start: start)
            if eta > 0 { try run.noise.fill(fresh) }
            let sigma = eta * implicitDeviation(step)
            implicitUpdate(
                x, start: start, step, bar: alphasCumulativePrevious[step], sigma: sigma,
                noise: sigma > 0 ? fresh : nil)
            try run.finishStep(start: start)
        }
        return x
    }

    /// DDIM run backwards: latents to the noise that DDIM (eta 0) makes them from.
    func implicitInverse(_ run: SamplingRun) throws(USPError) -> Tensor {
        let x = try run.latents.copied()
        let start = try Tensor(x.shape)
        for step in 0..<steps {
            _ = try predict(run, x, at: step, start: start)
            implicitUpdate(
                x, start: start, step, bar: alphasCumulativeNext[step], sigma: 0, noise: nil)
            try run.finishStep(start: start)
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

    /// The model's prediction at a step, and into `start` the clean latents that it means,
    /// adjusted and clipped as asked.
    func predict(
        _ run: SamplingRun, _ x: Tensor, at step: Int, start: Tensor
    ) throws(USPError) -> Prediction {
        let prediction = try run.predict(
            x, time: Double(modelTimes[step]), doubled: options.variance.isLearned)
        let c = coefficients(step)
        for sample in 0..<x.shape[0] {
            let (o, offset) = (prediction.mean(sample), sample * prediction.count)
            let (current, result) = (x.floats + offset, start.floats + offset)
            for i in 0..<prediction.count { result[i] = c.start(o[i], current[i]) }
        }
        try run.adjust(start)
        return prediction
    }
}
