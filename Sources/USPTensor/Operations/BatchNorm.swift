// Batch normalisation of feature vectors and of images, with the ReLU that may follow.

import CKernels
import USPBase

/// (x − mean)/√(variance + ε)·γ + β for each channel (Ioffe and Szegedy 2015).
package struct BatchNorm {
    /// `[C]`; used when not training, and in training moved by `momentum` towards the batch's mean
    /// and unbiased variance.
    package var runningMean: Tensor
    package var runningVariance: Tensor
    /// γ, β: `[C]`; nil leaves them out.
    package var weight: Tensor?
    package var bias: Tensor?
    package var epsilon: Float
    package var momentum: Float
    /// max(y, 0) of the result.
    package var rectifies: Bool

    package init(
        runningMean: Tensor, runningVariance: Tensor, weight: Tensor? = nil, bias: Tensor? = nil,
        epsilon: Float = 1e-5, momentum: Float = 0.1, rectifies: Bool = false
    ) {
        (self.runningMean, self.runningVariance) = (runningMean, runningVariance)
        (self.weight, self.bias, self.epsilon) = (weight, bias, epsilon)
        (self.momentum, self.rectifies) = (momentum, rectifies)
    }
}

extension Context {
    /// Batch normalisation over all rows: samples, or the pixels of all images.
    ///
    /// - x: `[.., C]`, f32: `[B, D]`, or channels-last images
    /// - training: normalise by the batch's own statistics (biased variance)
    /// - Throws: `.shape`; training needs two rows at least
    /// - Complexity: two passes over x and one over y in training. Sums are f64, over parts of rows
    ///   that depend on the sizes alone.
    package func batchNorm(
        _ x: Tensor, _ norm: BatchNorm, training: Bool
    ) throws(USPError) -> Tensor {
        let call = try BatchNormCall(x, norm, training: training)
        let y = try call.forward()
        tape?.record(y, inputs: [x, norm.weight, norm.bias]) { [tape] gradient throws(USPError) in
            if let tape { try call.backward(gradient, tape) }
        }
        return y
    }
}

/// One application of batch norm.
private final class BatchNormCall {
    let x: Tensor
    let norm: BatchNorm
    let rows: Int
    let width: Int
    let training: Bool
    /// Of each channel: mean, factor γ/deviation, offset; and 1/deviation.
    let maps: Tensor
    private var inverse: [Double] = []

    init(_ x: Tensor, _ norm: BatchNorm, training: Bool) throws(USPError) {
        (self.x, self.norm, self.training) = (x, norm, training)
        try require(
            x.shape.rank >= 2 && x.dtype == .float32, .shape, "batch norm: input \(x.shape)")
        (rows, width) = (x.shape.rows, x.shape[-1])
        try expect(norm.runningMean, [width], "batch norm: running mean")
        try expect(norm.runningVariance, [width], "batch norm: running variance")
        if let weight = norm.weight { try expect(weight, [width], "batch norm: weight") }
        if let bias = norm.bias { try expect(bias, [width], "batch norm: bias") }
        try require(
            !training || rows > 1, .shape,
            "batch norm: training needs two values a channel at least, got \(rows) in \(x.shape)")
        maps = try Tensor([3, width])
        try fillMaps()
    }

    /// Rows of one part of a sum.
    private var rowsOfPart: Int { max(64, (1 << 16) / max(width, 1), (rows + 63) / 64) }
    private var parts: Int { (rows + rowsOfPart - 1) / rowsOfPart }

    /// Two f64 sums a column over all rows, the parts' added in order.
    private func sums(
        _ body: (
            _ row: Int, _ count: Int, UnsafeMutablePointer<Double>, UnsafeMutablePointer<Double>
        ) -> Void
    ) throws(USPError) -> (first: [Double], second: [Double]) {
        let storage = try Storage(byteCount: parts * 2 * width * MemoryLayout<Double>.stride)
        let base = storage.base.assumingMemoryBound(to: Double.self)
        base.update(repeating: 0, count: parts * 2 * width)
        let (all, some, width) = (rows, rowsOfPart, width)
        parallelRanges(parts, grain: 1) { range in
            for part in range {
                let own = base + part * 2 * width
                body(part * some, min(some, all - part * some), own, own + width)
            }
        }
        return withExtendedLifetime(storage) {
            func total(_ offset: Int) -> [Double] {
                (0..<width).map { column in
                    (0..<parts).reduce(0) { $0 + base[($1 * 2 + offset) * width + column] }
                }
            }
            return (total(0), total(1))
        }
    }

