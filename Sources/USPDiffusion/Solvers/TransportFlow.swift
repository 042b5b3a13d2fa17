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
        let halves = method.isAdaptive && run.options.nullHalf && run.isGuided
        let state = try halves ? run.latents.twice() : run.latents.copied()
        let start = run.showsPreviews ? try Tensor(state.shape) : nil
        // REPA guides all evaluations of a step or none, by its start.
        var stepStart = grid.first
        let problem = ODEProblem(
            field: { t, y, into throws(USPError) in
                let deciding = self.isReversed && !method.isAdaptive ? stepStart : nil
                let time = self.modelTime(Double(t))
                let prediction =
                    try halves
                    ? run.predictHalves(y, time: time)
                    : run.predict(
                        y, time: time, guidedBy: deciding.map { self.modelTime(Double($0)) })
                if run.previews, let start {
                    self.data(Double(t)).apply(y, prediction, into: start)
                }
                self.velocity(Double(t)).apply(y, prediction, into: into)
            },
            staysInside: path == .vp && prediction != .velocity,
            finished: { _, t, _ throws(USPError) in
                stepStart = t
                try run.finishStep(
                    start: halves ? start?.detachedRows(0..<run.latents.shape[0]) : start)
            })
        guard run.options.lastStep == .euler else {
            try method.solve(problem, state, grid, run.options.tolerances)
            return halves ? try state.detachedRows(0..<run.latents.shape[0]) : state
        }
        if grid.count > 2 {
            try method.solve(problem, state, Array(grid.dropLast()), run.options.tolerances)
        }
        try ODEMethod.stepping(scratch: 1, ODEProblem.stepEuler).solve(
            problem, state, Array(grid.suffix(2)), run.options.tolerances)
        return state
    }
}

extension SampleOptions {
    var tolerances: Tolerances { Tolerances(absolute: Double(atol), relative: Double(rtol)) }
}
