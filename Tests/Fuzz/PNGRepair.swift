// Damaged PNG files with their checksums made right again, so that damage gets past the first
// check.

enum PNGRepair {
    static func repaired(_ bytes: [UInt8]) -> [UInt8] {
        var result = bytes
        var at = 8
        while at + 12 <= result.count {
            let length = result[at..<at + 4].reduce(0) { $0 << 8 | Int($1) }
            let end = at + 8 + length
            guard end + 4 <= result.count else { break }
            let checksum = checksum(result[at + 4..<end])
            for i in 0..<4 {
                result[end + i] = UInt8(truncatingIfNeeded: checksum >> UInt32(24 - 8 * i))
            }
            at = end + 4
        }
        return result
    }

    /// CRC-32, bit by bit.
    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        var register = UInt32.max
        for byte in bytes {
            register ^= UInt32(byte)
            for _ in 0..<8 { register = register >> 1 ^ (register & 1 == 1 ? 0xEDB8_8320 : 0) }
        }
        return ~register
    }
}
