// Latents that keep the geometry of a frozen teacher's features: VA-VAE (Yao et al. 2025), eq. 5 and 6.

import USPBase
import USPModels
import USPTensor

/// How far projected latents are from features, and the slope of that.
struct LatentAlignment {
    let value: Float
    /// Of the projected latents, `[B, T, Z]`.
    let slope: Tensor

    /// mean over all pairs of relu(|cos(p_i, p_j) − cos(f_i, f_j)| − distance margin), plus the mean of
    /// relu(1 − cosine margin − cos(p_i, f_i)).
    ///
    /// - projected, features: `[B, T, Z]` f32
    init(
        _ projected: Tensor, _ features: Tensor, distanceMargin: Float, cosineMargin: Float
    ) throws(USPError) {
        try expect(features, projected.shape, "features")
        let shape = projected.shape
        let (batch, tokens, width) = (shape[0], shape[1], shape[2])
        let context = Context()
        slope = try Tensor(shape)
        var (apart, turned) = (0.0, 0.0)
        let pair = 1 / Float(batch * tokens * tokens)
        let single = 1 / Float(batch * tokens)
        for sample in 0..<batch {
            func unit(_ all: Tensor) throws(USPError) -> (rows: Tensor, lengths: [Float]) {
                let source = all.floats + sample * tokens * width
                let rows = try Tensor([tokens, width])
                var lengths: [Float] = []
                for token in 0..<tokens {
                    let (from, to) = (source + token * width, rows.floats + token * width)
                    var sum = 0.0
                    for i in 0..<width { sum += Double(from[i]) * Double(from[i]) }
                    let length = max(Float(sum.squareRoot()), 1e-12)
                    for i in 0..<width { to[i] = from[i] / length }
                    lengths.append(length)
                }
                return (rows, lengths)
            }
            let (own, lengths) = try unit(projected)
            let teachers = try unit(features).rows
            let difference = try context.linear(own, own, nil)
            let wanted = try context.linear(teachers, teachers, nil)
            // The slope along the cosines, which are symmetric: each pair counts twice.
            for i in 0..<tokens * tokens {
                let gap = difference.floats[i] - wanted.floats[i]
                let excess = abs(gap) - distanceMargin
                if excess > 0 { apart += Double(excess) }
                difference.floats[i] = excess > 0 ? (gap > 0 ? 2 * pair : -2 * pair) : 0
            }
            let columns = try Tensor([width, tokens])
            for token in 0..<tokens {
                for i in 0..<width {
                    columns.floats[i * tokens + token] = own.floats[token * width + i]
                }
            }
            let unitSlope = try context.linear(difference, columns, nil)
            for token in 0..<tokens {
                let (p, f) = (own.floats + token * width, teachers.floats + token * width)
                let g = unitSlope.floats + token * width
                var cosine: Float = 0
                for i in 0..<width { cosine += p[i] * f[i] }
                let excess = 1 - cosineMargin - cosine
                if excess > 0 {
                    turned += Double(excess)
                    for i in 0..<width { g[i] -= single * f[i] }
                }
                // Through the length of the latent.
                var along: Float = 0
                for i in 0..<width { along += p[i] * g[i] }
                let target = slope.floats + (sample * tokens + token) * width
                for i in 0..<width { target[i] = (g[i] - along * p[i]) / lengths[token] }
            }
        }
        value = Float(apart * Double(pair) + turned * Double(single))
    }
}
