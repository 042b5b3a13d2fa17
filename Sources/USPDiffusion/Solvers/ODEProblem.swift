// Initial value problems over a flat state, and the solvers that keep nothing between steps.

import USPBase
import USPTensor

/// A way to integrate dy/dt = f(t, y).
///
/// They keep one or two tensors beside the state, but for Adams and Bashforth's third order, which
/// needs its last three slopes, and embedded pairs, whose stages (Dormand and Prince's seven) and two
/// states give the error and dense output.
struct ODEMethod: Sendable {
    /// Integrates y in place over a grid of two points or more.
    typealias Solve =
        @Sendable (
            _ problem: ODEProblem, _ y: Tensor, _ grid: [Float], _ tolerances: Tolerances
        ) throws(USPError) -> Void
    /// One step in place, with scratch of the state's shape.
    typealias Step =
        @Sendable (ODEProblem) -> (
            _ y: Tensor, _ from: Float, _ to: Float, _ k: Scratch
        ) throws(USPError) -> Void

    let solve: Solve
    let isAdaptive: Bool

    /// A method that has no memory.
    static func stepping(scratch: Int, _ step: @escaping Step) -> ODEMethod {
        ODEMethod(
            solve: { problem, y, grid, _ throws(USPError) in
                let k = try Scratch(like: y, count: scratch)
                for (index, t) in grid.enumerated().dropFirst() {
                    try step(problem)(y, grid[index - 1], t, k)
                    try problem.finished(index, t, y)
                }
            }, isAdaptive: false)
    }

    /// A method that remembers, on the grid's own points.
    static func fixed(
        _ solve: @escaping @Sendable (ODEProblem) -> (Tensor, [Float]) throws(USPError) -> Void
    ) -> ODEMethod {
        ODEMethod(
            solve: { problem, y, grid, _ throws(USPError) in try solve(problem)(y, grid) },
            isAdaptive: false)
    }

    /// A method that chooses its steps; the grid is where progress is told.
    static func adaptive(_ pair: EmbeddedPair) -> ODEMethod {
        ODEMethod(
            solve: { problem, y, grid, tolerances throws(USPError) in
                try pair.solve(problem, y, grid, tolerances)
            }, isAdaptive: true)
    }
}

/// The error of a step that adaptive methods allow.
struct Tolerances {
    let absolute: Double
    let relative: Double
}

/// dy/dt = f(t, y) over an f32 state.
struct ODEProblem {
    /// Writes f(t, y) to `into`, which may be `y` itself.
    let field: (_ t: Float, _ y: Tensor, _ into: Tensor) throws(USPError) -> Void
    /// Parts of the state whose errors are judged apart (the worst counts); nil = one part.
    var parts: [Range<Int>]?
    /// Whether adaptive steps may not pass the end (then interpolation does the rest).
    var staysInside = false
    /// Called after each step (each point of the grid, for adaptive solvers).
    var finished: (_ index: Int, _ t: Float, _ y: Tensor) throws(USPError) -> Void

    func stepEuler(_ y: Tensor, _ t0: Float, _ t1: Float, _ k: Scratch) throws(USPError) {
        try field(t0, y, k[0])
        combine(y, y, [(t1 - t0, k[0])])
    }

    func stepMidpoint(_ y: Tensor, _ t0: Float, _ t1: Float, _ k: Scratch) throws(USPError) {
        let dt = t1 - t0
        try field(t0, y, k[0])
        combine(k[0], y, [(0.5 * dt, k[0])])
        try field(t0 + 0.5 * dt, k[0], k[0])
        combine(y, y, [(dt, k[0])])
    }

    func stepHeun(_ y: Tensor, _ t0: Float, _ t1: Float, _ k: Scratch) throws(USPError) {
        let dt = t1 - t0
        try field(t0, y, k[0])
        combine(k[1], y, [(dt, k[0])])
        try field(t0 + dt, k[1], k[1])
        combine(y, y, [(dt * 0.5, k[0]), (dt * 0.5, k[1])])
    }

    func stepHeunThree(_ y: Tensor, _ t0: Float, _ t1: Float, _ k: Scratch) throws(USPError) {
        let dt = t1 - t0
        try field(t0, y, k[0])
        combine(k[1], y, [(dt / 3, k[0])])
        try field(t0 + dt / 3, k[1], k[1])
        combine(k[1], y, [(dt * 2 / 3, k[1])])
        try field(t0 + dt * 2 / 3, k[1], k[1])
        combine(y, y, [(dt * 0.25, k[0]), (dt * 0.75, k[1])])
    }

    /// With two tensors beside the state: after the second stage, what is still needed of y, k1 and
    /// k2 are the third and parts of the fourth argument and of the result.
    func stepThreeEighths(
        _ y: Tensor, _ t0: Float, _ t1: Float, _ k: Scratch
    ) throws(USPError) {
        let (dt, eighth) = (t1 - t0, (t1 - t0) * 0.125)
        try field(t0, y, k[0])
        combine(k[1], y, [(dt / 3, k[0])])
        try field(t0 + dt / 3, k[1], k[1])
        let (state, first, second) = (y.floats, k[0].floats, k[1].floats)
        for i in 0..<y.count {
            let (value, k1, k2) = (state[i], first[i], second[i])
            state[i] = value + eighth * (k1 + 3 * k2)
            first[i] = value + dt * (k1 - k2)
            second[i] = value + dt * (k2 - k1 / 3)
        }
        try field(t0 + dt * 2 / 3, k[1], k[1])
        combine(k[0], k[0], [(dt, k[1])])
        combine(y, y, [(3 * eighth, k[1])])
        try field(t1, k[0], k[0])
        combine(y, y, [(eighth, k[0])])
    }
}

/// Tensors of one shape that a solver reuses.
struct Scratch {
    private let tensors: [Tensor]

    init(like y: Tensor, count: Int) throws(USPError) {
        var tensors: [Tensor] = []
        for _ in 0..<count { tensors.append(try Tensor(y.shape)) }
        self.tensors = tensors
    }

    subscript(index: Int) -> Tensor { tensors[index] }
}

/// result = y + Σ coefficient · term; any of them may be the result.
func combine(_ result: Tensor, _ y: Tensor, _ terms: [(Float, Tensor)]) {
    let (target, base) = (result.floats, y.floats)
    let pointers = terms.map { ($0.0, UnsafePointer($0.1.floats)) }
    switch pointers.count {
    case 1:
        let (a, x) = pointers[0]
        for i in 0..<result.count { target[i] = base[i] + a * x[i] }
    case 2:
        let ((a, x), (b, z)) = (pointers[0], pointers[1])
        for i in 0..<result.count { target[i] = base[i] + (a * x[i] + b * z[i]) }
    default:
        for i in 0..<result.count {
            var sum: Float = 0
            for (coefficient, term) in pointers { sum += coefficient * term[i] }
            target[i] = base[i] + sum
        }
    }
}
