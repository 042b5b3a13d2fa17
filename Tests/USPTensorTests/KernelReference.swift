// What the kernel tests share: numbers to feed them, and functions in double precision.

import CKernels
import Glibc

/// Reproducible numbers in -1 ..< 1.
struct SplitNumbers {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 2_862_933_555_777_941_757 &+ 3_037_000_493 }

    mutating func floats(_ count: Int) -> [Float] {
        (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Float(state >> 40) / Float(1 << 23) - 1
        }
    }
}

func roundedToBFloat16(_ x: Float) -> Float {
    var (source, half, result) = (x, UInt16(0), Float(0))
    uspi_bf16_from_f32(&source, &half, 1)
    uspi_f32_from_bf16(&half, &result, 1)
    return result
}

func exactExp(_ x: Double) -> Double { exp(x) }
func exactLog(_ x: Double) -> Double { log(x) }

/// The activation in double precision.
func activated(_ activation: uspi_activation, _ x: Double) -> Double {
    switch activation {
    case USPI_ACT_GELU_ERF: x * 0.5 * erfc(-x * 0.5.squareRoot())
    case USPI_ACT_GELU_TANH:
        x * 0.5 * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
    case USPI_ACT_SILU: x / (1 + exp(-x))
    case USPI_ACT_RELU: max(x, 0)
    case USPI_ACT_GELU_QUICK: x / (1 + exp(-1.702 * x))
    default: x
    }
}
