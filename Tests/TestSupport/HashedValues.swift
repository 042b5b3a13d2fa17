// Numbers that a name and an index give, the same here and in Tests/Golden/make_inception.py: in
// place of parameters that would make a golden file too large.

import USPBase
import USPTensor

/// `count` numbers in −1 ..< 1.
package func hashedValues(_ name: String, _ count: Int) -> [Float] {
    let seed = checksum(name)
    return (0..<count).map { index in
        var value = UInt32(truncatingIfNeeded: index) &+ seed
        for factor: UInt32 in [0x85EB_CA6B, 0xC2B2_AE35] {
            value ^= value >> 16
            value &*= factor
        }
        value ^= value >> 16
        return Float(value >> 8) * 0x1p-23 - 1
    }
}

/// CRC-32, as zlib's.
private func checksum(_ text: String) -> UInt32 {
    var value = UInt32.max
    for byte in text.utf8 {
        value ^= UInt32(byte)
        for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
    }
    return ~value
}

/// A parameter of a convolutional network, by its name and shape.
package func hashedParameter(_ name: String, _ shape: Shape) throws -> Tensor {
    let (scale, mean): (Float, Float) =
        if shape.rank == 4 {
            (Float((6 / Double(shape.count / shape[0])).squareRoot()), 0)
        } else if shape.rank == 2 {
            (0.0625, 0)
        } else if name.hasSuffix("bn.weight") || name.hasSuffix("running_var") {
            (0.5, 1)
        } else {
            (0.25, 0)
        }
    return try Tensor(shape, hashedValues(name, shape.count).map { $0 * scale + mean })
}
