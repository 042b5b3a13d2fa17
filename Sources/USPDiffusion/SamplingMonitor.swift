// What a caller sees of a running sampler, and how it stops one.

import USPBase
import USPTensor

/// Where a run stands, told after each step.
package struct SamplingProgress: Sendable, Equatable {
    /// Steps done, and all of them (0 = not known beforehand: adaptive solvers).
    package let step: Int
    package let steps: Int
    /// The time, on the model's scale, that the step evaluated the model at.
    package let time: Double
    /// Calls of the model so far.
    package let evaluations: Int
}

/// Callbacks between steps, on the caller's thread; an error they throw ends the run.
package struct SamplingMonitor {
    package var progress: ((SamplingProgress) throws(USPError) -> Void)?
    /// Receives the predicted clean latents `[B, C, H, W]`, a scratch tensor: copy what is kept.
    package var preview: ((_ step: Int, _ start: Tensor) throws(USPError) -> Void)?
    /// Steps from one preview to the next; the last step always has one.
    package var previewInterval: Int

    package init(
        progress: ((SamplingProgress) throws(USPError) -> Void)? = nil, previewInterval: Int = 10,
        preview: ((_ step: Int, _ start: Tensor) throws(USPError) -> Void)? = nil
    ) {
        self.progress = progress
        self.previewInterval = previewInterval
        self.preview = preview
    }
}

/// One run: counts steps and evaluations, checks what the model returns.
struct SamplingRun {
    let place: String
    let steps: Int
    let monitor: SamplingMonitor
    private let denoiser: Denoiser
    private(set) var step = 0
    private(set) var evaluations = 0

    init(_ place: String, steps: Int, _ denoiser: @escaping Denoiser, _ monitor: SamplingMonitor) {
        self.place = place
        self.steps = steps
        self.denoiser = denoiser
        self.monitor = monitor
    }

    private var position: String { steps > 0 ? "step \(step + 1) of \(steps)" : "step \(step + 1)" }

    /// Calls the model with one time for the whole batch.
    ///
    /// - Throws: `.notFinite` with the step; `.shape`; the model's errors.
    mutating func predict(
        _ x: Tensor, time: Double, doubled: Bool? = nil
    ) throws(USPError) -> Prediction {
        try predict(x, times: [Float](repeating: Float(time), count: x.shape[0]), doubled: doubled)
    }

    mutating func predict(
        _ x: Tensor, times: [Float], doubled: Bool? = nil
    ) throws(USPError) -> Prediction {
        let denoiser = denoiser
        return try checked(x, times[0], doubled: doubled) { () throws(USPError) in
            try denoiser(x, times)
        }
    }

    /// As `predict`, with the derivative along a probe.
    mutating func differentiate(
        _ derivative: DenoiserDerivative, _ x: Tensor, time: Double, along probe: Tensor
    ) throws(USPError) -> (prediction: Prediction, product: Tensor) {
        let times = [Float](repeating: Float(time), count: x.shape[0])
        var product: Tensor?
        let prediction = try checked(x, times[0]) { () throws(USPError) in
            let result = try derivative(x, times, probe)
            product = result.product
            return result.output
        }
        guard let product else { throw USPError(.internal, "\(place): no derivative") }
        try checkLike(product, x, "derivative")
        return (prediction, product)
    }

    /// What the body makes of `x`, counted and checked.
    private mutating func checked(
        _ x: Tensor, _ time: Float, doubled: Bool? = nil, _ body: () throws(USPError) -> Tensor
    ) throws(USPError) -> Prediction {
        evaluations += 1
        let prediction: Prediction
        do {
            prediction = try Prediction(try body(), for: x, doubled: doubled)
        } catch {
            throw error.at("\(place), \(position)")
        }
        try require(
            prediction.isFinite, .notFinite,
            "\(place), \(position): the model returned a value that is not finite at time \(time)")
        return prediction
    }

    /// Whether this step's predicted start will be shown.
    var previews: Bool {
        guard monitor.preview != nil else { return false }
        return (step + 1) % max(monitor.previewInterval, 1) == 0 || step + 1 == steps
    }

    /// Ends a step: preview, progress.
    mutating func finishStep(time: Double, start: Tensor? = nil) throws(USPError) {
        if previews, let start { try monitor.preview?(step + 1, start) }
        step += 1
        try monitor.progress?(
            SamplingProgress(step: step, steps: steps, time: time, evaluations: evaluations))
    }
}
