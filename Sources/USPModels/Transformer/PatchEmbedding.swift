// Images to tokens: a convolution whose kernel is its stride.

import USPBase
import USPTensor

/// Tokens = patches·Wᵀ + b with the parameters `NAME.proj.weight` [D, C, P, P] and, of most,
/// `NAME.proj.bias` [D].
package struct PatchEmbedding {
    package let projection: LinearLayer
    package let patch: Int
    package let channels: Int

    /// - xavier: start as a linear layer does; otherwise as PyTorch's convolutions do
    package static func specs(
        _ name: String, width: Int, channels: Int, patch: Int, xavier: Bool, hasBias: Bool = true
    ) -> [ParameterSpec] {
        let inputs = channels * patch * patch
        let weight: Initializer =
            xavier ? .xavierUniform(fanIn: inputs, fanOut: width) : .torchDefault(fanIn: inputs)
        let bias: Initializer = xavier ? .zeros : .torchDefault(fanIn: inputs)
        return [ParameterSpec("\(name).proj.weight", [width, channels, patch, patch], weight)]
            + (hasBias ? [ParameterSpec("\(name).proj.bias", [width], bias)] : [])
    }

    /// - Throws: `.missingWeight`
    package init(
        _ parameters: Parameters, _ name: String, channels: Int, patch: Int
    ) throws(USPError) {
        projection = try LinearLayer(parameters, "\(name).proj")
        (self.patch, self.channels) = (patch, channels)
    }

    /// Patches in the order of the weight's inputs: `[B, C, H, W]` -> `[B, T, C·P·P]`.
    package func patches(_ images: Tensor, in context: Context) throws(USPError) -> Tensor {
        try require(
            images.shape.rank == 4 && images.shape[1] == channels, .shape,
            "images: shape \(images.shape), expected [B, \(channels), H, W]")
        return try context.patchify(images, patch: patch, order: .channelFirst)
    }
}
