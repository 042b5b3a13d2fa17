// Damage, deterministic from a seed: flipped bits, extreme numbers, cuts, repeats, splices.

import USPBase

struct Mutator {
    private var stream: RandomStream
    private let corpus: [[UInt8]]
    private static let extremes: [UInt64] = [
        0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF,
        0x7FFF_FFFF_FFFF_FFFF, 0x8000_0000_0000_0000, .max, 1 << 40,
    ]

    init(seed: UInt64, corpus: [[UInt8]]) {
        stream = RandomStream(RandomKey(seed: seed))
        self.corpus = corpus
    }

    mutating func mutated(_ bytes: [UInt8]) -> [UInt8] {
        var result = bytes
        for _ in 0...stream.below(4) where !result.isEmpty { mutate(&result) }
        return result
    }

    private mutating func range(_ count: Int) -> Range<Int> {
        let start = stream.below(count)
        return start..<min(count, start + 1 + stream.below(64))
    }

    private mutating func mutate(_ bytes: inout [UInt8]) {
        let at = stream.below(bytes.count)
        switch stream.below(8) {
        case 0: bytes[at] ^= 1 << UInt8(stream.below(8))
        case 1: bytes[at] = UInt8(truncatingIfNeeded: stream.nextWord())
        case 2: overwrite(&bytes, at)
        case 3: bytes.removeLast(bytes.count - at)
        case 4: bytes.removeSubrange(range(bytes.count))
        case 5: bytes.insert(contentsOf: bytes[range(bytes.count)], at: at)
        case 6:
            let other = corpus[stream.below(corpus.count)]
            if !other.isEmpty { bytes.insert(contentsOf: other[range(other.count)], at: at) }
        default: changeDigit(&bytes, at)
        }
    }

    /// An extreme integer of 1, 2, 4 or 8 bytes, in either order.
    private mutating func overwrite(_ bytes: inout [UInt8], _ at: Int) {
        let value = Mutator.extremes[stream.below(Mutator.extremes.count)]
        let width = 1 << stream.below(4)
        let isBig = stream.below(2) == 1
        for i in 0..<width where at + i < bytes.count {
            bytes[at + i] = UInt8(
                truncatingIfNeeded: value >> UInt64(8 * (isBig ? width - 1 - i : i)))
        }
    }

    /// Another digit where text has one, from `at` on.
    private mutating func changeDigit(_ bytes: inout [UInt8], _ at: Int) {
        guard let digit = bytes[at...].firstIndex(where: { $0 >= 0x30 && $0 <= 0x39 }) else {
            return
        }
        bytes[digit] = 0x30 + UInt8(stream.below(10))
        if stream.below(3) == 0 { bytes.insert(contentsOf: Array("999999999".utf8), at: digit) }
    }
}
