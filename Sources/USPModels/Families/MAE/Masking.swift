// Which tokens a masked autoencoder sees, from given noise.

import USPBase

/// The kept tokens of each sample and how all go back to their places (He et al. 2022, 3.).
package struct Masking: Sendable, Equatable {
    package let batch: Int
    /// Tokens of a sample.
    package let tokens: Int
    package let keptPerSample: Int
    /// B·S positions: each sample's kept tokens in ascending order of their noise.
    package let kept: [Int]
    /// B·T: the rank of each token's noise in its sample; ranks below S are kept.
    package let restore: [Int]
    /// B·T: 1 for removed tokens, 0 for kept ones.
    package let mask: [Float]

    /// Keeps ⌊T·(1 − ratio)⌋ tokens of least noise; equal noise keeps its order.
    ///
    /// - noise: B·T values
    /// - Throws: `.argument` for a ratio outside 0 ..< 1, `.shape` for another count of noise
    package init(
        noise: [Float], batch: Int, tokens: Int, ratio: Double
    ) throws(USPError) {
        try require(ratio >= 0 && ratio < 1, .argument, "mask ratio \(ratio), expected 0 ..< 1")
        let count = try CheckedMath.multiply(batch, tokens, "masking noise")
        try require(
            batch >= 0 && tokens >= 0 && noise.count == count, .shape,
            "masking noise: \(noise.count) values, expected \(batch) x \(tokens)")
        try SystemMemory.expect(3 * count, of: Int.self)
        (self.batch, self.tokens) = (batch, tokens)
        keptPerSample = Int(Double(tokens) * (1 - ratio))
        var kept: [Int] = []
        var restore = [Int](repeating: 0, count: count)
        var mask = [Float](repeating: 1, count: count)
        for sample in 0..<batch {
            let start = sample * tokens
            let order = (0..<tokens).sorted {
                let (a, b) = (noise[start + $0], noise[start + $1])
                return a < b || (a == b && $0 < $1)
            }
            for (rank, token) in order.enumerated() {
                restore[start + token] = rank
                if rank < keptPerSample { mask[start + token] = 0 }
            }
            kept += order.prefix(keptPerSample)
        }
        (self.kept, self.restore, self.mask) = (kept, restore, mask)
    }

    /// Uniform noise of `key`, one stream a sample.
    package init(
        key: RandomKey, batch: Int, tokens: Int, ratio: Double
    ) throws(USPError) {
        var noise: [Float] = []
        for sample in 0..<batch {
            var stream = RandomStream(key.stream(sample))
            for _ in 0..<tokens { noise.append(stream.uniform()) }
        }
        try self.init(noise: noise, batch: batch, tokens: tokens, ratio: ratio)
    }
}
