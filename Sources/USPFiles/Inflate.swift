// zlib's deflate, both ways, with bounds on what a stream may grow to.

import CFiles
import USPBase

enum Inflate {
    /// Deflate cannot shrink by more than this factor: no stream holds more than `factor` times
    /// its size (zlib's technical notes: 1032).
    static let factor = 1032

    /// Throws unless `compressed` bytes can hold `size` bytes: refuses bombs before allocating.
    static func expectPlausible(
        _ size: Int, from compressed: Int, _ what: String
    ) throws(USPError) {
        guard size / factor <= compressed else {
            throw USPError(
                .format, "\(what): \(compressed) compressed bytes cannot hold the claimed \(size)")
        }
    }

    /// Inflates a raw deflate stream, as in zip files; the bytes after `skip` go into `target`.
    ///
    /// - Returns: the CRC-32 of all of them
    static func raw(
        _ view: ByteView, skip: Int = 0, into target: UnsafeMutableRawBufferPointer, _ what: String
    ) throws(USPError) -> UInt32 {
        let stream = try InflateStream(view, windowBits: -15, what)
        let skipped = try stream.skip(skip)
        try stream.fill(target)
        return checksum(UnsafeRawBufferPointer(target), from: skipped)
    }

    /// Inflates a zlib stream (as in PNG) or a gzip file, of known size.
    ///
    /// - toItsEnd: whether it has to end there, with the right checksum
    static func zlib(
        _ view: ByteView, into target: UnsafeMutableRawBufferPointer, _ what: String,
        toItsEnd: Bool = false
    ) throws(USPError) {
        let stream = try InflateStream(view, windowBits: 15 + 32, what)
        try stream.fill(target)
        if toItsEnd { try stream.expectEnd() }
    }

    /// The first `length` bytes of a stream.
    static func head(
        _ view: ByteView, _ length: Int, windowBits: Int32, _ what: String
    ) throws(USPError) -> ByteView {
        try expectPlausible(length, from: view.count, what)
        let buffer = try ByteBuffer(count: length)
        let stream = try InflateStream(view, windowBits: windowBits, what)
        try stream.fill(buffer.bytes)
        return buffer.view
    }

    /// Compresses in zlib's format.
    ///
    /// - level: 1 (fast) ... 9 (small)
    static func compress(_ bytes: UnsafeRawBufferPointer, level: Int32) throws(USPError) -> [UInt8]
    {
        var size = compressBound(uLong(bytes.count))
        try SystemMemory.expect(Int(size), of: UInt8.self)
        var result = [UInt8](repeating: 0, count: Int(size))
        let source = bytes.bindMemory(to: UInt8.self).baseAddress
        let status = result.withUnsafeMutableBufferPointer {
            compress2($0.baseAddress, &size, source, uLong(bytes.count), level)
        }
        try require(status == Z_OK, .memory, "zlib cannot compress \(bytes.count) bytes")
        result.removeLast(result.count - Int(size))
        return result
    }

    /// CRC-32 of the bytes, continuing `start`.
    static func checksum(_ bytes: UnsafeRawBufferPointer, from start: UInt32 = 0) -> UInt32 {
        uspi_crc32(start, bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count)
    }
}

/// An inflating stream over a view.
private final class InflateStream {
    /// On the heap, as zlib keeps a pointer to it.
    private let stream: UnsafeMutablePointer<z_stream>
    private let view: ByteView
    private let what: String
    private var consumed = 0
    private var isAtEnd = false

    init(_ view: ByteView, windowBits: Int32, _ what: String) throws(USPError) {
        self.view = view
        self.what = what
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        let status = inflateInit2_(
            stream, windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        try require(status == Z_OK, .memory, "\(what): zlib cannot start")
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
    }

    /// Inflates so many bytes, and returns their CRC-32 alone.
    func skip(_ count: Int) throws(USPError) -> UInt32 {
        var checksum: UInt32 = 0
        guard count > 0 else { return checksum }
        let scratch = try ByteBuffer(count: min(count, 1 << 16))
        defer { withExtendedLifetime(scratch) {} }
        var left = count
        while left > 0 {
            let step = min(left, scratch.count)
            let piece = UnsafeMutableRawBufferPointer(rebasing: scratch.bytes[..<step])
            try fill(piece)
            checksum = Inflate.checksum(UnsafeRawBufferPointer(piece), from: checksum)
            left -= step
        }
        return checksum
    }

    /// Throws unless the stream ends here, with the checksum of what it gave.
    func expectEnd() throws(USPError) {
        if isAtEnd { return }
        var beyond: UInt8 = 0
        let next = view.bytes.bindMemory(to: UInt8.self).baseAddress.map { $0 + consumed }
        stream.pointee.next_in = UnsafeMutablePointer(mutating: next)
        stream.pointee.avail_in = uInt(min(view.count - consumed, 1 << 30))
        let status = withUnsafeMutablePointer(to: &beyond) { target in
            stream.pointee.next_out = target
            stream.pointee.avail_out = 1
            return inflate(stream, Z_NO_FLUSH)
        }
        try require(
            status == Z_STREAM_END && stream.pointee.avail_out == 1, .format,
            "\(what): compressed data is damaged (its checksum or its length differs)")
    }

    /// Inflates exactly as many bytes as `target` has.
    func fill(_ target: UnsafeMutableRawBufferPointer) throws(USPError) {
        guard let base = target.bindMemory(to: UInt8.self).baseAddress else { return }
        var done = 0
        while done < target.count {
            let input = min(view.count - consumed, 1 << 30)
            let output = min(target.count - done, 1 << 30)
            let next = view.bytes.bindMemory(to: UInt8.self).baseAddress.map { $0 + consumed }
            stream.pointee.next_in = UnsafeMutablePointer(mutating: next)
            stream.pointee.avail_in = uInt(input)
            stream.pointee.next_out = base + done
            stream.pointee.avail_out = uInt(output)
            let status = inflate(stream, Z_NO_FLUSH)
            let used = input - Int(stream.pointee.avail_in)
            let produced = output - Int(stream.pointee.avail_out)
            consumed += used
            done += produced
            isAtEnd = status == Z_STREAM_END
            let goesOn = status == Z_OK || (status == Z_STREAM_END && done == target.count)
            guard goesOn, produced > 0 || used > 0 else {
                throw USPError(
                    .format,
                    "\(what): compressed data is damaged or ends early (byte \(consumed) of "
                        + "\(view.count), \(done) of \(target.count) bytes out)")
            }
        }
    }
}
