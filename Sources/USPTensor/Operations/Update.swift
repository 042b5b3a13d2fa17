// Parameter updates as loops over memory: what optimisers in USPTraining are made of.

import CKernels
import USPBase

/// A run of one parameter slab that one rule updates.
package struct UpdateSegment: Sendable {
    package let offset: Int
    package let count: Int
    package let weightDecay: Float
    /// Multiplies the learning rate (layer-wise decay).
    package let rateScale: Float

    package init(offset: Int, count: Int, weightDecay: Float, rateScale: Float) {
        self.offset = offset
        self.count = count
        self.weightDecay = weightDecay
        self.rateScale = rateScale
    }

    /// Cuts long segments so that threads share them evenly; cuts depend on lengths only.
    package static func cut(_ segments: [UpdateSegment], grain: Int = 1 << 15) -> [UpdateSegment] {
        var result: [UpdateSegment] = []
        for segment in segments {
            var start = 0
            while start < segment.count {
                let count = min(grain, segment.count - start)
                result.append(
                    UpdateSegment(
                        offset: segment.offset + start, count: count,
                        weightDecay: segment.weightDecay, rateScale: segment.rateScale))
                start += count
            }
        }
        return result
    }
}

/// The numbers of one AdamW step; `time` counts from 1.
package struct AdamWStep: Sendable {
    package var rate: Float
    package var beta1: Float
    package var beta2: Float
    package var epsilon: Float
    package var time: Int
    package var gradientScale: Float
    package var emaDecay: Float

    package init(
        rate: Float, beta1: Float, beta2: Float, epsilon: Float, time: Int, gradientScale: Float,
        emaDecay: Float
    ) {
        (self.rate, self.beta1, self.beta2, self.epsilon) = (rate, beta1, beta2, epsilon)
        (self.time, self.gradientScale, self.emaDecay) = (time, gradientScale, emaDecay)
    }
}

/// One AdamW step over segments, moving average included.
///
/// - values, first, second, average: slabs of one layout, f32
/// - gradients: of the slab's elements from `start` on, f32
/// - Complexity: 28 bytes a parameter (36 with the average), one pass.
/// - Source: Loshchilov and Hutter 2019; `torch.optim.AdamW`.
package func adamW(
    _ step: AdamWStep, _ segments: [UpdateSegment], values: Tensor, gradients: Tensor,
    from start: Int = 0, first: Tensor, second: Tensor, average: Tensor?
) {
    let (p, g, m, v, e) = (
        values.floats, gradients.floats, first.floats, second.floats, average?.floats
    )
    ThreadPool.shared.run(parts: segments.count) { part in
        let segment = segments[part]
        var numbers = uspi_adamw()
        numbers.rate = step.rate * segment.rateScale
        numbers.beta1 = step.beta1
        numbers.beta2 = step.beta2
        numbers.epsilon = step.epsilon
        numbers.decay = segment.weightDecay
        numbers.correction1 = Float(1 - power(Double(step.beta1), step.time))
        numbers.correction2_root = Float((1 - power(Double(step.beta2), step.time)).squareRoot())
        numbers.gradient_scale = step.gradientScale
        numbers.ema_decay = step.emaDecay
        let at = segment.offset
        uspi_adamw_run(
            &numbers, p + at, g + (at - start), m + at, v + at, e.map { $0 + at }, segment.count)
    }
}

/// base to a whole power, by squaring.
private func power(_ base: Double, _ exponent: Int) -> Double {
    var (result, factor, rest) = (1.0, base, exponent)
    while rest > 0 {
        if rest & 1 == 1 { result *= factor }
        factor *= factor
        rest >>= 1
    }
    return result
}

/// One LARS step on one whole parameter; `trust` is already computed.
package func lars(
    rate: Float, momentum: Float, trust: Float, gradientScale: Float, emaDecay: Float,
    _ segment: UpdateSegment, values: Tensor, gradients: Tensor, velocity: Tensor, average: Tensor?
) {
    let (p, g, mu, e) = (values.floats, gradients.floats, velocity.floats, average?.floats)
    parallelRanges(segment.count, grain: 1 << 15) { range in
        let at = segment.offset + range.lowerBound
        uspi_lars_run(
            rate * segment.rateScale, momentum, segment.weightDecay, trust, gradientScale, emaDecay,
            p + at, g + at, mu + at, e.map { $0 + at }, range.count)
    }
}

/// Σ (scale·g + decay·p)² over segments, in double, in an order that depends on lengths only.
package func sumOfSquares(
    _ segments: [UpdateSegment], gradients: Tensor, values: Tensor? = nil, scale: Float = 1,
    decay: Float = 0
) -> Double {
    let pieces = UpdateSegment.cut(segments)
    let (g, p) = (gradients.floats, values?.floats)
    let partial = UnsafeMutablePointer<Double>.allocate(capacity: max(pieces.count, 1))
    defer { partial.deallocate() }
    ThreadPool.shared.run(parts: pieces.count) { part in
        let at = pieces[part].offset
        partial[part] = uspi_sum_squares(
            g + at, p.map { $0 + at }, scale, decay, pieces[part].count)
    }
    return UnsafeBufferPointer(start: partial, count: pieces.count).reduce(0, +)
}
