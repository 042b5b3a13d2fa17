// Which tokens a masked autoencoder sees, from given noise.

import USPBase
import USPTensor

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

    /// Keeps the tokens whose mask is 0, in the order of their places.
    ///
    /// - mask: `[B, T]` of 0 and 1, as many 1 in each row
    /// - Throws: `.shape`, `.argument` naming the row that is none
    package init(mask: Tensor) throws(USPError) {
        try require(
            mask.shape.rank == 2 && mask.dtype == .float32 && mask.count > 0, .shape,
            "mask: shape \(mask.shape), expected [B, T]")
        (batch, tokens, self.mask) = (mask.shape[0], mask.shape[1], mask.values)
        var kept: [Int] = []
        var restore = [Int](repeating: 0, count: mask.count)
        var first = 0
        for sample in 0..<batch {
            let (row, start) = (sample * tokens, kept.count)
            for token in 0..<tokens where self.mask[row + token] != 1 {
                try require(
                    self.mask[row + token] == 0, .argument,
                    "mask: \(self.mask[row + token]) of sample \(sample), token \(token), "
                        + "expected 0 (visible) or 1 (hidden)")
                restore[row + token] = kept.count - start
                kept.append(token)
            }
            let visible = kept.count - start
            if sample == 0 { first = visible }
            try require(
                visible == first, .argument,
                "mask: sample \(sample) hides \(tokens - visible) tokens, sample 0 "
                    + "\(tokens - first); expected equally many in every row")
            var next = visible
            for token in 0..<tokens where self.mask[row + token] == 1 {
                restore[row + token] = next
                next += 1
            }
        }
        (self.kept, self.restore, keptPerSample) = (kept, restore, first)
    }

    /// The tokens that are hidden, in the order of their places.
    package var hidden: TokenChoice {
        TokenChoice(
            positions: mask.indices.filter { mask[$0] == 1 }.map { $0 % max(tokens, 1) },
            perSample: tokens - keptPerSample)
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
