// DPM-Solver++ of second order on the discrete schedule: good pictures in ten to twenty steps.

import Glibc
import USPBase
import USPTensor

extension Diffusion {
    /// DPM-Solver++ (2M), deterministic.
    func multistep(_ run: SamplingRun) throws(USPError) -> Tensor {
        try multistep(run, isStochastic: false)
    }

    /// Its stochastic variant: noise is drawn once for each step but the last.
    func stochasticMultistep(_ run: SamplingRun) throws(USPError) -> Tensor {
        try multistep(run, isStochastic: true)
    }

    /// Lu et al. 2022, algorithms 2 and SDE-2M: the process's steps, the first and the last of first
    /// order.
    private func multistep(
        _ run: SamplingRun, isStochastic: Bool
    ) throws(USPError) -> Tensor {
        let x = try run.latents.copied()
        var (start, before) = (try Tensor(x.shape), try Tensor(x.shape))
        var lastStep: Double?
        for step in (0..<steps).reversed() {
            _ = try predict(run, x, at: step, start: start)
            let update = MultistepUpdate(
                self, step, lastLength: lastStep, isStochastic: isStochastic)
            update.apply(x, start: start, before: before)
            lastStep = update.length
            if step > 0, isStochastic {
                // The prediction before the last is not needed any more: noise takes its place.
                try run.noise.fill(before)
                combine(x, x, [(update.deviation, before)])
            }
            try run.finishStep(start: start)
            swap(&start, &before)
        }
        return x
    }
}

/// x = keep · x + now · start − then · before, plus noise.
private struct MultistepUpdate {
    /// The step's length in log signal-to-noise ratio.
    let length: Double
    let keep: Float
    let now: Float
    let then: Float
    let deviation: Float

    /// - lastLength: of the step before, whose prediction is at hand; nil = first order, as is the
    ///   last step, which goes to the prediction itself.
    init(_ process: Diffusion, _ step: Int, lastLength: Double?, isStochastic: Bool) {
        let (bar, next) = (process.alphasCumulative[step], process.alphasCumulativePrevious[step])
        let (sigma, nextSigma) = ((1 - bar).squareRoot(), max(1 - next, 0).squareRoot())
        guard nextSigma > 0 else {
            (self.length, keep, now, then, deviation) = (.infinity, 0, 1, 0, 0)
            return
        }
        let length = 0.5 * (log(next / (1 - next)) - log(bar / (1 - bar)))
        // A straight line through two predictions does not reach far beyond them: the published
        // spacings end in a step many times the one before, which is taken at first order.
        let ratio = lastLength.map { length / $0 } ?? 0
        let extrapolation = ratio <= 2 ? 0.5 * ratio : 0
        self.length = length
        let decay = exp(isStochastic ? -2 * length : -length)
        keep = Float(nextSigma / sigma * (isStochastic ? exp(-length) : 1))
        let toward = next.squareRoot() * (1 - decay)
        (now, then) = (Float(toward * (1 + extrapolation)), Float(toward * extrapolation))
        deviation = isStochastic ? Float(nextSigma * max(1 - decay, 0).squareRoot()) : 0
    }

    /// - before: not read by a first-order step
    func apply(_ x: Tensor, start: Tensor, before: Tensor) {
        let (current, clean, old) = (x.floats, start.floats, before.floats)
        guard then != 0 else {
            for i in 0..<x.count { current[i] = keep * current[i] + now * clean[i] }
            return
        }
        for i in 0..<x.count {
            current[i] = keep * current[i] + now * clean[i] - then * old[i]
        }
    }
}
