// Learning rates over time.

import Glibc
import USPBase

/// Linear warm-up, then constant or half a cosine down to a minimum; per iteration.
package struct Schedule: Sendable, Equatable {
    /// Peak learning rate.
    package var rate: Float
    /// Steps of linear warm-up from 0.
    package var warmup: Int
    /// Steps in all; 0 keeps the rate constant after the warm-up.
    package var steps: Int
    /// Where the cosine ends.
    package var minimum: Float

    package init(rate: Float, warmup: Int = 0, steps: Int = 0, minimum: Float = 0) {
        self.rate = rate
        self.warmup = warmup
        self.steps = steps
        self.minimum = minimum
    }

    /// The rate of step `index`, from 0.
    /// - Source: MAE `util/lr_sched.py`'s rule, per iteration.
    package func rate(at index: Int) -> Float {
        if index < warmup { return rate * Float(index) / Float(warmup) }
        guard steps > warmup else { return rate }
        let progress = min(1, Double(index - warmup) / Double(steps - warmup))
        return minimum + (rate - minimum) * Float(0.5 * (1 + cos(Double.pi * progress)))
    }
}
