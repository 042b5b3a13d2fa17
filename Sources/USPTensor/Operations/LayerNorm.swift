// Layer and RMS normalisation with everything that follows them in a transformer block, in one pass.

import CKernels
import USPBase

/// How a norm brings a row to unit size.
public enum NormKind: String, Sendable, CaseIterable {
    /// (x − mean)/√(variance + ε) (Ba, Kiros, Hinton 2016).
    case layer
    /// x/√(mean of x² + ε) (Zhang and Sennrich 2019).
    case rms
}

/// (norm(x)·γ + β)·(1 + scale) + shift over the last axis, D; the modulation is adaLN of Peebles
/// and Xie (2023).
package struct LayerNorm {
    package var kind: NormKind
    /// γ, β: `[D]`; nil leaves them out.
    package var weight: Tensor?
    package var bias: Tensor?
    package var epsilon: Float
    /// Chunks of width D of `[B, n·D]` tensors: x then has B equal groups of rows.
    package var shift: Chunk?
    package var scale: Chunk?

    package init(
        _ kind: NormKind = .layer, weight: Tensor? = nil, bias: Tensor? = nil,
        epsilon: Float = 1e-6, shift: Chunk? = nil, scale: Chunk? = nil
    ) {
        (self.kind, self.weight, self.bias, self.epsilon) = (kind, weight, bias, epsilon)
        (self.shift, self.scale) = (shift, scale)
    }
}

extension Context {
    /// - x: `[.., D]`, f32
    /// - output: f32, or bf16 for a product that reads bf16
    /// - Throws: `.shape`, `.memory`
    /// - Complexity: two passes over a row in cache (RMS: one) and the one that writes; 8 bytes an
    ///   element of memory traffic.
    package func layerNorm(
        _ x: Tensor, _ norm: LayerNorm = LayerNorm(), output: DType = .float32
    ) throws(USPError) -> Tensor {
        let call = try LayerNormCall(x, norm)
        let inputs = [x, norm.weight, norm.bias, norm.shift?.tensor, norm.scale?.tensor]
        let records = tape != nil && inputs.contains { $0?.node.requiresGradient == true }
        let y = try call.forward(output, keepsStatistics: records)
        if records {
            y.node.again = { () throws(USPError) in
                try call.forward(output, keepsStatistics: false)
            }
        }
        tape?.record(y, inputs: inputs) { [tape] gradient throws(USPError) in
            if let tape { try call.backward(gradient, tape) }
        }
        return y
    }
}

/// One application of layer norm: its rows, and their statistics for the gradient.
final class LayerNormCall {
    private let x: Tensor
    private let kind: NormKind
    private let weight: Tensor?
    private let bias: Tensor?
    private let epsilon: Float
    private let shift: Chunk?
    private let scale: Chunk?
    private let rows: Int
    private let width: Int
    /// Groups of rows that share one shift and scale.
    private let samples: Int
    /// Mean and 1/deviation of each row: `[rows, 2]`.
    private var statistics: Tensor?

    init(_ x: Tensor, _ norm: LayerNorm) throws(USPError) {
        (self.x, kind, weight, bias) = (x, norm.kind, norm.weight, norm.bias)
        (epsilon, shift, scale) = (norm.epsilon, norm.shift, norm.scale)
        try require(x.shape.rank > 0 && x.dtype == .float32, .shape, "layer norm: input \(x.shape)")
        width = x.shape[-1]
        rows = x.shape.rows
        samples = max((shift ?? scale)?.tensor.shape.rows ?? 1, 1)
        if let weight { try expect(weight, [width], "layer norm: weight") }
        if let bias { try expect(bias, [width], "layer norm: bias") }
        for chunk in [shift, scale] {
            guard let chunk else { continue }
            try require(
                chunk.width == width && chunk.tensor.shape.rows == samples && rows % samples == 0,
                .shape,
                "layer norm: modulation of width \(chunk.width) in \(chunk.tensor.shape), "
                    + "input \(x.shape)")
        }
    }

    private var period: Int { rows / samples }
    /// Rows of one part; parts never cross samples.
    private var block: Int { min(max(period, 1), 64) }
    private var blocksPerSample: Int { (period + block - 1) / block }

    /// Calls the body for each part: its sample and its rows.
    private func forEachPart(_ body: (_ part: Int, _ sample: Int, _ rows: Range<Int>) -> Void) {
        if rows == 0 || width == 0 { return }
        let (blocks, block, period) = (blocksPerSample, block, period)
        // Small parts would cost more in hand-offs than they share: one part does them all.
        if rows * width < 1 << 14 {
            for part in 0..<samples * blocks {
                let first = part % blocks * block
                let start = part / blocks * period
                body(part, part / blocks, start + first..<start + min(period, first + block))
            }
            return
        }
        ThreadPool.shared.run(parts: samples * blocks) { part in
            let first = part % blocks * block
            let start = part / blocks * period
            body(part, part / blocks, start + first..<start + min(period, first + block))
        }
    }

