// The small classifier in whose features the demo measures Frechet distances.

import USPBase
import USPModels
import USPTensor

/// Three strided convolutions and two linear layers on `[B, 1, 32, 32]` images.
struct Judge {
    static let features = 64
    let parameters: Parameters

    init() throws(USPError) {
        var specs: [ParameterSpec] = []
        for (index, sizes) in [(1, 32), (32, 64), (64, 64)].enumerated() {
            let start = Initializer.torchDefault(fanIn: sizes.0 * 9)
            specs.append(
                ParameterSpec("convolutions.\(index).weight", [sizes.1, sizes.0, 3, 3], start))
            specs.append(ParameterSpec("convolutions.\(index).bias", [sizes.1], start))
        }
        for (name, inputs, outputs) in [
            ("features", 1024, Judge.features), ("head", Judge.features, 10),
        ] {
            let start = Initializer.torchDefault(fanIn: inputs)
            specs.append(ParameterSpec("\(name).weight", [outputs, inputs], start))
            specs.append(ParameterSpec("\(name).bias", [outputs], start))
        }
        parameters = try Parameters(specs)
    }

    /// `[B, 64]` features of `[B, 1, 32, 32]` images in −1 ... 1.
    func features(_ images: Tensor, in context: Context) throws(USPError) -> Tensor {
        var x = try context.toChannelsLast(images)
        for index in 0..<3 {
            let name = "convolutions.\(index)"
            x = try context.convolution(
                x, weight: parameters.tensor("\(name).weight"),
                bias: parameters.tensor("\(name).bias"),
                stride: 2, padding: Padding(1))
            x = try context.activate(x, .silu)
        }
        let flat = try x.reshaped([images.shape[0], 1024])
        return try context.linear(
            flat, parameters.tensor("features.weight"), parameters.tensor("features.bias"),
            LinearOptions(activation: .silu))
    }

    /// `[B, 10]` logits.
    func logits(_ images: Tensor, in context: Context) throws(USPError) -> Tensor {
        try context.linear(
            features(images, in: context), parameters.tensor("head.weight"),
            parameters.tensor("head.bias"))
    }
}
