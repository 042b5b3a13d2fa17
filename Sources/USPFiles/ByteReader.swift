// Reading numbers one after another from bytes that may end anywhere.

import USPBase

/// A position in a view; every read is checked and an error names the place.
struct ByteReader {
    let view: ByteView
    /// What is being read, for messages: `data.pkl`, `zip directory`.
    let what: String
    private(set) var offset: Int

    init(_ view: ByteView, at offset: Int = 0, _ what: String) {
        self.view = view
        self.offset = offset
        self.what = what
    }

    var remaining: Int { view.count - offset }

    /// The next `length` bytes.
    mutating func bytes(_ length: Int) throws(USPError) -> ByteView {
        let part = try view.part(offset, length, what)
        offset += length
        return part
    }

    mutating func byte() throws(USPError) -> UInt8 {
        guard offset >= 0, offset < view.count else {
            throw USPError(.format, "\(what): ends at byte \(offset)")
        }
        defer { offset += 1 }
        return view.bytes[offset]
    }

    /// The next fixed-width integer, little-endian.
    mutating func integer<Number: FixedWidthInteger>(_: Number.Type) throws(USPError) -> Number {
        let part = try bytes(MemoryLayout<Number>.size)
        return Number(littleEndian: part.bytes.loadUnaligned(as: Number.self))
    }

    /// The next length or offset, which has to fit in 64 bits with a sign.
    mutating func size<Number: FixedWidthInteger>(_: Number.Type) throws(USPError) -> Int {
        let value = try integer(Number.self)
        guard let result = Int(exactly: value), result >= 0 else {
            throw USPError(.format, "\(what): impossible size \(value) before byte \(offset)")
        }
        return result
    }

    /// The bytes up to the next line feed, which is skipped.
    mutating func line() throws(USPError) -> String {
        let start = offset
        while try byte() != 0x0A {}
        return try view.part(start, offset - 1 - start, what).text
    }

    mutating func skip(_ length: Int) throws(USPError) { _ = try bytes(length) }
}
