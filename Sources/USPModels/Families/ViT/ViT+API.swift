// What people ask of a classifier.

import USPBase
import USPTensor

extension ViT {
    public func inputShape(batch: Int) -> Shape { configuration.imageShape(batch) }
    /// Width of a feature, D.
    public var width: Int { configuration.width }
    /// Classes of the head; 0 without one.
    public var classes: Int { configuration.classes }

    /// Pooled and normed features of `[B, C, H, W]`: `[B, D]`.
    public func features(_ images: Tensor) throws(USPError) -> Tensor {
        try features(images, in: Context(arithmetic))
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
