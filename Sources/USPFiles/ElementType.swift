// Types of elements as files have them, and as what they are read.

import CFiles
import USPBase

/// The type of an array's elements: in the file, and as they are read.
struct ElementType: Sendable, Equatable {
    /// As they are read.
    let dtype: DType
    /// As they are stored, where that is a type of 8 bits that no tensor of ours has.
    let float8: Float8?

    init(_ dtype: DType) { (self.dtype, float8) = (dtype, nil) }

    init(_ float8: Float8) { (dtype, self.float8) = (.float16, float8) }

    /// Bytes of an element in the file.
    var storedSize: Int { float8 == nil ? dtype.size : 1 }
}

/// Floating types of 8 bits, by the names that safetensors gives them. Half precision holds each of
/// their values exactly. Source: Micikevicius et al., "FP8 Formats for Deep Learning" (2022); the
/// types without a negative zero and with one NaN ("fnuz") as PyTorch documents them.
enum Float8: String, CaseIterable, Sendable {
    /// PyTorch's float8_e4m3fn: finite up to 448, no infinity.
    case e4m3 = "F8_E4M3"
    case e5m2 = "F8_E5M2"
    case e4m3fnuz = "F8_E4M3FNUZ"
    case e5m2fnuz = "F8_E5M2FNUZ"

    /// PyTorch's name, without `torch.`.
    var torchName: String {
        switch self {
        case .e4m3: "float8_e4m3fn"
        case .e5m2: "float8_e5m2"
        case .e4m3fnuz: "float8_e4m3fnuz"
        case .e5m2fnuz: "float8_e5m2fnuz"
        }
    }

    /// The words of half precision that the 256 bytes stand for.
    private static let halves: [[UInt16]] = allCases.map { type in
        (0...255).map { type.half(UInt8($0)) }
    }

    private func half(_ byte: UInt8) -> UInt16 {
        let sign = UInt16(byte & 0x80) << 8
        let isZeroless = self == .e4m3fnuz || self == .e5m2fnuz
        if isZeroless && byte == 0x80 || self == .e4m3 && byte & 0x7F == 0x7F {
            return sign | 0x7E00
        }
        // IEEE's own layout, cut short.
        if self == .e5m2 { return UInt16(byte) << 8 }
        let bits = self == .e5m2fnuz ? 2 : 3
        let bias = self == .e4m3 ? 7 : self == .e4m3fnuz ? 8 : 16
        let exponent = Int(byte & 0x7F) >> bits
        let fraction = Int(byte) & (1 << bits - 1)
        let significand = exponent == 0 ? fraction : fraction + 1 << bits
        return sign | Float8.half(significand, times: max(exponent, 1) - bias - bits)
    }

    /// significand · 2^power, which half precision holds.
    private static func half(_ significand: Int, times power: Int) -> UInt16 {
        guard significand > 0 else { return 0 }
        let highest = Int.bitWidth - 1 - significand.leadingZeroBitCount
        let exponent = power + highest
        // Subnormal: multiples of 2^-24.
        guard exponent >= -14 else { return UInt16(significand << (power + 24)) }
        return UInt16(exponent + 15) << 10 | UInt16(significand << (10 - highest) & 0x3FF)
    }

    /// Writes one half for each byte.
    func widen(_ bytes: ByteView, into target: UnsafeMutableRawBufferPointer) {
        guard bytes.count > 0, let index = Float8.allCases.firstIndex(of: self) else { return }
        // SAFETY: the target has two bytes for each of `bytes`; both are only used in the call.
        Float8.halves[index].withUnsafeBufferPointer { table in
            uspi_widen_bytes(
                bytes.base.assumingMemoryBound(to: UInt8.self), bytes.count, table.baseAddress,
                target.baseAddress?.assumingMemoryBound(to: UInt16.self))
        }
        withExtendedLifetime(bytes.owner) {}
    }
}
