// Sums, gates and conversions: one pass over memory each.

import CKernels
import USPBase

extension Context {
    /// y = a + b, same shape, f32.
    package func add(_ a: Tensor, _ b: Tensor) throws(USPError) -> Tensor {
        try require(a.count == b.count, .shape, "add: \(a.shape) and \(b.shape)")
        let y = try a.copied()
        try addInPlace(y, b)
        let result = y
        tape?.record(result, inputs: [a, b]) { [tape] gradient throws(USPError) in
            try tape?.pass(gradient, to: a)
            try tape?.pass(gradient, to: b)
        }
        return result
    }

    /// y = factor·x, f32.
    package func scale(_ x: Tensor, by factor: Float) throws(USPError) -> Tensor {
        let y = try Tensor(x.shape)
        USPTensor.scale(x, by: factor, into: GradientTarget(tensor: y, accumulates: false))
        tape?.record(y, inputs: [x]) { [tape] gradient throws(USPError) in
            guard let target = try tape?.target(for: x) else { return }
            USPTensor.scale(gradient, by: factor, into: target)
        }
        return y
    }

    /// y = a ⊙ b, same count, f32.
    package func multiply(_ a: Tensor, _ b: Tensor) throws(USPError) -> Tensor {
        try require(a.count == b.count, .shape, "multiply: \(a.shape) and \(b.shape)")
        let y = try Tensor(a.shape)
        USPTensor.multiply(a, b, into: GradientTarget(tensor: y, accumulates: false))
        tape?.record(y, inputs: [a, b]) { [tape] gradient throws(USPError) in
            for (input, other) in [(a, b), (b, a)] {
                guard let target = try tape?.target(for: input) else { continue }
                USPTensor.multiply(gradient, other, into: target)
            }
        }
        return y
    }

    /// y = gate ⊙ x, of which each sample's rows have one gate.
    ///
    /// - x: `[.., D]`, f32; gate: a chunk of width D of a `[B, n·D]` tensor
    /// - Throws: `.shape`
    package func gate(_ x: Tensor, by gate: Chunk) throws(USPError) -> Tensor {
        let (rows, samples) = (x.shape.rows, gate.tensor.shape.rows)
        try require(
            x.shape.rank > 0 && gate.width == x.shape[-1] && samples > 0 && rows % samples == 0,
            .shape, "gate: of width \(gate.width) in \(gate.tensor.shape) for \(x.shape)")
        let period = rows / samples
        let y = try Tensor(x.shape)
        gateForward(x, gate, period: period, residual: nil, into: y)
        tape?.record(y, inputs: [x, gate.tensor]) { [tape] gradient throws(USPError) in
            guard let tape else { return }
            let inner = try gateBackward(gradient, ungated: x, gate, period: period, tape)
            try tape.pass(inner, to: x)
        }
        return y
    }
}

/// target (+)= a ⊙ b
private func multiply(_ a: Tensor, _ b: Tensor, into target: GradientTarget) {
    let (x, z, result) = (a.floats, b.floats, target.tensor.floats)
    let adds: Int32 = target.accumulates ? 1 : 0
    parallelRanges(a.count, grain: 1 << 15) { range in
        let at = range.lowerBound
        uspi_multiply(x + at, z + at, result + at, range.count, adds)
    }
}

/// target += addend, f32, same count.
package func addInPlace(_ target: Tensor, _ addend: Tensor) throws(USPError) {
    try require(
        target.count == addend.count, .shape, "add: \(addend.shape) to \(target.shape)")
    let (y, x) = (target.floats, addend.floats)
    parallelRanges(target.count, grain: 1 << 15) { range in
        uspi_add(y + range.lowerBound, x + range.lowerBound, range.count)
    }
}

/// target[j] (+)= Σ_i x[i, j]; the order of the sum depends on the shape only.
func sumRows(
    _ x: Tensor, rows: Int, width: Int, into target: GradientTarget
) throws(USPError) {
    let (source, result) = (x.floats, target.tensor.floats)
    let accumulates: Int32 = target.accumulates ? 1 : 0
    parallelRanges(width, grain: max(16, (1 << 18) / max(rows, 1) / 16 * 16)) { columns in
        uspi_sum_rows(
            source + columns.lowerBound, width, rows, columns.count, result + columns.lowerBound,
            accumulates)
    }
}

/// y[i, j] = residual[i, j] + gate[i / period, j] · value[i, j]
func gateForward(_ value: Tensor, _ gate: Chunk, period: Int, residual: Tensor?, into y: Tensor) {
    let width = gate.width
    let (x, result, addend) = (value.floats, y.floats, residual?.floats)
    let (gates, stride) = (gate.pointer, gate.rowStride)
    parallelRanges(y.count / max(width, 1), grain: rowGrain(width: width)) { rows in
        for row in rows {
            uspi_gate_forward(
                x + row * width, gates + row / period * stride, addend.map { $0 + row * width },
                result + row * width, width)
        }
    }
}

/// The gradient of the gated value; the gate's own is added to its chunk's tensor.
func gateBackward(
    _ gradient: Tensor, ungated: Tensor?, _ gate: Chunk, period: Int, _ tape: Tape
) throws(USPError) -> Tensor {
    let inner = try Tensor(gradient.shape)
    let width = gate.width
    let target = try chunkTarget(gate, tape)
    let (dy, dx, value) = (gradient.floats, inner.floats, ungated?.floats)
    let (gates, stride) = (gate.pointer, gate.rowStride)
    let gateGradients = target.map { $0.floats + gate.index * width }
    // Many rows that share a gate, as layer scale's do, are summed by parts.
    let samples = gradient.count / max(width * period, 1)
    let rowsOfPart = max(1, min(period, 256))
    let parts = (period + rowsOfPart - 1) / rowsOfPart
    let sums = target != nil && parts > 1 ? try Tensor.zeros([samples * parts, width]) : nil
    let partSums = sums?.floats
    parallelRanges(samples * parts, grain: 1) { range in
        for index in range {
            let (sample, part) = index.quotientAndRemainder(dividingBy: parts)
            let first = sample * period + part * rowsOfPart
            let sum = partSums.map { $0 + index * width }
            for row in first..<min((sample + 1) * period, first + rowsOfPart) {
                uspi_gate_backward(
                    dy + row * width, gates + sample * stride, value.map { $0 + row * width },
                    dx + row * width, sum ?? gateGradients.map { $0 + sample * stride }, width)
            }
        }
    }
    guard let sums, let gateGradients else { return inner }
    for sample in 0..<samples {
        uspi_sum_rows(
            sums.floats + sample * parts * width, width, parts, width,
            gateGradients + sample * stride, 1)
    }
    return inner
}

/// The gradient of a chunk's whole tensor, zero where nothing has been added yet.
func chunkTarget(_ chunk: Chunk, _ tape: Tape) throws(USPError) -> Tensor? {
    guard let target = try tape.target(for: chunk.tensor) else { return nil }
    if !target.accumulates { target.tensor.fillWithZeros() }
    return target.tensor
}
