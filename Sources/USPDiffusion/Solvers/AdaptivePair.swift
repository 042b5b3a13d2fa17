// Adaptive integration by an embedded pair, with the step control of torchdiffeq: one step size for
// the whole state, dense output between steps.

import Glibc
import USPBase
import USPTensor

/// Two rules of Runge and Kutta that share their stages, whose difference is the error of a step.
/// The last stage lies at the end of the step, so that it is the first one of the next.
struct EmbeddedPair: Sendable {
    /// What messages call it.
    let name: String
    /// Of the rule that goes on.
    let order: Int
    /// Times of the stages behind the first, as shares of the step.
    let alpha: [Float]
    /// Weights of the slopes before each of them; the last row is the rule that goes on.
    let beta: [[Double]]
    /// Weights of the slopes in the error and in the state at half the step.
    let error, middle: [Double]

    /// Dormand and Prince 1980 in Shampine's form.
    static let dormandPrince = EmbeddedPair(
        name: "dopri5", order: 5, alpha: [1.0 / 5, 3.0 / 10, 4.0 / 5, 8.0 / 9, 1, 1],
        beta: [
            [1.0 / 5],
            [3.0 / 40, 9.0 / 40],
            [44.0 / 45, -56.0 / 15, 32.0 / 9],
            [19372.0 / 6561, -25360.0 / 2187, 64448.0 / 6561, -212.0 / 729],
            [9017.0 / 3168, -355.0 / 33, 46732.0 / 5247, 49.0 / 176, -5103.0 / 18656],
            [35.0 / 384, 0, 500.0 / 1113, 125.0 / 192, -2187.0 / 6784, 11.0 / 84],
        ],
        error: [
            35.0 / 384 - 1951.0 / 21600, 0, 500.0 / 1113 - 22642.0 / 50085,
            125.0 / 192 - 451.0 / 720, -2187.0 / 6784 + 12231.0 / 42400, 11.0 / 84 - 649.0 / 6300,
            -1.0 / 60,
        ],
        middle: [
            6025192743.0 / 30085553152 / 2, 0, 51252292925.0 / 65400821598 / 2,
            -2691868925.0 / 45128329728 / 2, 187940372067.0 / 1594534317056 / 2,
            -1776094331.0 / 19743644256 / 2, 11237099.0 / 235043384 / 2,
        ])

    /// Bogacki and Shampine 1989.
    static let bogackiShampine = EmbeddedPair(
        name: "bosh3", order: 3, alpha: [1.0 / 2, 3.0 / 4, 1],
        beta: [[1.0 / 2], [0, 3.0 / 4], [2.0 / 9, 1.0 / 3, 4.0 / 9]],
        error: [2.0 / 9 - 7.0 / 24, 1.0 / 3 - 1.0 / 4, 4.0 / 9 - 1.0 / 3, -1.0 / 8],
        middle: [0, 1.0 / 2, 0, 0])

    /// - Throws: `.argument` for tolerances that nothing can meet; what the field throws.
    func solve(
        _ problem: ODEProblem, _ y: Tensor, _ grid: [Float], _ tolerances: Tolerances
    ) throws(USPError) {
        let (absolute, relative) = (tolerances.absolute, tolerances.relative)
        try require(
            absolute >= 0 && relative >= 0 && absolute + relative > 0, .argument,
            "tolerances: expected 0 or more, not both 0, got \(absolute) and \(relative)")
        var solver = try AdaptiveSolution(
            self, problem, y, start: grid[0], end: grid[grid.count - 1], tolerances)
        for (index, t) in grid.enumerated().dropFirst() {
            try solver.advance(to: Double(t), y)
            try problem.finished(index, t, y)
        }
    }
}

/// The step control follows Hairer, Nørsett, Wanner, "Solving Ordinary Differential Equations I",
/// II.4.
private struct AdaptiveSolution {
    private static let mostSteps = 100_000

    private let pair: EmbeddedPair
    private let last: Int
    private let problem: ODEProblem
    private let absolute: Double
    private let relative: Double
    private let parts: [Range<Int>]
    /// +1 when time grows, −1 when it falls; all times below are multiplied by it.
    private let direction: Double
    private let end: Double
    /// The last accepted step: from `before` at t0 to `after` at t1, slopes k[0] and k[last].
    private var t0: Double
    private var t1: Double
    private var before: Tensor
    private var after: Tensor
    private var k: [Tensor]
    private var stepSize: Double
    private var next: Double
    private var steps = 0

    init(
        _ pair: EmbeddedPair, _ problem: ODEProblem, _ y: Tensor, start: Float, end: Float,
        _ tolerances: Tolerances
    ) throws(USPError) {
        (self.pair, self.problem, last) = (pair, problem, pair.alpha.count)
        absolute = tolerances.absolute
        relative = tolerances.relative
        parts = problem.parts ?? [0..<y.count]
        direction = end >= start ? 1 : -1
        t0 = direction * Double(start)
        t1 = t0
        self.end = direction * Double(end)
        before = try y.copied()
        after = try y.copied()
        k = []
        for _ in 0...last { k.append(try Tensor(y.shape)) }
        stepSize = 0
        next = 0
        try slope(Float(t1), after, k[last])
        next = try initialStep()
    }

    /// Brings `y` to the solution at the time, which must not lie behind the last one asked for.
    mutating func advance(to time: Double, _ y: Tensor) throws(USPError) {
        let wanted = direction * time
        while wanted > t1 { try step() }
        interpolate(wanted, into: y)
    }

