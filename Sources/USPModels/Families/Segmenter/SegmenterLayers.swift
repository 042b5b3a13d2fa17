// The layers of segmentation heads, over channels-last maps.

import USPBase
import USPTensor

/// Batch norm with the parameters `NAME.weight`, `NAME.bias` and the statistics `NAME.running_mean`,
/// `NAME.running_var`, all `[C]`.
struct BatchNormLayer {
    private let norm: BatchNorm

    static func specs(_ name: String, width: Int) -> [ParameterSpec] {
        [
            ParameterSpec("\(name).weight", [width], .ones),
            ParameterSpec("\(name).bias", [width], .zeros),
            ParameterSpec("\(name).running_mean", [width], .zeros, isTrainable: false),
            ParameterSpec("\(name).running_var", [width], .ones, isTrainable: false),
        ]
    }

    /// - Throws: `.missingWeight`
    init(_ parameters: Parameters, _ name: String, rectifies: Bool = false) throws(USPError) {
        norm = BatchNorm(
            runningMean: try parameters.tensor("\(name).running_mean"),
            runningVariance: try parameters.tensor("\(name).running_var"),
            weight: try parameters.tensor("\(name).weight"),
            bias: try parameters.tensor("\(name).bias"), rectifies: rectifies)
    }

    func forward(
        _ x: Tensor, batchStatistics: Bool, in context: Context
    ) throws(USPError) -> Tensor {
        try context.batchNorm(x, norm, training: batchStatistics)
    }
}

/// Convolution without bias, batch norm, ReLU: `NAME.conv.weight` [O, C, k, k] and `NAME.bn.*`.
struct ConvolutionUnit {
    private let weight: Tensor
    private let norm: BatchNormLayer

    static func specs(_ name: String, inputs: Int, outputs: Int, kernel: Int) -> [ParameterSpec] {
        let fanOut = Float(outputs * kernel * kernel)
        return [
            ParameterSpec(
                "\(name).conv.weight", [outputs, inputs, kernel, kernel],
                .normal(deviation: (2 / fanOut).squareRoot()))
        ] + BatchNormLayer.specs("\(name).bn", width: outputs)
    }

    /// - Throws: `.missingWeight`
    init(_ parameters: Parameters, _ name: String) throws(USPError) {
        weight = try parameters.tensor("\(name).conv.weight")
        norm = try BatchNormLayer(parameters, "\(name).bn", rectifies: true)
    }

    /// `[B, H, W, C]` -> `[B, H, W, O]`
    func forward(
        _ x: Tensor, batchStatistics: Bool, in context: Context
    ) throws(USPError) -> Tensor {
        let y = try context.convolution(x, weight: weight, padding: Padding(weight.shape[2] / 2))
        return try norm.forward(y, batchStatistics: batchStatistics, in: context)
    }
}

/// Twice the rows and columns: a transposed convolution of 2x2 at stride 2, `NAME.weight`
/// [D, D, 2, 2] and `NAME.bias` [D].
struct DoublingLayer {
    private let weight: Tensor
    private let bias: Tensor

    static func specs(_ name: String, width: Int) -> [ParameterSpec] {
        // PyTorch counts 4·D inputs of its weight [D, D, 2, 2].
        let start = Initializer.torchDefault(fanIn: 4 * width)
        return [
            ParameterSpec("\(name).weight", [width, width, 2, 2], start),
            ParameterSpec("\(name).bias", [width], start),
        ]
    }

    /// - Throws: `.missingWeight`
    init(_ parameters: Parameters, _ name: String) throws(USPError) {
        weight = try parameters.tensor("\(name).weight")
        bias = try parameters.tensor("\(name).bias")
    }

    func forward(_ x: Tensor, in context: Context) throws(USPError) -> Tensor {
        try context.transposedConvolution(x, weight: weight, bias: bias, stride: 2)
    }
}

/// Scores of each pixel's channels: `NAME.conv_seg.weight` [K, C, 1, 1] and `NAME.conv_seg.bias` [K].
struct PixelClassifier {
    private let weight: Tensor
    private let bias: Tensor

    static func specs(_ name: String, inputs: Int, classes: Int) -> [ParameterSpec] {
        [
            ParameterSpec(
                "\(name).conv_seg.weight", [classes, inputs, 1, 1], .normal(deviation: 0.01)),
            ParameterSpec("\(name).conv_seg.bias", [classes], .zeros),
        ]
    }

    /// - Throws: `.missingWeight`
    init(_ parameters: Parameters, _ name: String) throws(USPError) {
        weight = try parameters.tensor("\(name).conv_seg.weight")
        bias = try parameters.tensor("\(name).conv_seg.bias")
    }

    /// - dropout: rate at which whole channels are zeroed, where the context draws
    func forward(
        _ x: Tensor, dropout: Float = 0, in context: Context
    ) throws(USPError) -> Tensor {
        let kept = try context.dropoutChannels(x, rate: dropout)
        return try context.convolution(kept, weight: weight, bias: bias)
    }
}
