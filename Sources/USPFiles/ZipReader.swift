// The directory of a zip file, zip64 included; contents stay where they are.
// Source: PKWARE's APPNOTE 6.3.9, sections 4.3 and 4.5.3.

import USPBase

/// One file inside a zip file.
struct ZipEntry: Sendable {
    let name: String
    /// As stored: compressed if `isDeflated`.
    let stored: ByteView
    let size: Int
    let isDeflated: Bool
    /// CRC-32 of the content; nil if the writer computed none.
    let checksum: UInt32?
    /// Over a content that is not deflated.
    let seal: Seal?

    init(_ record: ZipRecord, _ stored: ByteView, hasChecksum: Bool) {
        name = record.name
        self.stored = stored
        size = record.size
        isDeflated = record.method == 8
        checksum = hasChecksum ? record.checksum : nil
        seal = isDeflated ? nil : checksum.map { Seal(stored, $0, record.name) }
    }

    /// The content: the zip file's own bytes if stored, else inflated.
    ///
    /// - Throws: `.format` if the stream is damaged or its checksum differs, `.memory`
    func content() throws(USPError) -> ByteView {
        guard isDeflated else {
            try seal?.verify()
            return stored
        }
        let buffer = try ByteBuffer(count: size)
        try inflate(into: buffer.bytes)
        return buffer.view
    }

    /// Inflates all but the first bytes into `target`.
    ///
    /// - target: of as many bytes as are left after `skip`
    /// - Throws: as `content`
    func inflate(
        skip: Int = 0, into target: UnsafeMutableRawBufferPointer
    ) throws(USPError) {
        let found = try Inflate.raw(stored, skip: skip, into: target, name)
        try stored.expectUnchanged()
        try require(checksum == nil || found == checksum, .format, Seal.damage(name))
    }
}

struct ZipReader {
    let entries: [ZipEntry]
    let byteCount: Int

    init(_ file: ByteView) throws(USPError) {
        let directory = try ZipDirectory(file)
        byteCount = file.count
        var records: [(ZipRecord, ByteView)] = []
        var names: Set<String> = []
        var spans: [(start: Int, end: Int, name: String)] = []
        var reader = ByteReader(
            try file.part(directory.start, directory.size, "zip directory"), "zip directory")
        for _ in 0..<directory.count {
            let record = try ZipRecord(&reader)
            guard !record.name.hasSuffix("/") else { continue }
            try require(
                names.insert(record.name).inserted, .format,
                "zip: two files are called \(record.name)")
            let stored = try record.locate(file, before: directory.start)
            spans.append((record.offset, stored.base - file.base + stored.count, record.name))
            records.append((record, stored))
        }
        try ZipReader.expectDisjoint(spans)
        // PyTorch writes zeros where it was told to compute no checksums.
        let isTorch = records.contains { record, _ in
            record.name == "data.pkl" || record.name.hasSuffix("/data.pkl")
        }
        entries = records.map { record, stored in
            ZipEntry(record, stored, hasChecksum: !isTorch || record.checksum != 0)
        }
    }

    private static func expectDisjoint(
        _ spans: [(start: Int, end: Int, name: String)]
    ) throws(USPError) {
        var end = 0
        for span in spans.sorted(by: { $0.start < $1.start }) {
            try require(
                span.start >= end, .format, "zip: \(span.name) overlaps the file before it")
            end = span.end
        }
    }

    subscript(name: String) -> ZipEntry? { entries.first { $0.name == name } }
}

/// Where the directory is: from the records at the end of the file.
private struct ZipDirectory {
    var count: Int
    var size: Int
    var start: Int

    init(_ file: ByteView) throws(USPError) {
        let end = try ZipDirectory.endRecord(file)
        var reader = ByteReader(file, at: end + 4, "zip end record")
        try require(
            try reader.integer(UInt32.self) == 0, .unsupported, "zip: in several volumes")
        try reader.skip(2)
        count = try reader.size(UInt16.self)
        size = try reader.size(UInt32.self)
        start = try reader.size(UInt32.self)
        if end >= 20, file.starts(with: [0x50, 0x4B, 6, 7], at: end - 20) {
            try readZip64(file, locator: end - 20)
        }
        try require(
            start <= end && size <= end - start, .format,
            "zip: directory of \(size) bytes at \(start), its end record at \(end)")
        try require(
            count <= size / 46, .format, "zip: \(count) files in a directory of \(size) bytes")
    }

