// Noise as tensors.

import USPBase
import USPTensor

extension Tensor {
    /// Standard normal noise. The first axis counts samples, each with a stream of its own: the
    /// first samples of a larger batch are those of a smaller one.
    public static func normal(_ shape: Shape, seed: UInt64) throws(USPError) -> Tensor {
        try Tensor.normal(
            Shape.checked(shape.extents), RandomKey(seed: seed).stream("noise"))
    }
}
