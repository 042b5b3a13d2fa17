// Timesteps as sines and cosines.

import CKernels
import USPBase

extension Context {
    /// Row b = cos(t_b·fᵢ) for i in 0 ..< width/2, then the sines; fᵢ = maxPeriod^(−i/(width/2))
    /// (GLIDE, as DiT and SiT use it). No gradient flows to `t`.
    ///
    /// - Returns: `[t.count, width]`, computed in f32 as the original does
    package func timestepEmbedding(
        _ t: [Float], width: Int, maxPeriod: Float = 10_000
    ) throws(USPError) -> Tensor {
        let y = try Tensor([t.count, width])
        for (row, time) in t.enumerated() {
            uspi_timestep_embedding(time, maxPeriod, width, y.floats + row * width)
        }
        return y
    }
}
