// Writing zip files of stored entries, each aligned, with zip64 where numbers do not fit.
// Source: PKWARE's APPNOTE 6.3.9.

import USPBase

/// Appends entries to a file; `finish` adds the directory.
struct ZipWriter {
    private struct Record {
        let name: [UInt8]
        let offset: Int
        let size: Int
        let checksum: UInt32
    }

    private let file: AtomicFile
    private var records: [Record] = []
    private static let alignment = 64

    init(_ file: AtomicFile) { self.file = file }

    /// Adds an entry of known size whose bytes `produce` appends.
    mutating func add(
        _ name: String, size: Int, _ produce: (AtomicFile) throws(USPError) -> Void
    ) throws(USPError) {
        let name = Array(name.utf8)
        let offset = file.position
        try file.write(localHeader(name, size, at: offset))
        let start = file.position
        file.checksum = 0
        try produce(file)
        let checksum = file.checksum ?? 0
        file.checksum = nil
        try require(
            file.position - start == size, .internal,
            "\(file.position - start) bytes written, \(size) announced")
        try file.patch(littleEndian(checksum), at: offset + 14)
        records.append(Record(name: name, offset: offset, size: size, checksum: checksum))
    }

    mutating func add(_ name: String, _ bytes: [UInt8]) throws(USPError) {
        try add(name, size: bytes.count) { (file) throws(USPError) in try file.write(bytes) }
    }

    /// An entry's header, lengthened by a padding field so that its content is aligned.
    private func localHeader(_ name: [UInt8], _ size: Int, at offset: Int) -> [UInt8] {
        var extra: [UInt8] = []
        if size >= 0xFFFF_FFFF {
            extra += littleEndian(UInt16(1)) + littleEndian(UInt16(16))
            extra += littleEndian(UInt64(size)) + littleEndian(UInt64(size))
        }
        let end = offset + 30 + name.count + extra.count + 4
        let padding = (ZipWriter.alignment - end % ZipWriter.alignment) % ZipWriter.alignment
        // "FB" is the field that PyTorch's own writer pads with.
        extra += Array("FB".utf8) + littleEndian(UInt16(padding))
        extra += [UInt8](repeating: 0x5A, count: padding)
        let short = UInt32(min(size, 0xFFFF_FFFF))
        return littleEndian(UInt32(0x0403_4B50)) + ZipWriter.common(isLarge: size >= 0xFFFF_FFFF)
            + littleEndian(UInt32(0)) + littleEndian(short) + littleEndian(short)
            + littleEndian(UInt16(name.count)) + littleEndian(UInt16(extra.count)) + name + extra
    }

    /// Version needed, flags (names in UTF-8), method (stored), time and date (1 January 1980).
    private static func common(isLarge: Bool) -> [UInt8] {
        littleEndian(UInt16(isLarge ? 45 : 20)) + littleEndian(UInt16(0x0800))
            + littleEndian(UInt16(0)) + littleEndian(UInt16(0)) + littleEndian(UInt16(0x21))
    }

    private func directoryLine(_ record: Record) -> [UInt8] {
        var extra: [UInt8] = []
        if record.size >= 0xFFFF_FFFF {
            extra += littleEndian(UInt64(record.size)) + littleEndian(UInt64(record.size))
        }
        if record.offset >= 0xFFFF_FFFF { extra += littleEndian(UInt64(record.offset)) }
        if !extra.isEmpty {
            extra = littleEndian(UInt16(1)) + littleEndian(UInt16(extra.count)) + extra
        }
        let short = UInt32(min(record.size, 0xFFFF_FFFF))
        return littleEndian(UInt32(0x0201_4B50)) + littleEndian(UInt16(45))
            + ZipWriter.common(isLarge: !extra.isEmpty)
            + littleEndian(record.checksum) + littleEndian(short) + littleEndian(short)
            + littleEndian(UInt16(record.name.count)) + littleEndian(UInt16(extra.count))
            + [UInt8](repeating: 0, count: 10)
            + littleEndian(UInt32(min(record.offset, 0xFFFF_FFFF))) + record.name + extra
    }

    /// Adds the directory and its end records.
    func finish() throws(USPError) {
        let start = file.position
        for record in records { try file.write(directoryLine(record)) }
        let size = file.position - start
        if start >= 0xFFFF_FFFF || size >= 0xFFFF_FFFF || records.count >= 0xFFFF {
            try file.write(zip64End(start, size))
        }
        let count = UInt16(min(records.count, 0xFFFF))
        try file.write(
            littleEndian(UInt32(0x0605_4B50)) + littleEndian(UInt32(0)) + littleEndian(count)
                + littleEndian(count) + littleEndian(UInt32(min(size, 0xFFFF_FFFF)))
                + littleEndian(UInt32(min(start, 0xFFFF_FFFF))) + littleEndian(UInt16(0)))
    }

    private func zip64End(_ start: Int, _ size: Int) -> [UInt8] {
        let count = UInt64(records.count)
        let end =
            littleEndian(UInt32(0x0606_4B50)) + littleEndian(UInt64(44))
            + littleEndian(UInt16(45)) + littleEndian(UInt16(45)) + littleEndian(UInt64(0))
            + littleEndian(count) + littleEndian(count) + littleEndian(UInt64(size))
            + littleEndian(UInt64(start))
        let locator =
            littleEndian(UInt32(0x0706_4B50)) + littleEndian(UInt32(0))
            + littleEndian(UInt64(start + size)) + littleEndian(UInt32(1))
        return end + locator
    }
}
