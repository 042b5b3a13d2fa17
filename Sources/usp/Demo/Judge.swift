// The small classifier in whose features the demo measures Frechet distances.

import USPBase
import USPKit
import USPTensor

/// A vision transformer on `[B, 1, 32, 32]` images.
struct Judge {
    /// Width of its features.
    static let width = 64
    let model: ViT

    static func fresh(seed: UInt64) throws(USPError) -> ViT {
        var sizes = ViT.Configuration()
        sizes.transformer = TransformerSizes(
            grid: Grid(8, 8), channels: 1, patch: 4, width: width, depth: 3, heads: 4)
        (sizes.pool, sizes.classes) = (.avg, 10)
        return try ViT(sizes, seed: seed)
    }

    /// Features of all images, `[N, 64]`.
    func features(of images: ImageSet) throws(USPError) -> Tensor {
        let result = try Tensor([images.count, Judge.width])
        try inBatches(images.count, 500) { range throws(USPError) in
            try result.detachedRows(range).copy(from: model.features(images.batch(range).images))
        }
        return result
    }
}
