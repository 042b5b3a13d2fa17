// One run of a solver: what it starts from, what it asks, what it tells.

import USPBase
import USPTensor

/// Counts steps and evaluations, and checks what the model returns.
final class SamplingRun {
    /// The solver's or the computation's name, for messages.
    let place: String
    /// What callbacks are told: `sample`, `invert`, …
    let stage: String
    let steps: Int
    /// `[B, C, H, W]`: not to be changed.
    let latents: Tensor
    let noise: NoiseSource
    let options: SampleOptions
    private let denoiser: Denoiser
    private let labels: [Int]?
    private let monitor: SamplingMonitor
    private let clock = Stopwatch()
    private var step = 0
    private var evaluations = 0

    /// - Throws: `.shape`, `.dtype` for latents that are no batch, or labels that are not its.
    init(
        _ place: String, stage: String, steps: Int, _ denoiser: Denoiser, latents: Tensor,
        labels: [Int]?, noise: NoiseSource, _ options: SampleOptions, _ monitor: SamplingMonitor
    ) throws(USPError) {
        try checkLatents(latents, "latents")
        try checkLabels(labels, latents)
        (self.place, self.stage, self.steps) = (place, stage, steps)
        (self.denoiser, self.latents, self.labels) = (denoiser, latents, labels)
        (self.noise, self.options, self.monitor) = (noise, options, monitor)
    }

    private var position: String { steps > 0 ? "step \(step + 1) of \(steps)" : "step \(step + 1)" }

    /// Calls the model with one time for the whole batch.
    ///
    /// - guidedBy: the time that decides whether there is guidance, if it is another
    /// - doubled: whether variances are expected behind the prediction; nil takes both
    /// - Throws: `.notFinite` with the step; `.shape`; the model's errors.
    func predict(
        _ x: Tensor, time: Double, guidedBy: Double? = nil, doubled: Bool? = nil
    ) throws(USPError) -> Prediction {
        let times = [Float](repeating: Float(time), count: x.shape[0])
        evaluations += 1
        let output: Tensor
        do {
            output = try denoiser.predict(
                x, times, labels, guidedBy: guidedBy.map { Float($0) })
        } catch { throw told(error) }
        return try checked(output, x, times[0], doubled: doubled)
    }

    /// Whether predictions are guided.
    var isGuided: Bool { denoiser.guidance != nil }

    /// As `predict`, of a state `[2B, C, H, W]` whose second half is guidance's null half. Both see the
    /// first half's latents, as in the originals.
    func predictHalves(_ x: Tensor, time: Double) throws(USPError) -> Prediction {
        let batch = x.shape[0] / 2
        let times = [Float](repeating: Float(time), count: batch)
        evaluations += 1
        let output: Tensor
        do {
            output = try denoiser.predictHalves(x.detachedRows(0..<batch), times, labels)
        } catch { throw told(error) }
        return try checked(output, x, times[0])
    }

    /// Whether `differentiate` can be called.
    var hasDerivative: Bool { denoiser.derivative != nil }

    /// As `predict`, with the derivative along a probe.
    func differentiate(
        _ x: Tensor, time: Double, along probe: Tensor
    ) throws(USPError) -> (prediction: Prediction, product: Tensor) {
        guard let derivative = denoiser.derivative else {
            throw USPError(.internal, "\(place): no derivative")
        }
        let times = [Float](repeating: Float(time), count: x.shape[0])
        evaluations += 1
        let result: (output: Tensor, product: Tensor)
        do { result = try derivative(x, times, labels, probe) } catch { throw told(error) }
        try checkLike(result.product, x, "derivative")
        return (try checked(result.output, x, times[0]), result.product)
    }

    private func checked(
        _ output: Tensor, _ x: Tensor, _ time: Float, doubled: Bool? = nil
    ) throws(USPError) -> Prediction {
        let prediction: Prediction
        do { prediction = try Prediction(output, for: x, doubled: doubled) } catch {
            throw told(error)
        }
        try require(
            prediction.isFinite, .notFinite,
            "\(place), \(position): the model returned a value that is not finite at time \(time)")
        return prediction
    }

    private func told(_ error: USPError) -> USPError { error.at("\(place), \(position)") }

    /// Whether anything is ever shown.
    var showsPreviews: Bool { monitor.preview != nil }

    /// Whether this step's predicted start will be shown.
    var previews: Bool {
        showsPreviews && ((step + 1) % max(options.previewInterval, 1) == 0 || step + 1 == steps)
    }

    /// Changes and clips predicted clean latents as asked.
    func adjust(_ start: Tensor) throws(USPError) {
        try monitor.adjustStart?(start)
        guard options.clip else { return }
        let values = start.floats
        for i in 0..<start.count { values[i] = min(max(values[i], -1), 1) }
    }

    /// Ends a step: preview, progress.
    func finishStep(start: Tensor? = nil) throws(USPError) {
        if previews, let start { try monitor.preview?(state(start)) }
        step += 1
        try monitor.progress?(state(nil))
    }

    private func state(_ start: Tensor?) -> Progress {
        Progress(
            stage: stage, step: start == nil ? step : step + 1, steps: steps,
            seconds: clock.seconds, evaluations: denoiser.computed ?? Double(evaluations),
            latents: start)
    }
}
