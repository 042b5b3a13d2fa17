// Images as bytes.

import USPBase
import USPTensor

extension Tensor {
    /// Pixels `[B, H, W, C]` of images `[B, C, H, W]` in −1 … 1 by DiT's and SiT's rule:
    /// 127.5·x + 128 limited to 0 … 255, then truncated.
    ///
    /// - Throws: `.shape`; `.argument` for a value that is not a number.
    /// - Source: `sample_ddp.py`: `clamp(127.5 * x + 128, 0, 255)`, then to uint8.
    public func pixels() throws(USPError) -> [UInt8] {
        try require(
            shape.rank == 4 && dtype == .float32, .shape,
            "images: \(dtype.name) \(shape), expected f32 [B, C, H, W]")
        let (batch, channels) = (shape[0], shape[1])
        let plane = shape[2] * shape[3]
        try SystemMemory.expect(count, of: UInt8.self)
        var result = [UInt8](repeating: 0, count: count)
        for index in 0..<batch {
            for channel in 0..<channels {
                let values = floats + (index * channels + channel) * plane
                for pixel in 0..<plane {
                    let value = 127.5 * values[pixel] + 128
                    try require(
                        !value.isNaN, .argument, "image \(index): a pixel is not a number")
                    result[(index * plane + pixel) * channels + channel] =
                        UInt8(min(max(value, 0), 255))
                }
            }
        }
        return result
    }
}
