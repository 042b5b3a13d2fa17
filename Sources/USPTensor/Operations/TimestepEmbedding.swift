// Timesteps as sines and cosines.

import CKernels
import USPBase

extension Context {
    /// Row b = cos(t_b·fᵢ) for i in 0 ..< width/2, then the sines;
    /// fᵢ = maxPeriod^(−i/(width/2 − shift)) (GLIDE, as DiT and SiT use it). No gradient
    /// flows to `t`.
    ///
    /// - shift: 0; diffusers' DiT uses 1
    /// - Returns: `[t.count, width]`, computed in f32 as the original does
    package func timestepEmbedding(
        _ t: [Float], width: Int, maxPeriod: Float = 10_000, shift: Int = 0
    ) throws(USPError) -> Tensor {
        let y = try Tensor([t.count, width])
        for (row, time) in t.enumerated() {
            uspi_timestep_embedding(time, maxPeriod, width, shift, y.floats + row * width)
        }
        return y
    }
}
