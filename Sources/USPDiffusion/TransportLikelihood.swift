// Log-likelihood by the instantaneous change of variables (Chen et al. 2018), its divergence by
// Hutchinson's estimator.

import Glibc
import USPBase
import USPTensor

extension Transport {
    /// Half the distance of the central difference along the probe. Latents are of size 1; smaller
    /// steps drown in f32's rounding, which an adaptive solver would take for stiffness.
    private static let probeStep: Float = 0.125

    /// Log-likelihood of data in nats, and the noise that the data came from.
    ///
    /// The divergence probeᵀ·∂v/∂x·probe is a central difference along the probe: three evaluations
    /// of the model for one of the field.
    /// - data, probe: `[B, C, H, W]` f32; the probe of signs serves all evaluations
    /// - Throws: as `sampleFlow`
    package func likelihood(
        _ denoiser: @escaping Denoiser, data: Tensor, probe: Tensor,
        _ options: FlowOptions = FlowOptions()
    ) throws(USPError) -> (logLikelihood: [Float], latent: Tensor) {
        try checkLatents(data, "data")
        try checkLike(probe, data, "probe")
        let (batch, count) = (data.shape[0], data.count)
        let interval = flowInterval(reverse: false)
        let grid = timeGrid(from: interval.start, to: interval.end, points: options.points)
        let state = try Tensor.zeros([count + batch])
        state.floats.update(from: data.floats, count: count)
        var run = SamplingRun("likelihood", steps: options.points - 1, denoiser, options.monitor)
        let field = LikelihoodField(transport: self, probe: probe, moved: try Tensor(data.shape),
            forward: try Tensor(data.shape), backward: try Tensor(data.shape))
        let problem = ODEProblem(
            field: { t, y, into throws(USPError) in try field.evaluate(1 - t, y, into, &run) },
            parts: [0..<count, count..<count + batch],
            finished: { _, t, _ throws(USPError) in try run.finishStep(time: 1 - Double(t)) })
        try problem.solve(
            options.method, state, grid: grid, absolute: options.absolute, relative: options.relative)
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

    /// −v(x, t) and, for each sample, the estimated divergence.
    private struct LikelihoodField {
        let transport: Transport
        let probe: Tensor
        let moved: Tensor
        let forward: Tensor
        let backward: Tensor

        func evaluate(
            _ t: Float, _ y: Tensor, _ into: Tensor, _ run: inout SamplingRun
        ) throws(USPError) {
            let (time, count) = (Double(t), probe.count)
            let x = Tensor(probe.shape, .float32, storage: y.storage, byteOffset: y.byteOffset)
            let step = Transport.probeStep
            combine(moved, x, [(step, probe)])
            transport.velocity(time).apply(moved, try run.predict(moved, time: time), into: forward)
            combine(moved, x, [(-step, probe)])
            transport.velocity(time).apply(moved, try run.predict(moved, time: time), into: backward)
            transport.velocity(time).apply(x, try run.predict(x, time: time), into: moved)
            let each = count / probe.shape[0]
            for sample in 0..<probe.shape[0] {
                var total = 0.0
                for i in sample * each..<(sample + 1) * each {
                    total += Double(probe.floats[i]) * Double(forward.floats[i] - backward.floats[i])
                }
                into.floats[count + sample] = Float(total / Double(2 * step))
            }
            for i in 0..<count { into.floats[i] = -moved.floats[i] }
        }
    }
}
