// Bytes that somebody keeps alive: part of a mapped file, or a block of memory of our own.

import USPBase

/// Read-only bytes together with the object that keeps them alive.
package struct ByteView: @unchecked Sendable {
    // SAFETY of @unchecked: the bytes never change, and `owner` keeps them for as long as any view.
    package let base: UnsafeRawPointer
    package let count: Int
    /// The `MappedFile` or `ByteBuffer` that the bytes are part of.
    package let owner: AnyObject

    /// Views `count` bytes that `owner` keeps alive and unchanged.
    package init(base: UnsafeRawPointer, count: Int, owner: AnyObject) {
        self.base = base
        self.count = count
        self.owner = owner
    }

    /// Valid as long as the view itself: never of a temporary view.
    package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    /// A copy of the bytes.
    package var array: [UInt8] { withExtendedLifetime(owner) { Array(bytes) } }

    /// `length` bytes from `offset` on.
    ///
    /// - Throws: `.format` naming `what` if the view has not that many.
    package func part(_ offset: Int, _ length: Int, _ what: String) throws(USPError) -> ByteView {
        guard offset >= 0, length >= 0, offset <= count, length <= count - offset else {
            throw USPError(
                .format,
                "\(what): ends at byte \(count), expected \(length) bytes from byte \(offset) on")
        }
        return ByteView(base: base + offset, count: length, owner: owner)
    }

    /// Whether the first bytes are these.
    package func starts(with prefix: [UInt8], at offset: Int = 0) -> Bool {
        guard offset <= count, prefix.count <= count - offset else { return false }
        return zip(prefix.indices, prefix).allSatisfy { bytes[offset + $0] == $1 }
    }

    package func isAligned(to alignment: Int) -> Bool {
        UInt(bitPattern: base) % UInt(alignment) == 0
    }

    /// CRC-32 of bytes, going on from that of others.
    package static func checksum(_ bytes: UnsafeRawBufferPointer, from start: UInt32 = 0) -> UInt32
    {
        Inflate.checksum(bytes, from: start)
    }

    /// The bytes as text; what is not UTF-8 becomes U+FFFD, of three bytes.
    package var text: String {
        get throws(USPError) {
            try SystemMemory.expect(3 * count, of: UInt8.self)
            return withExtendedLifetime(owner) { String(decoding: bytes, as: UTF8.self) }
        }
    }
}

/// A block of memory that is filled once and then only read.
package final class ByteBuffer: @unchecked Sendable {
    // SAFETY of @unchecked: written by its creator before anybody else sees it.
    package let base: UnsafeMutableRawPointer
    package let count: Int

    /// Undefined content.
    ///
    /// - Throws: `.memory`
    package init(count: Int) throws(USPError) {
        base = try SystemMemory.allocate(count)
        self.count = count
    }

    package convenience init(_ values: some Collection<UInt8>) throws(USPError) {
        try self.init(count: values.count)
        bytes.copyBytes(from: values)
    }

    deinit { SystemMemory.free(base) }

    package var bytes: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: base, count: count)
    }

    package var view: ByteView { ByteView(base: base, count: count, owner: self) }
}

/// `Array.withUnsafeBytes` with the library's error type.
func withRawBytes<Result>(
    of values: [UInt8], _ body: (UnsafeRawBufferPointer) throws(USPError) -> Result
) throws(USPError) -> Result {
    let outcome = values.withUnsafeBytes { raw -> Swift.Result<Result, USPError> in
        do throws(USPError) {
            return .success(try body(raw))
        } catch {
            return .failure(error)
        }
    }
    return try outcome.get()
}