    /// Mean and biased variance of each channel.
    private func moments() throws(USPError) -> (mean: [Double], variance: [Double]) {
        let (source, width, count) = (x.floats, width, Double(rows))
        // Moments about the first row: values far from zero keep their variance.
        let (sum, squares) = try sums { row, count, sum, squares in
            uspi_batch_sums(source + row * width, count, width, source, sum, squares)
        }
        let mean = sum.enumerated().map { Double(source[$0]) + $1 / count }
        let variance = zip(sum, squares).map {
            max($1 / count - ($0 / count) * ($0 / count), 0)
        }
        return (mean, variance)
    }

    private func fillMaps() throws(USPError) {
        let mean: [Double]
        let variance: [Double]
        if training {
            (mean, variance) = try moments()
            let unbiased = Double(rows) / Double(rows - 1)
            move(norm.runningMean, mean, factor: 1)
            move(norm.runningVariance, variance, factor: unbiased)
        } else {
            mean = norm.runningMean.values.map(Double.init)
            variance = norm.runningVariance.values.map(Double.init)
        }
        inverse = variance.map { 1 / ($0 + Double(norm.epsilon)).squareRoot() }
        let (gamma, beta, maps) = (norm.weight?.floats, norm.bias?.floats, maps.floats)
        for j in 0..<width {
            let factor = inverse[j] * Double(gamma?[j] ?? 1)
            let rounded = Float(mean[j])
            maps[j] = rounded
            maps[width + j] = Float(factor)
            maps[2 * width + j] = Float(
                Double(beta?[j] ?? 0) + (Double(rounded) - mean[j]) * factor)
        }
    }

    /// running += momentum·(factor·batch − running)
    private func move(_ running: Tensor, _ batch: [Double], factor: Double) {
        for (j, value) in batch.enumerated() {
            running.floats[j] += norm.momentum * (Float(value * factor) - running.floats[j])
        }
    }

    private var job: uspi_batch_norm {
        let maps = UnsafePointer(maps.floats)
        return uspi_batch_norm(
            width: width, mean: maps, factor: maps + width, offset: maps + 2 * width,
            rectifies: norm.rectifies ? 1 : 0)
    }

    func forward() throws(USPError) -> Tensor {
        let y = try Tensor(x.shape)
        let (source, result, width, prepared) = (x.floats, y.floats, width, job)
        parallelRanges(rows, grain: rowGrain(width: width)) { range in
            var job = prepared
            let at = range.lowerBound * width
            uspi_batch_norm_forward(&job, source + at, range.count, result + at)
        }
        return y
    }

    /// With d = dy where the result passed, z = (x − mean)/deviation and n rows:
    /// dx = γ/deviation·(d − Σd/n − z·Σ(d·z)/n), without the sums where the batch gave no
    /// statistics; dγ = Σ d·z, dβ = Σ d.
    func backward(_ gradient: Tensor, _ tape: Tape) throws(USPError) {
        let (source, dy, width, prepared) = (x.floats, gradient.floats, width, job)
        let (plain, along) = try sums { row, count, plain, along in
            var job = prepared
            uspi_batch_norm_sums(
                &job, source + row * width, dy + row * width, count, plain, along)
        }
        let slopes = zip(along, inverse).map { $0 * $1 }
        for (parameter, sums) in [(norm.weight, slopes), (norm.bias, plain)] {
            guard let target = try tape.target(for: parameter) else { continue }
            let result = target.tensor.floats
            for j in 0..<width { result[j] = (target.accumulates ? result[j] : 0) + Float(sums[j]) }
        }
        guard let target = try tape.target(for: x) else { return }
        let shares = try Tensor([2, width])
        let count = training ? 1 / Double(rows) : 0
        for j in 0..<width {
            shares.floats[j] = Float(plain[j] * count)
            shares.floats[width + j] = Float(slopes[j] * inverse[j] * count)
        }
        let (share, result) = (shares.floats, target.tensor.floats)
        let accumulates: Int32 = target.accumulates ? 1 : 0
        parallelRanges(rows, grain: rowGrain(width: width)) { range in
            var job = prepared
            let at = range.lowerBound * width
            uspi_batch_norm_backward(
                &job, source + at, dy + at, share, share + width, range.count, result + at,
                accumulates)
        }
    }
}