    /// The last end record; up to 65535 bytes of comment may follow it.
    private static func endRecord(_ file: ByteView) throws(USPError) -> Int {
        let first = max(0, file.count - 22 - 65535)
        var at = file.count - 22
        while at >= first {
            if file.starts(with: [0x50, 0x4B, 5, 6], at: at) { return at }
            at -= 1
        }
        throw USPError(.format, "zip: no end record in \(file.count) bytes; the file is cut short")
    }

    private mutating func readZip64(_ file: ByteView, locator: Int) throws(USPError) {
        var reader = ByteReader(file, at: locator + 8, "zip64 locator")
        let at = try reader.size(UInt64.self)
        guard file.starts(with: [0x50, 0x4B, 6, 6], at: at) else {
            throw USPError(.format, "zip64: no end record at byte \(at)")
        }
        reader = ByteReader(file, at: at, "zip64 end record")
        try reader.skip(32)
        count = try reader.size(UInt64.self)
        size = try reader.size(UInt64.self)
        start = try reader.size(UInt64.self)
    }
}

/// One line of the directory.
struct ZipRecord {
    let name: String
    let method: UInt16
    let checksum: UInt32
    var compressedSize: Int
    var size: Int
    var offset: Int

    init(_ reader: inout ByteReader) throws(USPError) {
        try require(
            try reader.integer(UInt32.self) == 0x0201_4B50, .format,
            "zip directory: no entry before byte \(reader.offset)")
        try reader.skip(4)
        let flags = try reader.integer(UInt16.self)
        method = try reader.integer(UInt16.self)
        try reader.skip(4)
        checksum = try reader.integer(UInt32.self)
        compressedSize = try reader.size(UInt32.self)
        size = try reader.size(UInt32.self)
        let nameLength = try reader.size(UInt16.self)
        let extraLength = try reader.size(UInt16.self)
        let commentLength = try reader.size(UInt16.self)
        try reader.skip(8)
        offset = try reader.size(UInt32.self)
        name = try reader.bytes(nameLength).text
        try require(flags & 1 == 0, .unsupported, "zip: \(name) is encrypted")
        try require(
            method == 0 || method == 8, .unsupported, "zip: \(name) uses compression \(method)")
        try readExtra(try reader.bytes(extraLength))
        try reader.skip(commentLength)
    }

    /// The zip64 field holds those of the three numbers that did not fit.
    private mutating func readExtra(_ extra: ByteView) throws(USPError) {
        var reader = ByteReader(extra, "zip: \(name)")
        while reader.remaining >= 4 {
            let kind = try reader.integer(UInt16.self)
            let length = try reader.size(UInt16.self)
            guard length <= reader.remaining else { return }
            var field = ByteReader(try reader.bytes(length), "zip: \(name): zip64 field")
            guard kind == 1 else { continue }
            if size == 0xFFFF_FFFF { size = try field.size(UInt64.self) }
            if compressedSize == 0xFFFF_FFFF { compressedSize = try field.size(UInt64.self) }
            if offset == 0xFFFF_FFFF { offset = try field.size(UInt64.self) }
        }
    }

    /// The stored bytes, after the entry's own header.
    func locate(_ file: ByteView, before limit: Int) throws(USPError) -> ByteView {
        var reader = ByteReader(file, at: offset, "zip: \(name)")
        try require(
            try reader.integer(UInt32.self) == 0x0403_4B50, .format,
            "zip: \(name): no file at byte \(offset)")
        try reader.skip(22)
        let nameLength = try reader.size(UInt16.self)
        let extraLength = try reader.size(UInt16.self)
        try reader.skip(nameLength + extraLength)
        try require(
            reader.offset <= limit && compressedSize <= limit - reader.offset, .format,
            "zip: \(name): \(compressedSize) bytes at \(reader.offset), the directory is at "
                + "\(limit)")
        if method == 0 {
            try require(
                size == compressedSize, .format,
                "zip: \(name): stored, yet \(compressedSize) and \(size) bytes long")
        }
        try Inflate.expectPlausible(size, from: method == 0 ? size : compressedSize, name)
        return try reader.bytes(compressedSize)
    }
}
