// Noise as tensors.

import USPBase

extension Tensor {
    /// Standard normal noise. The first axis counts samples, each with a stream of its own: the
    /// first samples of a larger batch are those of a smaller one.
    ///
    /// - firstSample: number of the batch's first sample
    public static func normal(
        _ shape: Shape, seed: UInt64, firstSample: Int = 0
    ) throws(USPError) -> Tensor {
        try Tensor.normal(
            Shape.checked(shape.extents), RandomKey(seed: seed).stream("noise"),
            firstSample: firstSample)
    }
}

extension Tensor {
    /// The numbers that `torch.randn` gives after `torch.manual_seed(seed)`.
    ///
    /// - device: `cpu` or `cuda`
    public static func torchNormal(
        _ shape: Shape, seed: UInt64, device: String = "cpu"
    ) throws(USPError) -> Tensor {
        let result = try Tensor(Shape.checked(shape.extents))
        let values = UnsafeMutableBufferPointer(start: result.floats, count: result.count)
        switch device {
        case "cpu":
            var generator = TorchRandom(seed: seed)
            generator.fillNormal(values)
        case "cuda":
            var generator = TorchRandomCUDA(seed: seed)
            generator.fillNormal(values)
        default: throw unknownName(device, what: "device", known: ["cpu", "cuda"])
        }
        return result
    }
}
