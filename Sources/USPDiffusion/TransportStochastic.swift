// The stochastic sampler of the transport: noise to data along an SDE with the flow's marginals.

import USPBase
import USPTensor

/// Integrators of dx = (v + D·score) dt + √(2 D) dw.
package enum StochasticMethod: String, NamedChoice {
    /// Euler and Maruyama's.
    case euler = "Euler"
    /// Heun's rule on the drift, after the noise.
    case heun = "Heun"

    package static let what = "SDE solver"
    package static let aliases: [String: StochasticMethod] = ["euler-maruyama": .euler]
}

/// What follows the last noisy step.
package enum LastStep: String, NamedChoice {
    case none = "None"
    /// The SDE's drift, without noise.
    case mean = "Mean"
    /// The expected data, by Tweedie's formula.
    case tweedie = "Tweedie"
    /// The flow's velocity.
    case euler = "Euler"

    package static let what = "last step"
}

/// How the SDE is integrated.
package struct StochasticOptions {
    package var method: StochasticMethod = .euler
    package var form: DiffusionForm = .sigma
    package var norm = 1.0
    package var last: LastStep = .mean
    package var lastSize = 0.04
    /// Steps in all, the last one included.
    package var steps = 250
    package var monitor = SamplingMonitor()

    package init() {}
}

extension Transport {
    /// Noise to data; draws noise once for each step but the last.
    ///
    /// - latents: `[B, C, H, W]` f32; not changed.
    /// - Throws: `.shape`; `.argument` for sizes that cannot be; `.notFinite` with the step if the
    ///   model's output is.
    package func sampleStochastic(
        _ denoiser: @escaping Denoiser, latents: Tensor, noise: NoiseSource,
        _ options: StochasticOptions = StochasticOptions()
    ) throws(USPError) -> Tensor {
        try checkLatents(latents, "latents")
        try require(
            options.lastSize >= 0 && options.lastSize < 1 && options.norm >= 0, .argument,
            "last step size \(options.lastSize), norm \(options.norm): expected 0 to below 1, 0 or "
                + "more")
        let interval = stochasticInterval(
            form: options.form, method: options.method, last: options.last,
            lastStep: options.lastSize)
        let grid = try timeGrid(from: interval.start, to: interval.end, points: options.steps)
        let step = StochasticStep(
            transport: self, options: options, size: grid[1] - grid[0], x: try latents.copied(),
            fresh: try Tensor(latents.shape), scratch: try Tensor(latents.shape),
            start: options.monitor.preview == nil ? nil : try Tensor(latents.shape))
        var run = SamplingRun("SDE sampling", steps: options.steps, denoiser, options.monitor)
        for t in grid.dropLast() {
            try noise.fill(step.fresh)
            try step.advance(Double(t), &run)
            try run.finishStep(time: Double(t), start: step.start)
        }
        try step.finish(Double(grid[grid.count - 1]), &run)
        try run.finishStep(time: interval.end, start: step.x)
        return step.x
    }
}

/// The state of one stochastic run, and its steps.
private struct StochasticStep {
    let transport: Transport
    let options: StochasticOptions
    let size: Float
    let x: Tensor
    let fresh: Tensor
    let scratch: Tensor
    /// The predicted data, where there are previews.
    let start: Tensor?

    private func diffusion(_ t: Double) -> Double {
        options.form.value(t, transport.path.coefficients(t), norm: options.norm)
    }

    /// v + D·score.
    private func drift(_ t: Double) -> AffineView {
        transport.velocity(t).adding(transport.score(t), times: diffusion(t))
    }

    func advance(_ t: Double, _ run: inout SamplingRun) throws(USPError) {
        let deviation = Float((2 * diffusion(t) * Double(size)).squareRoot())
        if options.method == .heun { combine(x, x, [(deviation, fresh)]) }
        let prediction = try run.predict(x, time: t)
        if run.previews, let start { transport.data(t).apply(x, prediction, into: start) }
        drift(t).apply(x, prediction, into: scratch)
        switch options.method {
        case .euler: combine(x, x, [(size, scratch), (deviation, fresh)])
        case .heun:
            combine(fresh, x, [(size, scratch)])
            let end = Double(Float(t) + size)
            let second = try run.predict(fresh, time: end)
            drift(end).apply(fresh, second, into: fresh)
            combine(x, x, [(0.5 * size, scratch), (0.5 * size, fresh)])
        }
    }

    func finish(_ t: Double, _ run: inout SamplingRun) throws(USPError) {
        guard options.last != .none else { return }
        let prediction = try run.predict(x, time: t)
        let length = Float(options.lastSize)
        switch options.last {
        case .none: return
        case .mean:
            drift(t).apply(x, prediction, into: scratch)
            combine(x, x, [(length, scratch)])
        case .euler:
            transport.velocity(t).apply(x, prediction, into: scratch)
            combine(x, x, [(length, scratch)])
        case .tweedie:
            let p = transport.path.coefficients(t)
            let score = transport.score(t)
            AffineView(
                fromState: (1 + p.sigma * p.sigma * score.fromState) / p.alpha,
                fromOutput: p.sigma * p.sigma / p.alpha * score.fromOutput
            ).apply(x, prediction, into: x)
        }
    }
}
