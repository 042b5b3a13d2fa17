// Numbers that augmentations draw.

import Glibc
import USPBase

extension RandomStream {
    /// Uniform in [0, 1), 53 bits.
    mutating func uniformDouble() -> Double { Double(next() >> 11) * 0x1p-53 }

    mutating func between(_ low: Double, _ high: Double) -> Double {
        low + (high - low) * uniformDouble()
    }

    /// The symmetric beta distribution: a share of two equal gamma variables.
    mutating func beta(_ parameter: Double) -> Double {
        let (a, b) = (gamma(parameter), gamma(parameter))
        return a + b > 0 ? a / (a + b) : Double(uniform() < 0.5 ? 0 : 1)
    }

    /// Marsaglia and Tsang (2000); below 1 by the power of a uniform number.
    mutating func gamma(_ shape: Double) -> Double {
        guard shape >= 1 else {
            return gamma(shape + 1) * pow(1 - uniformDouble(), 1 / shape)
        }
        let d = shape - 1.0 / 3
        let c = 1 / (9 * d).squareRoot()
        while true {
            let x = Double(normal())
            let base = 1 + c * x
            guard base > 0 else { continue }
            let v = base * base * base
            if log(1 - uniformDouble()) < 0.5 * x * x + d - d * v + d * log(v) { return d * v }
        }
    }
}
