// A short number for much data, to tell whether two are the same (not against forgery).

/// FNV-1a (Fowler, Noll, Vo) of 64 bits over words of 32, and of bytes for texts.
package struct Fingerprint: Sendable {
    private var hash: UInt64 = 0xCBF2_9CE4_8422_2325

    package init() {}

    private mutating func add(word: UInt64) { hash = (hash ^ word) &* 0x0000_0100_0000_01B3 }

    package mutating func add(_ text: String) {
        for byte in text.utf8 { add(word: UInt64(byte)) }
        add(word: 0xFF)
    }

    package mutating func add(_ number: Int) { add(word: UInt64(bitPattern: Int64(number))) }

    package mutating func add(_ values: UnsafeBufferPointer<Float>) {
        for value in values { add(word: UInt64(value.bitPattern)) }
    }

    /// Eight hexadecimal digits.
    package var text: String {
        let digits = String(UInt32(truncatingIfNeeded: mix(hash)), radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
}
