// The deterministic sampler of the transport: the probability flow, in both directions.

import USPBase
import USPTensor

extension Transport {
    /// Noise to data along dx/dt = v(x, t), or in reverse data to noise.
    func flow(
        _ run: SamplingRun, _ method: ODEMethod, reverse: Bool
    ) throws(USPError) -> Tensor {
        let interval = flowInterval(reverse: reverse)
        let grid = try timeGrid(
            from: interval.start, to: interval.end, points: run.steps + 1,
            shift: Double(run.options.timestepShift))
        let state = try run.latents.copied()
        let start = run.showsPreviews ? try Tensor(state.shape) : nil
        let problem = ODEProblem(
            field: { t, y, into throws(USPError) in
                let prediction = try run.predict(y, time: self.modelTime(Double(t)))
                if run.previews, let start {
                    self.data(Double(t)).apply(y, prediction, into: start)
                }
                self.velocity(Double(t)).apply(y, prediction, into: into)
            },
            staysInside: path == .vp && prediction != .velocity,
            finished: { _, _, _ throws(USPError) in try run.finishStep(start: start) })
        try method.solve(problem, state, grid, run.options.tolerances)
        return state
    }
}

extension SampleOptions {
    var tolerances: Tolerances { Tolerances(absolute: Double(atol), relative: Double(rtol)) }
}
