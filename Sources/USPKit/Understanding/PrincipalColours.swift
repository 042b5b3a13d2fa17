// Tokens as colours, as people look at DINOv2.

import USPBase
import USPEvaluation
import USPTensor

/// The first three principal components of tokens as red, green and blue.
public enum PrincipalColours {
    /// - tokens: `[N, T, D]` f32; their components are those of all together
    /// - Returns: `[N, T, 3]` u8: each component from its 1st to its 99th percentile as 0 ... 255. Its
    ///   direction is that in which its largest weight is positive
    /// - Throws: `.shape`; `.argument` for a single token, and for values that are not finite
    public static func of(_ tokens: Tensor) throws(USPError) -> Tensor {
        try require(
            tokens.shape.rank == 3 && tokens.count > 0 && tokens.dtype == .float32, .shape,
            "tokens: \(tokens.dtype.name) \(tokens.shape), expected f32 [N, T, D]")
        let (count, width) = (tokens.shape[0] * tokens.shape[1], tokens.shape[2])
        try require(count > 1, .argument, "tokens: one only, which has no components")
        let rows = try tokens.reshaped([count, width])
        var gathered = try FeatureAccumulator(width: width)
        try gathered.add(rows)
        let statistics = try gathered.statistics()
        let vectors = try SymmetricEigen.of(statistics.covariance, width, vectors: true).vectors
        let result = try Tensor([tokens.shape[0], tokens.shape[1], 3], .uint8)
        let bytes = result.raw.assumingMemoryBound(to: UInt8.self)
        for channel in 0..<3 {
            guard channel < width else {
                for row in 0..<count { bytes[3 * row + channel] = 128 }
                continue
            }
            // In ascending order: the last is the first component.
            var direction = Array(
                vectors[(width - 1 - channel) * width..<(width - channel) * width])
            let largest = direction.max { abs($0) < abs($1) } ?? 1
            if largest < 0 { direction = direction.map { -$0 } }
            let values = (0..<count).map { row in
                (0..<width).reduce(0.0) { sum, index in
                    sum + direction[index]
                        * (Double(rows.floats[row * width + index]) - statistics.mean[index])
                }
            }
            let sorted = values.sorted()
            let (low, high) = (sorted[count / 100], sorted[count - 1 - count / 100])
            for (row, value) in values.enumerated() {
                let share = (value - low) / max(high - low, 1e-12)
                bytes[3 * row + channel] = UInt8((255 * min(max(share, 0), 1)).rounded())
            }
        }
        return result
    }
}
