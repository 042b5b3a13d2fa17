// Inception's features of a set of images, gathered batch by batch: what its scores are made of.

import USPBase
import USPTensor

package struct ImageFeatures {
    package let count: Int
    /// `[N, D]`, of the Fréchet distance, precision and recall; complete once all batches are in.
    package let pool: Tensor
    /// `[N, K]`, of the inception score.
    package let logits: Tensor
    /// Of the spatial distance, which needs no more than their statistics.
    private var spatial: FeatureAccumulator
    package private(set) var added = 0

    /// - count: N
    /// - Throws: `.argument` for widths that are none; `.memory`
    package init(count: Int, pool: Int, spatial: Int, logits: Int) throws(USPError) {
        self.count = count
        self.pool = try Tensor([count, pool])
        self.logits = try Tensor([count, logits])
        self.spatial = try FeatureAccumulator(width: spatial)
    }

    /// The next batch: `[B, D]`, `[B, S]` and `[B, K]`.
    ///
    /// - Throws: `.shape`; `.argument` if a value is not finite
    package mutating func add(
        pool: Tensor, spatial: Tensor, logits: Tensor
    ) throws(USPError) {
        let rows = added..<added + pool.shape[0]
        try require(
            rows.upperBound <= count && spatial.shape[0] == rows.count, .shape,
            "image features: \(rows.count) and \(spatial.shape[0]) rows after \(added) of \(count)")
        try self.pool.detachedRows(rows).copy(from: pool)
        try self.logits.detachedRows(rows).copy(from: logits)
        try self.spatial.add(spatial)
        added = rows.upperBound
    }

    /// - Throws: `.argument` for fewer than two images
    package func spatialStatistics() throws(USPError) -> FeatureStatistics {
        try spatial.statistics()
    }
}
