// Pointwise activations, alone and as the epilogue of products.

import CKernels
import USPBase

/// An activation; `.geluErf` is exact, `.geluTanh` and `.geluQuick` (x·sigmoid(1.702x), CLIP's) are
/// the approximations of Hendrycks and Gimpel.
public enum Activation: String, Sendable, CaseIterable {
    case none
    case geluErf = "gelu_erf"
    case geluTanh = "gelu_tanh"
    case geluQuick = "gelu_quick"
    case silu
    case relu

    var kernel: Int32 {
        switch self {
        case .none: Int32(USPI_ACT_NONE.rawValue)
        case .geluErf: Int32(USPI_ACT_GELU_ERF.rawValue)
        case .geluTanh: Int32(USPI_ACT_GELU_TANH.rawValue)
        case .geluQuick: Int32(USPI_ACT_GELU_QUICK.rawValue)
        case .silu: Int32(USPI_ACT_SILU.rawValue)
        case .relu: Int32(USPI_ACT_RELU.rawValue)
        }
    }
}

extension Context {
    /// y = activation(x), elementwise.
    /// - x: any shape, f32
    /// - Complexity: 8 bytes an element.
    package func activate(_ x: Tensor, _ activation: Activation) throws(USPError) -> Tensor {
        if activation == .none { return x }
        let y = try activated(x, activation)
        tape?.record(y, inputs: [x]) { [tape] gradient throws(USPError) in
            guard let target = try tape?.target(for: x) else { return }
            try activationBackward(activation, before: x, gradient, into: target)
        }
        return y
    }
}

/// activation(before) in the type of `before`: the bits that a product's epilogue gives in f32.
func activated(_ before: Tensor, _ activation: Activation) throws(USPError) -> Tensor {
    let y = try Tensor(before.shape, before.dtype)
    let (source, result, kernel) = (before.raw, y.raw, activation.kernel)
    let half = before.dtype == .bfloat16
    parallelRanges(before.count, grain: 1 << 14) { range in
        let at = range.lowerBound * before.dtype.size
        if half {
            uspi_activation_forward_bf16(
                kernel, (source + at).assumingMemoryBound(to: UInt16.self),
                (result + at).assumingMemoryBound(to: UInt16.self), Int64(range.count))
        } else {
            uspi_activation_forward(
                kernel, (source + at).assumingMemoryBound(to: Float.self),
                (result + at).assumingMemoryBound(to: Float.self), Int64(range.count))
        }
    }
    return y
}

/// activation(first) ⊙ second of rows `[first | second]`, in their type: a gated unit's end.
func gatedUnit(_ halves: Tensor, _ activation: Activation, into y: Tensor) {
    let (half, size) = (y.shape[-1], y.dtype.size)
    let (source, result) = (halves.raw, y.raw)
    let (kernel, type) = (activation.kernel, y.dtype.kernel)
    parallelRanges(y.shape.rows, grain: rowGrain(width: half, elements: 1 << 14)) { rows in
        for row in rows {
            let first = source + 2 * row * half * size
            uspi_gated_forward(
                kernel, type, first, first + half * size, result + row * half * size, Int64(half))
        }
    }
}

/// The gradient of `[first | second]`, f32, from that of activation(first) ⊙ second.
func gatedUnitBackward(
    _ halves: Tensor, _ activation: Activation, _ gradient: Tensor
) throws(USPError) -> Tensor {
    let result = try Tensor(halves.shape)
    let (half, size) = (halves.shape[-1] / 2, halves.dtype.size)
    let (source, dy, dx) = (halves.raw, gradient.floats, result.floats)
    let (kernel, type) = (activation.kernel, halves.dtype.kernel)
    parallelRanges(halves.shape.rows, grain: rowGrain(width: half, elements: 1 << 14)) { rows in
        for row in rows {
            let first = source + 2 * row * half * size
            uspi_gated_backward(
                kernel, type, first, first + half * size, dy + row * half, dx + 2 * row * half,
                dx + (2 * row + 1) * half, Int64(half))
        }
    }
    return result
}

/// target (+)= gradient · activation′(before); `before` is f32 or bf16
func activationBackward(
    _ activation: Activation, before: Tensor, _ gradient: Tensor, into target: GradientTarget
) throws(USPError) {
    let result = target.accumulates ? try Tensor(gradient.shape) : target.tensor
    let (x, dy, dx) = (before.raw, gradient.floats, result.floats)
    let (kernel, half) = (activation.kernel, before.dtype == .bfloat16)
    parallelRanges(gradient.count, grain: 1 << 14) { range in
        let at = range.lowerBound
        guard half else {
            let values = x.assumingMemoryBound(to: Float.self)
            uspi_activation_backward(kernel, values + at, dy + at, dx + at, Int64(range.count))
            return
        }
        withUnsafeTemporaryAllocation(of: Float.self, capacity: range.count) { values in
            let words = x.assumingMemoryBound(to: UInt16.self)
            uspi_f32_from_bf16(words + at, values.baseAddress, Int64(range.count))
            uspi_activation_backward(
                kernel, values.baseAddress, dy + at, dx + at, Int64(range.count))
        }
    }
    if target.accumulates { try addInPlace(target.tensor, result) }
}
