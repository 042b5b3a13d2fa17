// What a model's parameters are called, how large they are and how they start: a table that is a
// pure function of the configuration.

import Glibc
import USPBase
import USPTensor

/// How a parameter starts when it is not loaded.
public enum Initializer: Sendable, Equatable {
    case zeros
    case ones
    case constant(Float)
    case normal(deviation: Float)
    /// Normal, redrawn outside ±2 absolute as timm's `trunc_normal_` does by default:
    /// for small deviations a plain normal.
    case truncatedNormal(deviation: Float)
    case uniform(bound: Float)
    /// Uniform within ±√(6 / (fanIn + fanOut)).
    case xavierUniform(fanIn: Int, fanOut: Int)
    /// Given values, such as a sine-cosine table.
    case table([Float])

    /// PyTorch's default for linear and convolution weights and biases: ±1/√fanIn.
    public static func torchDefault(fanIn: Int) -> Initializer {
        .uniform(bound: 1 / Float(max(fanIn, 1)).squareRoot())
    }

    /// Fills `values`; the stream is the parameter's own, so order and neighbours do not matter.
    package func fill(_ values: UnsafeMutableBufferPointer<Float>, _ key: RandomKey) {
        var stream = RandomStream(key)
        switch self {
        case .zeros: values.update(repeating: 0)
        case .ones: values.update(repeating: 1)
        case .constant(let value): values.update(repeating: value)
        case .normal(let deviation):
            for i in values.indices { values[i] = deviation * stream.normal() }
        case .truncatedNormal(let deviation):
            for i in values.indices {
                var value = deviation * stream.normal()
                while abs(value) > 2 { value = deviation * stream.normal() }
                values[i] = value
            }
        case .uniform(let bound):
            for i in values.indices { values[i] = bound * (2 * stream.uniform() - 1) }
        case .xavierUniform(let fanIn, let fanOut):
            let bound = (6 / Float(max(fanIn + fanOut, 1))).squareRoot()
            for i in values.indices { values[i] = bound * (2 * stream.uniform() - 1) }
        case .table(let table):
            for i in values.indices { values[i] = i < table.count ? table[i] : 0 }
        }
    }
}

/// One row of a model's parameter table.
public struct ParameterSpec: Sendable {
    /// The name in the original's state dictionary, such as `blocks.0.attn.qkv.weight`.
    public let name: String
    /// PyTorch's shape.
    public let shape: Shape
    public let initializer: Initializer
    /// False for frozen tables (`pos_embed`) and statistics (`running_mean`).
    public let isTrainable: Bool

    public init(
        _ name: String, _ shape: Shape, _ initializer: Initializer, isTrainable: Bool = true
    ) {
        self.name = name
        self.shape = shape
        self.initializer = initializer
        self.isTrainable = isTrainable
    }

    /// timm's `param_groups_weight_decay`: vectors, as biases are, do not decay, everything else does
    /// (class and mask tokens are three-dimensional, so they do).
    public var decays: Bool { isTrainable && shape.rank > 1 }
}
