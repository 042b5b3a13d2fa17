// Losses: scalars in f32, summed in f64 in an order that depends on sizes only.

import CKernels
import USPBase

extension Context {
    /// A scalar whose slopes along some values are known: its gradient reaches each of them.
    ///
    /// - slopes: f32, each of its value's count
    package func known(
        _ value: Float, _ slopes: [(of: Tensor, gradient: Tensor)]
    ) throws(USPError) -> Tensor {
        let result = try Tensor.scalar(value)
        tape?.record(result, inputs: slopes.map(\.of)) { [tape] gradient throws(USPError) in
            for (tensor, slope) in slopes {
                guard let target = try tape?.target(for: tensor) else { continue }
                USPTensor.scale(slope, by: gradient.floats[0], into: target)
            }
        }
        return result
    }

    /// mean over samples of −Σ_k target·log softmax(logits)
    ///
    /// - logits, targets: `[B, K]`, f32; no gradient flows to `targets`
    /// - Returns: a scalar
    /// - Throws: `.shape`
    package func softmaxCrossEntropy(
        logits: Tensor, targets: Tensor
    ) throws(USPError) -> Tensor {
        try require(
            logits.shape.rank == 2 && logits.shape == targets.shape && logits.shape[0] > 0, .shape,
            "cross entropy: logits \(logits.shape), targets \(targets.shape)")
        let (batch, classes) = (logits.shape[0], logits.shape[1])
        let slope = tape == nil ? nil : try Tensor(logits.shape)
        let (scores, wanted, slopes) = (logits.floats, targets.floats, slope?.floats)
        let sum = orderedSum(batch, grain: rowGrain(width: classes, elements: 1 << 12)) { row in
            uspi_cross_entropy_row(
                scores + row * classes, wanted + row * classes, classes,
                slopes.map { $0 + row * classes })
        }
        let loss = try Tensor.scalar(Float(sum / Double(batch)))
        tape?.record(loss, inputs: [logits]) { [tape] gradient throws(USPError) in
            guard let target = try tape?.target(for: logits), let slope else { return }
            USPTensor.scale(slope, by: gradient.floats[0] / Float(batch), into: target)
        }
        return loss
    }

    /// The same for labels: the target is 1 − smoothing + smoothing/K at the label, smoothing/K
    /// elsewhere (PyTorch's `label_smoothing`).
    ///
    /// - Throws: `.shape`; `.argument` for a label outside 0 ..< K
    package func softmaxCrossEntropy(
        logits: Tensor, labels: [Int], smoothing: Float = 0
    ) throws(USPError) -> Tensor {
        try require(
            logits.shape.rank == 2 && logits.shape[0] == labels.count, .shape,
            "cross entropy: logits \(logits.shape), \(labels.count) labels")
        let classes = logits.shape[1]
        try checkIndices(labels, below: classes, "cross entropy: labels")
        let targets = try Tensor(logits.shape)
        let values = targets.floats
        values.update(repeating: smoothing / Float(max(classes, 1)), count: targets.count)
        for (row, label) in labels.enumerated() { values[row * classes + label] += 1 - smoothing }
        return try softmaxCrossEntropy(logits: logits, targets: targets)
    }

    /// mean of (a − b)², any equal shapes, f32
    package func meanSquaredError(_ a: Tensor, _ b: Tensor) throws(USPError) -> Tensor {
        try meanDifference(a, b, squares: true)
    }

    /// mean of |a − b|, any equal shapes, f32; the gradient where a = b is 0
    package func meanAbsoluteError(_ a: Tensor, _ b: Tensor) throws(USPError) -> Tensor {
        try meanDifference(a, b, squares: false)
    }

    private func meanDifference(
        _ a: Tensor, _ b: Tensor, squares: Bool
    ) throws(USPError) -> Tensor {
        try require(
            a.count == b.count && a.count > 0, .shape, "mean error: \(a.shape) and \(b.shape)")
        let (x, y, count, chunk) = (a.floats, b.floats, a.count, 1 << 14)
        let sum = orderedSum((count + chunk - 1) / chunk, grain: 1) { part in
            let size = min(chunk, count - part * chunk)
            return squares
                ? uspi_squared_difference(x + part * chunk, y + part * chunk, size)
                : uspi_absolute_difference(x + part * chunk, y + part * chunk, size)
        }
        let loss = try Tensor.scalar(Float(sum / Double(count)))
        tape?.record(loss, inputs: [a, b]) { [tape] gradient throws(USPError) in
            let factor = gradient.floats[0] * (squares ? 2 : 1) / Float(count)
            for (input, other) in [(a, b), (b, a)] {
                guard let target = try tape?.target(for: input) else { continue }
                let (p, q, d) = (input.floats, other.floats, target.tensor.floats)
                let adds: Int32 = target.accumulates ? 1 : 0
                parallelRanges(count, grain: 1 << 15) { range in
                    let at = range.lowerBound
                    if squares {
                        uspi_squared_difference_backward(
                            p + at, q + at, factor, d + at, range.count, adds)
                    } else {
                        uspi_absolute_difference_backward(
                            p + at, q + at, factor, d + at, range.count, adds)
                    }
                }
            }
        }
        return loss
    }
}

/// Σ body(i) in f64: each value computed by some thread, all added in order.
func orderedSum(_ count: Int, grain: Int, _ body: (Int) -> Double) -> Double {
    withUnsafeTemporaryAllocation(of: Double.self, capacity: max(count, 1)) { values in
        let base = values.baseAddress
        parallelRanges(count, grain: grain) { range in
            for i in range { base?[i] = body(i) }
        }
        var sum = 0.0
        for i in 0..<count { sum += values[i] }
        return sum
    }
}

/// target (+)= factor·x
func scale(_ x: Tensor, by factor: Float, into target: GradientTarget) {
    let (source, result) = (x.floats, target.tensor.floats)
    let adds: Int32 = target.accumulates ? 1 : 0
    parallelRanges(x.count, grain: 1 << 15) { range in
        uspi_scale(
            source + range.lowerBound, factor, result + range.lowerBound, range.count, adds)
    }
}
