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
    /// Where its moments and average begin in theirs.
    package let state: Int

    /// - state: nil: at the offset
    package init(
        offset: Int, count: Int, weightDecay: Float, rateScale: Float, state: Int? = nil
    ) {
        self.offset = offset
        self.count = count
        self.weightDecay = weightDecay
        self.rateScale = rateScale
        self.state = state ?? offset
    }

    /// A part of it.
    ///
    /// - range: of the slab, within this
    /// - state: where the part's moments begin; nil: as far behind this one's as the part is
    package func part(_ range: Range<Int>, state: Int? = nil) -> UpdateSegment {
        UpdateSegment(
            offset: range.lowerBound, count: range.count, weightDecay: weightDecay,
            rateScale: rateScale, state: state ?? self.state + range.lowerBound - offset)
    }

    /// Cuts long segments at whole multiples of `grain` in the slab, so that threads share them evenly.
    package static func cut(_ segments: [UpdateSegment], grain: Int = 1 << 15) -> [UpdateSegment] {
        var result: [UpdateSegment] = []
        for segment in segments {
            let end = segment.offset + segment.count
            var start = segment.offset
            while start < end {
                let next = min((start / grain + 1) * grain, end)
                result.append(segment.part(start..<next))
                start = next
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
/// - values: the slab, f32
/// - first, second, average: f32, in the layout of the segments' `state`
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
        let (at, place) = (segment.offset, segment.state)
        uspi_adamw_run(
            &numbers, p + at, g + (at - start), m + place, v + place, e.map { $0 + place },
            segment.count)
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

/// One LARS step on a run of one parameter; `trust` is already computed.
package func lars(
    rate: Float, momentum: Float, trust: Float, gradientScale: Float, emaDecay: Float,
    _ segment: UpdateSegment, values: Tensor, gradients: Tensor, velocity: Tensor, average: Tensor?
) {
    let (p, g, mu, e) = (values.floats, gradients.floats, velocity.floats, average?.floats)
    parallelRanges(segment.count, grain: 1 << 15) { range in
        let at = segment.offset + range.lowerBound
        let place = segment.state + range.lowerBound
        uspi_lars_run(
            rate * segment.rateScale, momentum, segment.weightDecay, trust, gradientScale, emaDecay,
            p + at, g + at, mu + place, e.map { $0 + place }, range.count)
    }
}

/// Σ (scale·g + decay·p)² of each segment, in double, in an order that depends on its length only.
package func squares(
    of segments: [UpdateSegment], gradients: Tensor, values: Tensor? = nil, scale: Float = 1,
    decay: Float = 0
) -> [Double] {
    let (g, p) = (gradients.floats, values?.floats)
    return [Double](unsafeUninitializedCapacity: segments.count) { sums, count in
        parallelRanges(segments.count, grain: 32) { range in
            for index in range {
                let at = segments[index].offset
                sums[index] = uspi_sum_squares(
                    g + at, p.map { $0 + at }, scale, decay, segments[index].count)
            }
        }
        count = segments.count
    }
}
