// Initial value problems over a flat state, and the solvers' names.

import USPBase
import USPTensor

/// Solvers of dy/dt = f(t, y).
///
/// They keep one or two tensors beside the state, but for `adamsBashforth3`, which needs its last
/// three slopes, and `dopri5`, whose seven stages and two states give its error and dense output.
package enum ODEMethod: String, NamedChoice {
    case euler
    case midpoint
    case heun
    case heun3
    /// The 3/8 rule.
    case rk4
    /// Dormand and Prince's fifth order with adaptive steps.
    case dopri5
    /// Adams and Bashforth's second order: one evaluation a step.
    case adamsBashforth2 = "adams-bashforth"
    /// Their third order.
    case adamsBashforth3 = "adams-bashforth3"

    package static let what = "ODE solver"
    package static let aliases: [String: ODEMethod] = [
        "heun2": .heun, "ab2": .adamsBashforth2, "ab3": .adamsBashforth3,
        "adams-bashforth2": .adamsBashforth2,
    ]
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

    /// Integrates `y` in place over the grid.
    ///
    /// - grid: two points or more (`timeGrid`)
    /// - Throws: `.argument` for tolerances that nothing can meet; what the field throws.
    func solve(
        _ method: ODEMethod, _ y: Tensor, grid: [Float], absolute: Double, relative: Double
    ) throws(USPError) {
        switch method {
        case .dopri5:
            try require(
                absolute >= 0 && relative >= 0 && absolute + relative > 0, .argument,
                "tolerances: expected 0 or more, not both 0, got \(absolute) and \(relative)")
            var solver = try DormandPrince(
                self, y, start: grid[0], end: grid[grid.count - 1], absolute: absolute,
                relative: relative)
            for (index, t) in grid.enumerated().dropFirst() {
                try solver.advance(to: Double(t), y)
                try finished(index, t, y)
            }
        case .adamsBashforth2: try solveAdamsBashforth(y, grid: grid, order: 2)
        case .adamsBashforth3: try solveAdamsBashforth(y, grid: grid, order: 3)
        default:
            let scratch = try Scratch(like: y, count: method.scratchCount)
            for index in 1..<grid.count {
                try step(method, y, from: grid[index - 1], to: grid[index], scratch)
                try finished(index, grid[index], y)
            }
        }
    }

    /// One step of a method that has no memory.
    private func step(
        _ method: ODEMethod, _ y: Tensor, from t0: Float, to t1: Float, _ k: Scratch
    ) throws(USPError) {
        let dt = t1 - t0
        try field(t0, y, k[0])
        switch method {
        case .midpoint:
            combine(k[0], y, [(0.5 * dt, k[0])])
            try field(t0 + 0.5 * dt, k[0], k[0])
            combine(y, y, [(dt, k[0])])
        case .heun:
            combine(k[1], y, [(dt, k[0])])
            try field(t0 + dt, k[1], k[1])
            combine(y, y, [(dt * 0.5, k[0]), (dt * 0.5, k[1])])
        case .heun3:
            combine(k[1], y, [(dt / 3, k[0])])
            try field(t0 + dt / 3, k[1], k[1])
            combine(k[1], y, [(dt * 2 / 3, k[1])])
            try field(t0 + dt * 2 / 3, k[1], k[1])
            combine(y, y, [(dt * 0.25, k[0]), (dt * 0.75, k[1])])
        case .rk4: try stepThreeEighths(y, t0, t1, k)
        default: combine(y, y, [(dt, k[0])])
        }
    }

    /// With two tensors beside the state: after the second stage, what is still needed of y, k1 and
    /// k2 are the third and parts of the fourth argument and of the result.
    private func stepThreeEighths(
        _ y: Tensor, _ t0: Float, _ t1: Float, _ k: Scratch
    ) throws(USPError) {
        let (dt, eighth) = (t1 - t0, (t1 - t0) * 0.125)
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

extension ODEMethod {
    /// Tensors beside the state, for the methods without memory.
    var scratchCount: Int { self == .euler || self == .midpoint ? 1 : 2 }
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
