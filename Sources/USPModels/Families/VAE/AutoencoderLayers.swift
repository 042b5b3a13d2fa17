// The layers of the autoencoder over channels-last images.

import USPBase
import USPTensor

/// Named layers of one autoencoder in one context; `x` is `[B, H, W, C]` throughout.
struct AutoencoderLayers {
    let parameters: Parameters
    let groups: Int
    let context: Context

    func convolution(
        _ name: String, _ x: Tensor, stride: Int = 1, padding: Padding = Padding(1),
        upsample: Int = 1,
        residual: Tensor? = nil
    ) throws(USPError) -> Tensor {
        let weight = try parameters.tensor("\(name).weight")
        return try context.convolution(
            x, weight: weight, bias: parameters.tensor("\(name).bias"), stride: stride,
            padding: weight.shape[2] == 1 ? Padding(0) : padding, upsample: upsample,
            residual: residual)
    }

    /// A 3x3 convolution of norm and SiLU; the residual's memory may become the result's.
    func convolution(
        _ name: String, after norm: String, _ x: Tensor, residual: Tensor? = nil
    ) throws(USPError) -> Tensor {
        let before = ImageNorm(
            weight: try parameters.tensor("\(norm).weight"),
            bias: try parameters.tensor("\(norm).bias"),
            groups: groups, epsilon: 1e-6, activation: .silu)
        return try context.convolution(
            x, after: before, weight: parameters.tensor("\(name).weight"),
            bias: parameters.tensor("\(name).bias"), padding: Padding(1), residual: residual,
            overwritesResidual: true)
    }

    /// x, projected where the width changes, plus two convolutions, each after norm and SiLU.
    /// Without a tape the result may lie in x's memory: x belongs to the block.
    func block(_ name: String, _ x: Tensor) throws(USPError) -> Tensor {
        let inner = try convolution("\(name).conv1", after: "\(name).norm1", x)
        let shortcut =
            parameters.contains("\(name).nin_shortcut.weight")
            ? try convolution("\(name).nin_shortcut", x) : x
        return try convolution("\(name).conv2", after: "\(name).norm2", inner, residual: shortcut)
    }

    /// x plus single-head self-attention over all pixels of an image.
    func attention(_ name: String, _ x: Tensor) throws(USPError) -> Tensor {
        let (batch, width) = (x.shape[0], x.shape[3])
        let tokens: Shape = [batch, x.shape[1] * x.shape[2], width]
        let normed = try context.groupNorm(
            x, weight: parameters.tensor("\(name).norm.weight"),
            bias: parameters.tensor("\(name).norm.bias"),
            groups: groups, epsilon: 1e-6, output: context.activationType
        ).reshaped(tokens)
        func project(_ part: String) throws(USPError) -> Tensor {
            try context.linear(
                normed, parameters.tensor("\(name).\(part).weight"),
                parameters.tensor("\(name).\(part).bias"),
                LinearOptions(output: context.activationType))
        }
        let mixed = try context.attention(
            query: project("q"), key: project("k"), value: project("v"), heads: 1,
            output: context.activationType)
        let residual = try x.reshaped(tokens)
        let y = try context.linear(
            mixed, parameters.tensor("\(name).proj_out.weight"),
            parameters.tensor("\(name).proj_out.bias"),
            LinearOptions(residual: residual))
        return try y.reshaped(x.shape)
    }

    /// A block, and attention after it where the level has some.
    func levelBlock(_ level: String, _ index: Int, _ x: Tensor) throws(USPError) -> Tensor {
        let y = try block("\(level).block.\(index)", x)
        guard parameters.contains("\(level).attn.\(index).norm.weight") else { return y }
        return try attention("\(level).attn.\(index)", y)
    }

    func middle(_ side: String, _ x: Tensor) throws(USPError) -> Tensor {
        var y = try block("\(side).mid.block_1", x)
        if parameters.contains("\(side).mid.attn_1.norm.weight") {
            y = try attention("\(side).mid.attn_1", y)
        }
        return try block("\(side).mid.block_2", y)
    }

    func end(_ side: String, _ x: Tensor) throws(USPError) -> Tensor {
        try convolution("\(side).conv_out", after: "\(side).norm_out", x)
    }
}
