// Batch normalisation of feature vectors, as linear probes use it.

import CKernels
import USPBase

extension Context {
    /// y = (x − mean)/√(variance + ε)·γ + β, column by column (Ioffe and Szegedy 2015).
    ///
    /// - x: `[B, D]`, f32
    /// - runningMean, runningVariance: `[D]`; used when not training, and in training moved by
    ///   `momentum` towards the batch's mean and unbiased variance
    /// - weight, bias: γ, β `[D]` or nil
    /// - training: normalise by the batch's own statistics (biased variance)
    /// - Throws: `.shape`; training needs two samples at least
    package func batchNorm1d(
        _ x: Tensor, runningMean: Tensor, runningVariance: Tensor, weight: Tensor? = nil,
        bias: Tensor? = nil, epsilon: Float, momentum: Float = 0.1, training: Bool
    ) throws(USPError) -> Tensor {
        try require(x.shape.rank == 2, .shape, "batch norm: input \(x.shape)")
        let (batch, width) = (x.shape[0], x.shape[1])
        try expect(runningMean, [width], "batch norm: running mean")
        try expect(runningVariance, [width], "batch norm: running variance")
        if let weight { try expect(weight, [width], "batch norm: weight") }
        if let bias { try expect(bias, [width], "batch norm: bias") }
        try require(
            !training || batch > 1, .shape, "batch norm: training needs two samples, got \(batch)")
        let moments = training ? batchMoments(x) : nil
        if let moments {
            update(runningMean, moments.mean, momentum, factor: 1)
            update(
                runningVariance, moments.variance, momentum,
                factor: Double(batch) / Double(batch - 1))
        }
        let mean = moments?.mean ?? runningMean.values.map(Double.init)
        let variance = moments?.variance ?? runningVariance.values.map(Double.init)
        let inverse = variance.map { Float(1 / ($0 + Double(epsilon)).squareRoot()) }
        let normalised = try Tensor(x.shape)
        forEachElement(batch, width) { i, j in
            normalised.floats[i] = Float(Double(x.floats[i]) - mean[j]) * inverse[j]
        }
        let y = try affine(normalised, weight, bias)
        tape?.record(y, inputs: [x, weight, bias]) { [tape] gradient throws(USPError) in
            guard let tape else { return }
            try batchNormBackward(
                gradient, x, normalised, inverse, weight, bias, usesBatch: training, tape)
        }
        return y
    }

    private func affine(
        _ normalised: Tensor, _ weight: Tensor?, _ bias: Tensor?
    ) throws(USPError) -> Tensor {
        if weight == nil && bias == nil && tape == nil { return normalised }
        let y = try Tensor(normalised.shape)
        let (gamma, beta) = (weight?.floats, bias?.floats)
        forEachElement(y.shape[0], y.shape[1]) { i, j in
            y.floats[i] = normalised.floats[i] * (gamma?[j] ?? 1) + (beta?[j] ?? 0)
        }
        return y
    }
}

/// With z normalised and h = dy·γ: dx = (h − mean(h) − z·mean(h·z))/deviation over the batch;
/// without batch statistics dx = h/deviation.
private func batchNormBackward(
    _ gradient: Tensor, _ x: Tensor, _ normalised: Tensor, _ inverse: [Float], _ weight: Tensor?,
    _ bias: Tensor?, usesBatch: Bool, _ tape: Tape
) throws(USPError) {
    let (batch, width) = (x.shape[0], x.shape[1])
    var plain = [Double](repeating: 0, count: width)
    var along = plain
    for row in 0..<batch {
        for j in 0..<width {
            let i = row * width + j
            plain[j] += Double(gradient.floats[i])
            along[j] += Double(gradient.floats[i]) * Double(normalised.floats[i])
        }
    }
    for (parameter, sums) in [(weight, along), (bias, plain)] {
        guard let target = try tape.target(for: parameter) else { continue }
        let result = target.tensor.floats
        for j in 0..<width { result[j] = (target.accumulates ? result[j] : 0) + Float(sums[j]) }
    }
    guard let target = try tape.target(for: x) else { return }
    let (result, gamma) = (target.tensor.floats, weight?.floats)
    let share = usesBatch ? 1 / Double(batch) : 0
    forEachElement(batch, width) { i, j in
        let z = Double(normalised.floats[i])
        let h = Double(gradient.floats[i]) - share * (plain[j] + z * along[j])
        let value = Float(h) * inverse[j] * (gamma?[j] ?? 1)
        result[i] = (target.accumulates ? result[i] : 0) + value
    }
}

/// Mean and biased variance of each column, f64.
private func batchMoments(_ x: Tensor) -> (mean: [Double], variance: [Double]) {
    let (batch, width) = (x.shape[0], x.shape[1])
    var mean = [Double](repeating: 0, count: width)
    var variance = mean
    mean.withUnsafeMutableBufferPointer { mean in
        variance.withUnsafeMutableBufferPointer { variance in
            guard let m = mean.baseAddress, let v = variance.baseAddress else { return }
            let source = x.floats
            parallelRanges(width, grain: max(64, (1 << 16) / max(batch, 1))) { columns in
                uspi_column_moments(
                    source, batch, width, columns.lowerBound, columns.upperBound, m, v)
            }
        }
    }
    return (mean, variance)
}

/// running += momentum·(factor·batch − running)
private func update(_ running: Tensor, _ batch: [Double], _ momentum: Float, factor: Double) {
    for (j, value) in batch.enumerated() {
        running.floats[j] += momentum * (Float(value * factor) - running.floats[j])
    }
}

/// Calls the body with every element's index and column.
private func forEachElement(_ rows: Int, _ width: Int, _ body: (_ i: Int, _ j: Int) -> Void) {
    parallelRanges(rows, grain: rowGrain(width: width)) { range in
        for row in range {
            for j in 0..<width { body(row * width + j, j) }
        }
    }
}
