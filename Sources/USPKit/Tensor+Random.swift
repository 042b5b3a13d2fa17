// Noise as tensors.

import USPBase
import USPTensor

extension Tensor {
    /// Standard normal noise. The first axis counts samples, each with a stream of its own: the
    /// first samples of a larger batch are those of a smaller one.
    public static func normal(_ shape: Shape, seed: UInt64) throws(USPError) -> Tensor {
        let result = try Tensor(Shape.checked(shape.extents))
        let samples = shape.rank == 0 ? 1 : shape[0]
        let count = samples == 0 ? 0 : result.count / samples
        let key = RandomKey(seed: seed).stream("noise")
        for sample in 0..<samples {
            var stream = RandomStream(key.stream(sample))
            let values = result.floats + sample * count
            for i in 0..<count { values[i] = stream.normal() }
        }
        return result
    }
}
