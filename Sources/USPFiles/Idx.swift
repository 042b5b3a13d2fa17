// IDX files, plain or gzipped, as MNIST and its relatives are published in.
// Source: yann.lecun.com/exdb/mnist, "the IDX file format".

import USPBase

enum Idx {
    private static let types: [UInt8: DType] = [
        8: .uint8, 9: .int8, 0x0B: .int16, 0x0C: .int32, 0x0D: .float32, 0x0E: .float64,
    ]

    static func recognises(_ file: ByteView) -> Bool {
        if file.starts(with: [0x1F, 0x8B, 8]) {
            // Any file may be zipped: what is inside decides.
            guard let head = try? Inflate.head(file, 4, windowBits: 15 + 32, "gzip") else {
                return false
            }
            return recognises(head)
        }
        return file.count >= 4 && file.starts(with: [0, 0]) && types[file.bytes[2]] != nil
            && file.bytes[3] > 0
    }

    static func read(_ bytes: ByteView, path: String) throws(USPError) -> Archive {
        let content = try content(bytes)
        var reader = ByteReader(content, "idx header")
        let zeros = try reader.integer(UInt16.self)
        guard zeros == 0, let dtype = types[try reader.byte()] else {
            throw USPError(
                .format, "idx header: element type 0x\(String(content.bytes[2], radix: 16))")
        }
        var shape: [Int] = []
        for _ in 0..<(try reader.byte()) {
            shape.append(Int(UInt32(bigEndian: try reader.integer(UInt32.self))))
        }
        let checked = try checkedShape("idx", dtype, shape)
        try require(
            reader.remaining == checked.count * dtype.size, .format,
            "idx: \(dtype.name) \(checked) takes \(checked.count * dtype.size) bytes, the file has "
                + "\(reader.remaining)")
        let elements = Payload.plain(try reader.bytes(reader.remaining))
        let entry = ArchiveEntry(
            "array", ElementType(dtype), checked, elements, isBigEndian: true)
        return Archive(path: path, format: .idx, tables: [try ArchiveTable("", [entry])])
    }

    /// The file itself, or what a gzip file inflates to (its last four bytes tell how much).
    private static func content(_ file: ByteView) throws(USPError) -> ByteView {
        guard file.starts(with: [0x1F, 0x8B]) else { return file }
        try require(file.count >= 18, .format, "gzip: cut short")
        var reader = ByteReader(file, at: file.count - 4, "gzip")
        let size = Int(try reader.integer(UInt32.self))
        try Inflate.expectPlausible(size, from: file.count, "gzip")
        let buffer = try ByteBuffer(count: size)
        try Inflate.zlib(file, into: buffer.bytes, "gzip", toItsEnd: true)
        return buffer.view
    }
}