    /// f in the direction of integration, at a time that has `direction` in it.
    private func slope(
        _ t: Float, _ y: Tensor, _ into: Tensor, justBefore: Bool = false
    ) throws(USPError) {
        let moved = justBefore ? t.nextDown : t
        try problem.field(Float(direction) * moved, y, into)
        if direction < 0 {
            let values = into.floats
            for i in 0..<into.count { values[i] = -values[i] }
        }
    }

    private var exponent: Double { 1 / Double(pair.order) }

    private mutating func step() throws(USPError) {
        var accepted = false
        while !accepted {
            steps += 1
            var dt = next
            if problem.staysInside { dt = min(dt, max(end - t1, 0)) }
            try require(
                steps <= AdaptiveSolution.mostSteps && t1 + dt > t1, .argument,
                "\(pair.name): the step size fell to \(dt) at t = \(direction * t1) after \(steps) steps"
            )
            let ratio = try attempt(dt)
            accepted = ratio <= 1
            next = nextStep(dt, ratio)
            if accepted {
                (t0, t1, stepSize) = (t1, t1 + dt, dt)
                swap(&before, &after)
            }
        }
    }

    /// Tries a step from `after`; the new state is left in `before`, the stages in k (the first
    /// stage is k[last] of the last step, exchanged with k[0]).
    ///
    /// - Returns: the error over the tolerance; the step counts if it is 1 or less.
    private mutating func attempt(_ dt: Double) throws(USPError) -> Double {
        let (start, size, end) = (Float(t1), Float(dt), Float(t1 + dt))
        if stages == .last {
            k.swapAt(0, last)
            stages = .first
        }
        for stage in 0..<last {
            let alpha = pair.alpha[stage]
            let terms = pair.beta[stage].enumerated().map { (Float($1) * size, k[$0]) }
            combine(before, after, terms)
            let t = alpha == 1 ? end : start + alpha * size
            try slope(t, before, k[stage + 1], justBefore: alpha == 1)
        }
        let ratio = errorRatio(Float(dt))
        if ratio <= 1 { stages = .last }
        return ratio
    }

    /// Where the slope at `after` lies: in k[last] after an accepted step, in k[0] during attempts.
    private enum StagePlace { case first, last }
    private var stages = StagePlace.last

    private func errorRatio(_ dt: Float) -> Double {
        let terms = pair.error.enumerated().map {
            (Float($1) * dt, UnsafePointer(k[$0].floats))
        }
        let (old, new) = (after.floats, before.floats)
        return worst { i in
            var error: Float = 0
            for (coefficient, term) in terms { error += coefficient * term[i] }
            let size = max(abs(Double(old[i])), abs(Double(new[i])))
            return Double(error) / (absolute + relative * size)
        }
    }

    /// The largest root mean square over the parts.
    private func worst(_ value: (Int) -> Double) -> Double {
        var result = 0.0
        for part in parts {
            var sum = 0.0
            for i in part {
                let v = value(i)
                sum += v * v
            }
            let mean = (sum / Double(max(part.count, 1))).squareRoot()
            result = mean.isNaN ? .infinity : max(result, mean)
        }
        return result
    }

    private func nextStep(_ dt: Double, _ ratio: Double) -> Double {
        if ratio == 0 { return dt * 10 }
        guard ratio.isFinite else { return dt * 0.2 }
        let least = ratio < 1 ? 1 : 0.2
        return dt * min(10, max(0.9 / pow(ratio, exponent), least))
    }

    private mutating func initialStep() throws(USPError) -> Double {
        let (y, f) = (after.floats, k[last].floats)
        func scale(_ i: Int) -> Double { absolute + relative * abs(Double(y[i])) }
        let d0 = worst { Double(y[$0]) / scale($0) }
        let d1 = worst { Double(f[$0]) / scale($0) }
        let first = d0 < 1e-5 || d1 < 1e-5 ? 1e-6 : 0.01 * d0 / d1
        combine(before, after, [(Float(first), k[last])])
        try slope(Float(t1 + first), before, k[1])
        let g = k[1].floats
        let d2 = worst { Double(g[$0] - f[$0]) / scale($0) } / first
        let second =
            d1 <= 1e-15 && d2 <= 1e-15 ? max(1e-6, first * 1e-3) : pow(0.01 / max(d1, d2), exponent)
        return min(100 * first, second)
    }

    /// The quartic through both ends, their slopes and the middle.
    private func interpolate(_ t: Double, into y: Tensor) {
        guard stepSize > 0 else {
            y.floats.update(from: after.floats, count: y.count)
            return
        }
        let x = Float((t - t0) / (t1 - t0))
        let dt = Float(stepSize)
        let weights = pair.middle.enumerated().map {
            (Float($1) * dt, UnsafePointer(k[$0].floats))
        }
        let (y0, y1, f0, f1) = (before.floats, after.floats, k[0].floats, k[last].floats)
        let result = y.floats
        for i in 0..<y.count {
            var middle = y0[i]
            for (coefficient, term) in weights { middle += coefficient * term[i] }
            let a = 2 * dt * (f1[i] - f0[i]) - 8 * (y1[i] + y0[i]) + 16 * middle
            let b = dt * (5 * f0[i] - 3 * f1[i]) + 18 * y0[i] + 14 * y1[i] - 32 * middle
            let c = dt * (f1[i] - 4 * f0[i]) - 11 * y0[i] - 5 * y1[i] + 16 * middle
            result[i] = y0[i] + x * (dt * f0[i] + x * (c + x * (b + x * a)))
        }
    }
}
