// Multistep solvers: past derivatives instead of more evaluations, on any grid.

import USPBase
import USPTensor

extension ODEProblem {
    func solveAdamsBashforthTwo(_ y: Tensor, _ grid: [Float]) throws(USPError) {
        try solveAdamsBashforth(y, grid, order: 2)
    }

    func solveAdamsBashforthThree(_ y: Tensor, _ grid: [Float]) throws(USPError) {
        try solveAdamsBashforth(y, grid, order: 3)
    }

    /// Order 2 or 3; the first step is Heun's, which costs the one evaluation more that keeps the
    /// order.
    private func solveAdamsBashforth(
        _ y: Tensor, _ grid: [Float], order: Int
    ) throws(USPError) {
        // Newest first; the oldest is overwritten by the next.
        var slopes: [(t: Float, k: Tensor)] = []
        var spare: [Tensor] = []
        for _ in 0..<order { spare.append(try Tensor(y.shape)) }
        for index in 1..<grid.count {
            let (t0, t1) = (grid[index - 1], grid[index])
            let k = spare.popLast() ?? slopes.removeLast().k
            try field(t0, y, k)
            if index == 1 {
                let other = spare[0]
                combine(other, y, [(t1 - t0, k)])
                try field(t1, other, other)
                combine(y, y, [((t1 - t0) * 0.5, k), ((t1 - t0) * 0.5, other)])
            } else {
                let times = [t0] + slopes.map(\.t)
                let weights = adamsBashforthWeights(times.map { Double($0 - t0) }, Double(t1 - t0))
                let tensors = [k] + slopes.map(\.k)
                combine(y, y, zip(weights, tensors).map { (Float($0.0), $0.1) })
            }
            slopes.insert((t0, k), at: 0)
            try finished(index, t1, y)
        }
    }
}

/// Weights w with Σ w_i f(τ_i) = ∫₀ʰ of the polynomial through the f(τ_i): one to three τ.
func adamsBashforthWeights(_ tau: [Double], _ h: Double) -> [Double] {
    switch tau.count {
    case 1: return [h]
    case 2:
        let second = h * h / 2 / (tau[1] - tau[0])
        return [h - second, second]
    default:
        return (0..<3).map { i in
            let (a, b) = (tau[(i + 1) % 3], tau[(i + 2) % 3])
            let integral = h * h * h / 3 - (a + b) * h * h / 2 + a * b * h
            return integral / ((tau[i] - a) * (tau[i] - b))
        }
    }
}
