// Where integration starts and ends: the original's rule, and what keeps it off singular times.

import USPBase

/// A stretch of time, and what was changed about it.
public struct TransportInterval: Sendable, Equatable {
    public let start: Double
    public let end: Double
    /// One sentence for each end that was moved off a time at which the field is infinite.
    public let notes: [String]

    package init(start: Double, end: Double, notes: [String] = []) {
        self.start = start
        self.end = end
        self.notes = notes
    }
}

extension TransportInterval {
    /// On the model's scale of time.
    func told(_ transport: Transport) -> TransportInterval {
        TransportInterval(
            start: transport.modelTime(start), end: transport.modelTime(end), notes: notes)
    }
}

extension Transport {
    /// How far an end is moved off a time at which the field is infinite.
    static let singularityMargin = 1e-3

    /// The original's rule, word for word.
    ///
    /// - lastStep: size of the stochastic sampler's last step, 0 without one.
    package func publishedInterval(
        stochastic: Bool, form: DiffusionForm = .sbdm, evaluates: Bool, reverse: Bool = false,
        lastStep: Double = 0
    ) -> (start: Double, end: Double) {
        let epsilon = evaluates ? samplingEpsilon : trainingEpsilon
        let end = stochastic && lastStep != 0 ? 1 - lastStep : 1 - epsilon
        var interval = (start: 0.0, end: 1.0)
        if path == .vp {
            interval.end = end
        } else if prediction != .velocity || stochastic {
            let starts = prediction != .velocity || (stochastic && form == .sbdm)
            interval = (starts ? epsilon : 0, end)
        }
        return reverse ? (1 - interval.start, 1 - interval.end) : interval
    }

    /// The stretch of the deterministic samplers; in reverse it is the same one backwards, so that
    /// data go to noise and come back. (The original's reverse interval mirrors it about ½ instead,
    /// which differs where the ends are kept off unequally.)
    package func flowInterval(reverse: Bool) -> TransportInterval {
        let (start, end) = publishedInterval(stochastic: false, evaluates: true)
        var notes: [String] = []
        let (first, last) = clamped(
            start, end, startIsSingular: prediction != .velocity && path != .vp,
            endIsSingular: prediction == .noise, &notes)
        return reverse
            ? TransportInterval(start: last, end: first, notes: notes)
            : TransportInterval(start: first, end: last, notes: notes)
    }

    /// The stretch of the stochastic sampler, with its ends off the times at which the original
    /// returns NaN.
    ///
    /// - evaluatesEnd: whether the method's steps ask the model where they end
    package func stochasticInterval(
        _ options: SampleOptions, evaluatesEnd: Bool
    ) -> TransportInterval {
        let (form, last) = (options.form, options.stochasticLastStep)
        let (start, end) = publishedInterval(
            stochastic: true, form: form, evaluates: true,
            lastStep: last == .none ? 0 : Double(options.lastStepSize))
        var notes: [String] = []
        let startIsSingular = path != .vp && (form == .sbdm || prediction != .velocity)
        let endIsEvaluated =
            evaluatesEnd || last == .mean || last == .tweedie
            || (last == .euler && prediction == .noise)
        // GVP's velocity has a finite limit at data for every form but the constant one.
        let isRegular = path == .gvp && prediction == .velocity && form != .constant
        let (first, final) = clamped(
            start, end, startIsSingular: startIsSingular,
            endIsSingular: endIsEvaluated && !isRegular, &notes)
        return TransportInterval(start: first, end: final, notes: notes)
    }

    private func clamped(
        _ start: Double, _ end: Double, startIsSingular: Bool, endIsSingular: Bool,
        _ notes: inout [String]
    ) -> (Double, Double) {
        var (first, last) = (start, end)
        let margin = Transport.singularityMargin
        if startIsSingular && start <= 0 {
            first = margin
            notes.append(
                "starts at t = \(isReversed ? 1 - margin : margin): the field is infinite at t = "
                    + "\(isReversed ? 1 : 0)")
        }
        if endIsSingular && end >= 1 {
            last = 1 - margin
            notes.append(
                "ends at t = \(isReversed ? margin : 1 - margin): the field is infinite at t = "
                    + "\(isReversed ? 0 : 1)")
        }
        return (first, last)
    }
}

/// `torch.linspace` in f32, both halves from their own end.
///
/// - points: 2 to a million
/// - shift: s in t′ = s·u / (1 + (s − 1)·u) with u = the share of the way; below 1 takes shorter
///   steps at the start. 0 and 1 change nothing.
package func timeGrid(
    from start: Double, to end: Double, points: Int, shift: Double = 1
) throws(USPError) -> [Float] {
    try require(
        (2...1_000_000).contains(points), .argument, "steps: expected 2 to 1000000, got \(points)")
    let (first, last) = (Float(start), Float(end))
    guard shift != 1 && shift != 0 else {
        let step = (last - first) / Float(points - 1)
        return (0..<points).map { index in
            index < points / 2
                ? first + step * Float(index) : last - step * Float(points - index - 1)
        }
    }
    return (0..<points).map { index in
        let share = Double(index) / Double(points - 1)
        let shifted = shift * share / (1 + (shift - 1) * share)
        return Float(start + (end - start) * shifted)
    }
}
