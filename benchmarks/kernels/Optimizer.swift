// The optimiser's update, which is no operation on a tape: against double precision, and timed.

import TestSupport
import USPBase
import USPTensor

/// One line for an AdamW step with its moving average, over as many values as DiT-B/2 has.
func optimizerLine(_ timer: Timer) throws -> Line {
    var line = Line(operation: "AdamW and moving average, 130 million values", dtype: .float32)
    line.error = try optimizerError()
    let state = try UpdateState(count: 130_000_000)
    line.seconds = timer.median { state.step(time: 1) }
    line.bytes = 36 * Double(state.count)
    return line
}

private let numbers = AdamWStep(
    rate: 1e-2, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, time: 1, gradientScale: 1, emaDecay: 0.99)

/// The slabs of one optimiser.
private struct UpdateState {
    let count: Int
    let slabs: [Tensor]  // values, gradients, moments, average
    let segments: [UpdateSegment]

    init(count: Int) throws {
        self.count = count
        slabs = try (0..<5).map { _ in try Tensor.zeros([count]) }
        segments = UpdateSegment.cut([
            UpdateSegment(offset: 0, count: count, weightDecay: 0.05, rateScale: 1)
        ])
    }

    func step(time: Int) {
        var step = numbers
        step.time = time
        adamW(
            step, segments, values: slabs[0], gradients: slabs[1], first: slabs[2],
            second: slabs[3], average: slabs[4])
    }
}

/// Largest error of the values after three steps, relative to the largest value.
private func optimizerError() throws -> Double {
    let state = try UpdateState(count: 1001)
    try state.slabs[0].copy(from: normalTensor([1001], seed: 1))
    try state.slabs[1].copy(from: normalTensor([1001], seed: 2))
    var values = state.slabs[0].values.map { Double($0) }
    let gradients = state.slabs[1].values.map { Double($0) }
    var (first, second) = ([Double](repeating: 0, count: 1001), [Double](repeating: 0, count: 1001))
    var (power1, power2) = (1.0, 1.0)
    for time in 1...3 {
        state.step(time: time)
        (power1, power2) = (power1 * 0.9, power2 * 0.999)
        for i in 0..<1001 {
            first[i] = 0.9 * first[i] + 0.1 * gradients[i]
            second[i] = 0.999 * second[i] + 0.001 * gradients[i] * gradients[i]
            let root = (second[i] / (1 - power2)).squareRoot() + 1e-8
            values[i] -= 1e-2 * (0.05 * values[i] + first[i] / (1 - power1) / root)
        }
    }
    return relativeError(state.slabs[0], values.map { Float($0) })
}