    func forward(_ output: DType, keepsStatistics: Bool) throws(USPError) -> Tensor {
        let y = try Tensor(x.shape, output)
        if keepsStatistics { statistics = try Tensor([rows, 2]) }
        let (result, kept) = (y.raw, statistics?.floats)
        let (prepared, width) = (normedRows(output), width)
        forEachPart { _, _, rows in
            var job = prepared
            uspi_norm_rows(
                &job, Int64(rows.lowerBound), Int64(rows.count),
                result + rows.lowerBound * width * output.size,
                kept.map { $0 + 2 * rows.lowerBound })
        }
        return y
    }

    /// What kernels are told; valid as long as the tensors.
    func normedRows(_ output: DType) -> uspi_normed_rows {
        var all = uspi_normed_rows()
        (all.norm.width, all.norm.epsilon, all.norm.output) = (width, epsilon, output.kernel)
        all.norm.rms = kind == .rms ? 1 : 0
        all.norm.weight = weight.map { UnsafePointer($0.floats) }
        all.norm.bias = bias.map { UnsafePointer($0.floats) }
        all.norm.shift = shift.map { UnsafePointer($0.pointer) }
        all.norm.scale = scale.map { UnsafePointer($0.pointer) }
        (all.x, all.period) = (UnsafePointer(x.floats), Int64(max(period, 1)))
        all.shift_row = Int64(shift?.rowStride ?? 0)
        all.scale_row = Int64(scale?.rowStride ?? 0)
        return all
    }

    func backward(_ gradient: Tensor, _ tape: Tape) throws(USPError) {
        guard let statistics, rows > 0, width > 0 else { return }
        let targets = (
            weight: try tape.target(for: weight), bias: try tape.target(for: bias),
            shift: try shift.flatMap { chunk throws(USPError) in try chunkTarget(chunk, tape) },
            scale: try scale.flatMap { chunk throws(USPError) in try chunkTarget(chunk, tape) }
        )
        let needsSums =
            targets.weight != nil || targets.bias != nil || targets.shift != nil
            || targets.scale != nil
        let parts = samples * blocksPerSample
        let sums = needsSums ? try Tensor.zeros([parts, 2, width]) : nil
        let replaced = try tape.replacement(for: x)
        let (source, dy, kept) = (x.floats, gradient.floats, statistics.floats)
        let (dx, addend) = (replaced?.fresh.floats, replaced?.present?.floats)
        let (all, partial) = (normedRows(.float32), sums?.floats)
        let width = width
        forEachPart { part, sample, rows in
            let offset = rows.lowerBound * width
            var norm = all.norm
            norm.scale = norm.scale.map { $0 + sample * Int(all.scale_row) }
            uspi_layer_norm_backward(
                &norm, source + offset, dy + offset, kept + 2 * rows.lowerBound, rows.count,
                addend.map { $0 + offset }, dx.map { $0 + offset },
                partial.map { $0 + part * 2 * width })
        }
        if let sums { fold(sums, targets.weight, targets.bias, targets.shift, targets.scale) }
    }

    /// Adds the parts' sums in order: with S₀ = Σdy and S₁ = Σdy·z of a sample,
    /// dshift = S₀, dscale = γS₁ + βS₀, dγ = Σ(1 + scale)S₁, dβ = Σ(1 + scale)S₀.
    private func fold(
        _ sums: Tensor, _ weightTarget: GradientTarget?, _ biasTarget: GradientTarget?,
        _ shiftTarget: Tensor?, _ scaleTarget: Tensor?
    ) {
        let partial = sums.floats
        let (gamma, beta) = (weight?.floats, bias?.floats)
        let (dGamma, dBeta) = (weightTarget?.tensor.floats, biasTarget?.tensor.floats)
        let (width, samples, blocks) = (width, samples, blocksPerSample)
        let dShift = shift.flatMap { chunk in shiftTarget.map { $0.floats + chunk.index * width } }
        let dScale = scale.flatMap { chunk in scaleTarget.map { $0.floats + chunk.index * width } }
        let (keepsWeight, keepsBias) = (weightTarget?.accumulates, biasTarget?.accumulates)
        parallelRanges(width, grain: max(16, (1 << 16) / (samples * blocks) / 16 * 16)) { columns in
            for j in columns {
                var (g, b): (Float, Float) = (0, 0)
                for sample in 0..<samples {
                    var (plain, along): (Float, Float) = (0, 0)
                    for part in sample * blocks..<(sample + 1) * blocks {
                        plain += partial[part * 2 * width + j]
                        along += partial[(part * 2 + 1) * width + j]
                    }
                    let factor = scale.map { 1 + $0.pointer[sample * $0.rowStride + j] } ?? 1
                    g += factor * along
                    b += factor * plain
                    if let dShift, let shift { dShift[sample * shift.rowStride + j] += plain }
                    if let dScale, let scale {
                        dScale[sample * scale.rowStride + j] +=
                            along * (gamma?[j] ?? 1) + plain * (beta?[j] ?? 0)
                    }
                }
                if let dGamma { dGamma[j] = (keepsWeight == true ? dGamma[j] : 0) + g }
                if let dBeta { dBeta[j] = (keepsBias == true ? dBeta[j] : 0) + b }
            }
        }
    }
}
