// Learning rates over time.

import Glibc
import USPBase

/// Linear warm-up, then constant or down to a minimum; per iteration.
package struct Schedule: Sendable, Equatable {
    /// How the rate falls.
    package var shape: ScheduleName
    /// Peak learning rate.
    package var rate: Float
    /// Steps of linear warm-up from 0.
    package var warmup: Int
    /// Steps in all; 0 keeps the rate constant after the warm-up.
    package var steps: Int
    /// Where it ends.
    package var minimum: Float

    package init(
        rate: Float, warmup: Int = 0, steps: Int = 0, minimum: Float = 0,
        shape: ScheduleName = .cosine
    ) {
        self.shape = shape
        self.rate = rate
        self.warmup = warmup
        self.steps = steps
        self.minimum = minimum
    }

    /// The rate of step `index`, from 0.
    /// - Source: the cosine, MAE `util/lr_sched.py` per iteration; the line, mmengine 1.x's
    ///   `LinearLR(start_factor=1e-6)` and `PolyLR(power=1)`, which reach the peak in the last step of
    ///   the warm-up and again in the first behind it.
    package func rate(at index: Int) -> Float {
        switch shape {
        case .cosine:
            if index < warmup { return rate * Float(index) / Float(warmup) }
            guard steps > warmup else { return rate }
            let progress = min(1, Double(index - warmup) / Double(steps - warmup))
            return minimum + (rate - minimum) * Float(0.5 * (1 + cos(Double.pi * progress)))
        case .poly:
            if index < warmup {
                let progress = warmup > 1 ? Float(index) / Float(warmup - 1) : 1
                return rate * (1e-6 + (1 - 1e-6) * progress)
            }
            guard steps > warmup else { return rate }
            let progress = min(1, Double(index - warmup) / Double(max(steps - warmup - 1, 1)))
            return minimum + (rate - minimum) * Float(1 - progress)
        }
    }
}
