// The safetensors format: a JSON header, then the bytes. Source: the format's specification,
// github.com/huggingface/safetensors.

import USPBase

package enum Safetensors {
    /// The key of our own metadata that holds a CRC-32 for each array, in the order of their bytes:
    /// eight hexadecimal digits each.
    static let checksumsKey = "usp.crc32"

    private static let longestHeader = 100_000_000

    /// Whether the file starts as one of this format: a header length that fits and an opening
    /// brace.
    static func recognises(_ file: ByteView) -> Bool {
        var reader = ByteReader(file, "header")
        guard let length = try? reader.size(UInt64.self), let first = try? reader.byte() else {
            return false
        }
        return length >= 2 && length <= file.count - 8 && first == UInt8(ascii: "{")
    }

    /// Reads the header; the arrays stay in the file.
    ///
    /// - Throws: `.format` for overlaps, gaps, bytes outside, sizes that do not match
    static func read(_ bytes: ByteView, path: String) throws(USPError) -> Archive {
        var reader = ByteReader(bytes, "safetensors header")
        let length = try reader.size(UInt64.self)
        try require(
            length <= longestHeader, .format, "safetensors header: \(length) bytes is too long")
        let header = try JSON(parsing: try reader.bytes(length), "safetensors header")
        let data = try bytes.part(reader.offset, reader.remaining, "data")
        guard let members = header.members else {
            throw USPError(.format, "safetensors header: not an object")
        }
        var metadata: [(key: String, value: String)] = []
        var spans: [Span] = []
        for member in members {
            if member.key == "__metadata__" {
                metadata = try texts(member.value)
            } else {
                spans.append(try Span(member, data))
            }
        }
        try expectExactCover(spans, data.count)
        let checksums = try checksums(metadata, spans)
        metadata.removeAll { $0.key == checksumsKey }
        var entries: [ArchiveEntry] = []
        var skipped: [SkippedItem] = []
        for span in spans {
            do {
                entries.append(
                    try span.entry(data, span.start < span.end ? checksums[span.start] : nil))
            } catch let error where error.kind == .dtype || error.kind == .unsupported {
                let reason = error.message.dropFirst(span.name.count + 2)
                skipped.append(SkippedItem(name: span.name, reason: String(reason)))
            }
        }
        return Archive(
            path: path, format: .safetensors,
            tables: [try ArchiveTable("", entries)], metadata: metadata, skipped: skipped)
    }

    /// By the place where an array starts; those without bytes have none.
    private static func checksums(
        _ metadata: [(key: String, value: String)], _ spans: [Span]
    ) throws(USPError) -> [Int: UInt32] {
        guard let text = metadata.first(where: { $0.key == checksumsKey })?.value else {
            return [:]
        }
        let digits = Array(text.utf8)
        try require(
            digits.count == 8 * spans.count, .format,
            "safetensors header: \(checksumsKey) has \(digits.count) digits for \(spans.count) "
                + "arrays, expected 8 for each")
        var result: [Int: UInt32] = [:]
        let ordered = spans.sorted { ($0.start, $0.end) < ($1.start, $1.end) }
        for (index, span) in ordered.enumerated() where span.start < span.end {
            let part = String(decoding: digits[8 * index..<8 * index + 8], as: UTF8.self)
            guard let value = UInt32(part, radix: 16) else {
                throw USPError(.format, "safetensors header: \(checksumsKey): '\(part)'")
            }
            result[span.start] = value
        }
        return result
    }

    private static func texts(_ value: JSON) throws(USPError) -> [(key: String, value: String)] {
        guard let members = value.members else {
            throw USPError(.format, "safetensors header: __metadata__ is not an object")
        }
        var result: [(key: String, value: String)] = []
        for member in members {
            result.append((member.key, member.value.text ?? member.value.compact))
        }
        return result
    }

    /// The arrays fill the data one after another, without gap or overlap.
    private static func expectExactCover(_ spans: [Span], _ count: Int) throws(USPError) {
        var end = 0
        for span in spans.sorted(by: { ($0.start, $0.end) < ($1.start, $1.end) }) {
            try require(
                span.start == end, .format,
                "\(span.name): starts at byte \(span.start) of the data, where \(end) is expected "
                    + "(\(span.start < end ? "overlap" : "gap"))")
            end = span.end
        }
        try require(
            end == count, .format, "\(count - end) bytes after the last array")
    }

    /// The names of element types, in the format's spelling.
    static func typeName(_ dtype: DType) -> String {
        switch dtype {
        case .float32: "F32"
        case .bfloat16: "BF16"
        case .float16: "F16"
        case .float64: "F64"
        case .int64: "I64"
        case .int32: "I32"
        case .int16: "I16"
        case .int8: "I8"
        case .uint8: "U8"
        case .bool: "BOOL"
        }
    }
}

/// One line of the header.
private struct Span {
    let name: String
    let type: String
    let extents: [Int]
    let start: Int
    let end: Int

    init(_ member: JSON.Member, _ data: ByteView) throws(USPError) {
        name = member.key
        let offsets = Span.integers(member.value["data_offsets"])
        guard let type = member.value["dtype"]?.text,
            let extents = Span.integers(member.value["shape"]), let offsets, offsets.count == 2
        else {
            throw USPError(.format, "\(name): no dtype, shape and data_offsets")
        }
        self.type = type
        self.extents = extents
        (start, end) = (offsets[0], offsets[1])
        try require(
            start >= 0 && start <= end && end <= data.count, .format,
            "\(name): bytes \(start) to \(end) of \(data.count)")
    }

    private static func integers(_ value: JSON?) -> [Int]? {
        guard let elements = value?.elements else { return nil }
        let integers = elements.compactMap(\.integer)
        return integers.count == elements.count ? integers : nil
    }

    /// - Throws: `.dtype`, `.unsupported` for an array that cannot be read
    /// - checksum: the CRC-32 that its bytes should have, if the file tells one
    func entry(_ data: ByteView, _ checksum: UInt32?) throws(USPError) -> ArchiveEntry {
        guard let element = elementType else {
            let shape = extents.map(String.init).joined(separator: ", ")
            throw USPError(.dtype, "\(name): element type \(type) is not read, [\(shape)]")
        }
        let shape = try checkedShape(name, element.dtype, extents)
        let size = shape.count * element.storedSize
        try require(
            size == end - start, .format,
            "\(name): \(type) \(shape) takes \(size) bytes, the file gives it \(end - start)")
        let bytes = try data.part(start, end - start, name)
        return ArchiveEntry(
            name, element, shape, .plain(bytes), seal: checksum.map { Seal(bytes, $0, name) })
    }

    private var elementType: ElementType? {
        DType.allCases.first { Safetensors.typeName($0) == type }.map { ElementType($0) }
            ?? Float8(rawValue: type).map { ElementType($0) }
    }
}
