// Linear layers and norms as named parameters of a model.

import USPBase
import USPTensor

/// How the linear layers of a model start.
package enum LinearStart: Sendable, Equatable {
    /// Xavier uniform weights and zero biases: masked autoencoders and diffusion transformers.
    case xavier
    /// Truncated normal weights and zero biases: timm's classifiers use 0.02.
    case truncatedNormal(Float)
    /// Normal weights and zero biases.
    case normal(Float)
    /// Zero weights and biases: what adaLN-Zero starts from.
    case zeros

    func initializer(inputs: Int, outputs: Int) -> Initializer {
        switch self {
        case .xavier: .xavierUniform(fanIn: inputs, fanOut: outputs)
        case .truncatedNormal(let deviation): .truncatedNormal(deviation: deviation)
        case .normal(let deviation): .normal(deviation: deviation)
        case .zeros: .zeros
        }
    }
}

/// y = x·Wᵀ + b with the parameters `NAME.weight` [outputs, inputs] and `NAME.bias` [outputs].
package struct LinearLayer {
    package let weight: Tensor
    package let bias: Tensor?
    /// Whether it multiplies in 8 bits where the context says so.
    let isQuantizable: Bool

    package static func specs(
        _ name: String, inputs: Int, outputs: Int, _ start: LinearStart
    ) -> [ParameterSpec] {
        [
            ParameterSpec(
                "\(name).weight", [outputs, inputs],
                start.initializer(inputs: inputs, outputs: outputs)),
            ParameterSpec("\(name).bias", [outputs], .zeros),
        ]
    }

    /// - Throws: `.missingWeight`
    package init(
        _ parameters: Parameters, _ name: String, isQuantizable: Bool = false
    ) throws(USPError) {
        self.isQuantizable = isQuantizable
        weight = try parameters.tensor("\(name).weight")
        bias = parameters.contains("\(name).bias") ? try parameters.tensor("\(name).bias") : nil
    }

    package func forward(
        _ x: Tensor, _ options: LinearOptions = LinearOptions(), in context: Context
    ) throws(USPError) -> Tensor {
        try (isQuantizable ? context.inBlockLayer : context).linear(x, weight, bias, options)
    }

    /// To be computed beside another product; nil: `forward` has to do it.
    package func beside(_ x: Tensor, in context: Context) throws(USPError) -> LinearBeside? {
        try context.linearBeside(x, weight, bias)
    }

    package var tensors: [Tensor] { [weight] + (bias.map { [$0] } ?? []) }
}

/// A norm with the parameters `NAME.weight` [D] and, of a layer norm, `NAME.bias` [D]; or a layer
/// norm with none.
package struct NormLayer {
    package let kind: NormKind
    package let weight: Tensor?
    package let bias: Tensor?
    package let epsilon: Float

    package static func specs(
        _ name: String, width: Int, _ kind: NormKind = .layer
    ) -> [ParameterSpec] {
        let weight = ParameterSpec("\(name).weight", [width], .ones)
        return kind == .rms ? [weight] : [weight, ParameterSpec("\(name).bias", [width], .zeros)]
    }

    /// Affine if the parameters of that name exist.
    package init(
        _ parameters: Parameters, _ name: String, _ kind: NormKind = .layer, epsilon: Float
    ) throws(USPError) {
        func found(_ part: String) throws(USPError) -> Tensor? {
            let name = "\(name).\(part)"
            return parameters.contains(name) ? try parameters.tensor(name) : nil
        }
        (weight, bias) = (try found("weight"), try found("bias"))
        (self.kind, self.epsilon) = (kind, epsilon)
    }

    /// (norm(x)·γ + β)·(1 + scale) + shift
    package func layerNorm(shift: Chunk? = nil, scale: Chunk? = nil) -> LayerNorm {
        LayerNorm(kind, weight: weight, bias: bias, epsilon: epsilon, shift: shift, scale: scale)
    }

    package func forward(_ x: Tensor, in context: Context) throws(USPError) -> Tensor {
        try context.layerNorm(x, layerNorm())
    }

    package var tensors: [Tensor] { [weight, bias].compactMap { $0 } }
}
