// The stochastic sampler of the transport: noise to data along an SDE with the flow's marginals.

import USPBase
import USPTensor

/// An integrator of dx = (v + D·score) dt + √(2 D) dw.
struct StochasticMethod: Sendable {
    /// One noisy step from time t.
    let step:
        @Sendable (StochasticStep) -> (
            _ t: Double, _ run: SamplingRun
        ) throws(USPError) -> Void
    /// Whether the model is also asked where a step ends.
    var evaluatesEnd = false
}

/// What follows the last noisy step.
public enum LastStep: String, NamedChoice {
    case none = "None"
    /// The SDE's drift, without noise.
    case mean = "Mean"
    /// The expected data, by Tweedie's formula.
    case tweedie = "Tweedie"
    /// The flow's velocity.
    case euler = "Euler"

    package static let what = "last step"
}

extension Transport {
    /// Noise to data; draws noise once for each step but the last.
    func stochastic(_ run: SamplingRun, _ method: StochasticMethod) throws(USPError) -> Tensor {
        let interval = stochasticInterval(run.options, evaluatesEnd: method.evaluatesEnd)
        let grid = try timeGrid(from: interval.start, to: interval.end, points: run.steps)
        let x = try run.latents.copied()
        let step = StochasticStep(
            transport: self, options: run.options, size: grid[1] - grid[0], x: x,
            fresh: try Tensor(x.shape), scratch: try Tensor(x.shape),
            start: run.showsPreviews ? try Tensor(x.shape) : nil)
        for t in grid.dropLast() {
            try run.noise.fill(step.fresh)
            try method.step(step)(Double(t), run)
            try run.finishStep(start: step.start)
        }
        try step.finish(Double(grid[grid.count - 1]), run)
        try run.finishStep(start: x)
        return x
    }
}

/// The state of one stochastic run, and its steps.
struct StochasticStep {
    let transport: Transport
    let options: SampleOptions
    let size: Float
    let x: Tensor
    let fresh: Tensor
    let scratch: Tensor
    /// The predicted data, where there are previews.
    let start: Tensor?

    private func diffusion(_ t: Double) -> Double {
        options.form.value(t, transport.path.coefficients(t), norm: Double(options.norm))
    }

    /// v + D·score.
    private func drift(_ t: Double) -> AffineView {
        transport.velocity(t).adding(transport.score(t), times: diffusion(t))
    }

    private func deviation(_ t: Double) -> Float {
        Float((2 * diffusion(t) * Double(size)).squareRoot())
    }

    /// Writes the drift to `scratch`.
    private func evaluate(_ t: Double, _ run: SamplingRun) throws(USPError) {
        let prediction = try run.predict(x, time: transport.modelTime(t))
        if run.previews, let start { transport.data(t).apply(x, prediction, into: start) }
        drift(t).apply(x, prediction, into: scratch)
    }

    func euler(_ t: Double, _ run: SamplingRun) throws(USPError) {
        try evaluate(t, run)
        combine(x, x, [(size, scratch), (deviation(t), fresh)])
    }

    func heun(_ t: Double, _ run: SamplingRun) throws(USPError) {
        combine(x, x, [(deviation(t), fresh)])
        try evaluate(t, run)
        combine(fresh, x, [(size, scratch)])
        let end = Double(Float(t) + size)
        let second = try run.predict(fresh, time: transport.modelTime(end))
        drift(end).apply(fresh, second, into: fresh)
        combine(x, x, [(0.5 * size, scratch), (0.5 * size, fresh)])
    }

    /// What follows the last noisy step.
    func finish(_ t: Double, _ run: SamplingRun) throws(USPError) {
        guard options.stochasticLastStep != .none else { return }
        let prediction = try run.predict(x, time: transport.modelTime(t))
        let length = options.lastStepSize
        switch options.stochasticLastStep {
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
