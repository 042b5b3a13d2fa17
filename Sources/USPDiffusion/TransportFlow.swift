// The deterministic sampler of the transport: the probability flow, in both directions.

import USPBase
import USPTensor

/// How the probability flow is integrated.
package struct FlowOptions {
    package var method: ODEMethod = .dopri5
    /// Points of time, both ends included; for adaptive solvers those at which progress is told.
    package var points = 50
    package var absolute = 1e-6
    package var relative = 1e-3
    /// Data to noise.
    package var reverse = false
    /// Below 1 takes shorter steps at the start.
    package var shift = 1.0
    package var monitor = SamplingMonitor()

    package init() {}
}

extension Transport {
    /// Noise to data along dx/dt = v(x, t), or data to noise.
    ///
    /// - latents: `[B, C, H, W]` f32; not changed.
    /// - Throws: `.shape`; `.notFinite` with the step if the model's output is.
    package func sampleFlow(
        _ denoiser: @escaping Denoiser, latents: Tensor, _ options: FlowOptions = FlowOptions()
    ) throws(USPError) -> Tensor {
        try checkLatents(latents, "latents")
        try require(
            options.shift > 0, .argument, "timestep shift: \(options.shift), expected above 0")
        let interval = flowInterval(reverse: options.reverse)
        let grid = try timeGrid(
            from: interval.start, to: interval.end, points: options.points, shift: options.shift)
        let state = try latents.copied()
        let start = options.monitor.preview == nil ? nil : try Tensor(latents.shape)
        var run = SamplingRun("ODE sampling", steps: options.points - 1, denoiser, options.monitor)
        let problem = ODEProblem(
            field: { t, y, into throws(USPError) in
                let prediction = try run.predict(y, time: Double(t))
                if run.previews, let start { data(Double(t)).apply(y, prediction, into: start) }
                velocity(Double(t)).apply(y, prediction, into: into)
            },
            staysInside: path == .vp && prediction != .velocity,
            finished: { _, t, _ throws(USPError) in
                try run.finishStep(time: Double(t), start: start)
            })
        try problem.solve(
            options.method, state, grid: grid, absolute: options.absolute,
            relative: options.relative)
        return state
    }
}
