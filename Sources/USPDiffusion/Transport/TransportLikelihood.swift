// Log-likelihood by the instantaneous change of variables (Chen et al. 2018), its divergence by
// Hutchinson's estimator.

import Glibc
import USPBase
import USPTensor

extension Transport {
    /// Half the distance of a central difference along the probe. Latents are of size 1; smaller
    /// steps drown in f32's rounding, which an adaptive solver would take for stiffness.
    fileprivate static let probeStep: Float = 0.125

    /// Log-likelihood of data in nats, and the noise that the data came from.
    ///
    /// - probe: `[B, C, H, W]` f32, signs; serves all evaluations. The divergence along it,
    ///   probeᵀ·∂v/∂x·probe, is exact for a model that gives its derivative, at one pass forwards
    ///   and one back; else a central difference: three evaluations of the denoiser for one of the
    ///   field, and an error of about 1e-4 for networks (none for linear functions)
    func likelihood(
        _ run: SamplingRun, _ method: ODEMethod, probe: Tensor
    ) throws(USPError) -> (logLikelihood: [Float], noise: Tensor) {
        let data = run.latents
        try checkLike(probe, data, "probe")
        let (batch, count) = (data.shape[0], data.count)
        let interval = flowInterval(reverse: false)
        let grid = try timeGrid(from: interval.start, to: interval.end, points: run.steps + 1)
        let state = try Tensor.zeros([count + batch])
        state.floats.update(from: data.floats, count: count)
        let field = LikelihoodField(transport: self, probe: probe, run: run)
        let problem = ODEProblem(
            field: { t, y, into throws(USPError) in try field.evaluate(1 - t, y, into) },
            parts: [0..<count, count..<count + batch],
            finished: { _, _, _ throws(USPError) in try run.finishStep() })
        try method.solve(problem, state, grid, run.options.tolerances)
        let latent = try Tensor(data.shape)
        latent.floats.update(from: state.floats, count: count)
        let each = count / batch
        let result = (0..<batch).map { sample in
            var squares = 0.0
            for i in sample * each..<(sample + 1) * each {
                squares += Double(latent.floats[i]) * Double(latent.floats[i])
            }
            let prior = -0.5 * Double(each) * log(2 * Double.pi) - 0.5 * squares
            return Float(prior - Double(state.floats[count + sample]))
        }
        return (result, latent)
    }
}

/// −v(x, t) and, for each sample, the estimated divergence.
private struct LikelihoodField {
    let transport: Transport
    let probe: Tensor
    let run: SamplingRun

    /// - y: the batch, and behind it one number for each sample; `into` likewise
    func evaluate(
        _ t: Float, _ y: Tensor, _ into: Tensor
    ) throws(USPError) {
        let x = Tensor(probe.shape, .float32, storage: y.storage, byteOffset: y.byteOffset)
        let velocity: Tensor
        let divergence: [Double]
        if run.hasDerivative {
            (velocity, divergence) = try exact(Double(t), x)
        } else {
            (velocity, divergence) = try difference(Double(t), x)
        }
        let count = probe.count
        for i in 0..<count { into.floats[i] = -velocity.floats[i] }
        for (sample, value) in divergence.enumerated() {
            into.floats[count + sample] = Float(value)
        }
    }

    private func exact(
        _ time: Double, _ x: Tensor
    ) throws(USPError) -> (velocity: Tensor, divergence: [Double]) {
        let (prediction, product) = try run.differentiate(
            x, time: transport.modelTime(time), along: probe)
        let view = transport.velocity(time)
        let velocity = try Tensor(x.shape)
        view.apply(x, prediction, into: velocity)
        let e = probe.floats
        let divergence = sampleSums {
            let own = Double(e[$0]) * Double(e[$0]) * view.fromState
            return own + Double(e[$0]) * Double(product.floats[$0]) * view.fromOutput
        }
        return (velocity, divergence)
    }

    private func difference(
        _ time: Double, _ x: Tensor
    ) throws(USPError) -> (velocity: Tensor, divergence: [Double]) {
        let (moved, forward, backward) = (
            try Tensor(x.shape), try Tensor(x.shape), try Tensor(x.shape)
        )
        let (view, step) = (transport.velocity(time), Transport.probeStep)
        let time = transport.modelTime(time)
        combine(moved, x, [(step, probe)])
        view.apply(moved, try run.predict(moved, time: time), into: forward)
        combine(moved, x, [(-step, probe)])
        view.apply(moved, try run.predict(moved, time: time), into: backward)
        view.apply(x, try run.predict(x, time: time), into: moved)
        let divergence = sampleSums {
            Double(probe.floats[$0]) * Double(forward.floats[$0] - backward.floats[$0])
                / Double(2 * step)
        }
        return (moved, divergence)
    }

    /// The sum over each sample's elements.
    private func sampleSums(_ value: (Int) -> Double) -> [Double] {
        let each = probe.count / probe.shape[0]
        return (0..<probe.shape[0]).map { sample in
            (sample * each..<(sample + 1) * each).reduce(0.0) { $0 + value($1) }
        }
    }
}
