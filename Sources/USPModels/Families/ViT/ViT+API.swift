// What people ask of a classifier.

import USPBase
import USPTensor

extension ViT {
    public func inputShape(batch: Int) -> Shape { configuration.imageShape(batch) }
    /// Width of a feature, D.
    public var width: Int { configuration.width }
    /// Classes of the head; 0 without one.
    public var classes: Int { configuration.classes }

    /// Tokens in front of the patches': of the class, then registers.
    public var leading: Int { configuration.leading }

    /// The patches' tokens of `[B, C, H, W]`, row by row: `[B, T, D]`.
    ///
    /// - images: of any sides that are multiples of the patch; where they are not the model's own, the
    ///   position table is resampled as `configuration.positions` says
    /// - norm: after the last norm, else before it
    /// - leading: class token and registers stand in front of them
    public func tokens(
        _ images: Tensor, norm: Bool = true, leading: Bool = false
    ) throws(USPError) -> Tensor {
        try tokens(images, normed: norm, leading: leading, in: Context(arithmetic))
    }

    /// Pooled and normed features of `[B, C, H, W]`: `[B, D]`; images as for `tokens`.
    public func features(_ images: Tensor) throws(USPError) -> Tensor {
        try features(images, in: Context(arithmetic))
    }

    /// The patches' tokens after these blocks (1 is the first), before any norm, `[B, T, D]` each, or
    /// their means, `[B, D]`; images as for `tokens`.
    public func features(
        _ images: Tensor, layers: [Int], tokens: Bool = false
    ) throws(USPError) -> [Tensor] {
        try encoder.features(images, layers: layers, tokens: tokens, in: Context(arithmetic))
    }

    /// Attention's probabilities in a block (1 is the first), for each head: row t is what token t takes
    /// from each, class token and registers in front. `[B, N, leading + T, leading + T]`.
    public func attention(_ images: Tensor, layer: Int) throws(USPError) -> Tensor {
        try encoder.attention(images, layer: layer, in: Context(arithmetic))
    }

    /// Class scores of `[B, C, H, W]`: `[B, K]`.
    public func logits(_ images: Tensor) throws(USPError) -> Tensor {
        try logits(images, in: Context(arithmetic))
    }

    /// Class scores of features `[B, D]`: `[B, K]`.
    public func logits(features: Tensor) throws(USPError) -> Tensor {
        try expect(features, [features.shape.rank > 0 ? features.shape[0] : 0, width], "features")
        return try logits(features: features, in: Context(arithmetic))
    }
}
