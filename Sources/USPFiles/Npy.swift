// NumPy's .npy files: one array after a short header.
// Source: numpy/lib/format.py, the format's description (versions 1 to 3).

import USPBase

package enum Npy {
    static func read(_ bytes: ByteView, path: String) throws(USPError) -> Archive {
        let entry = try entry("array", bytes)
        return Archive(path: path, format: .npy, tables: [try ArchiveTable("", [entry])])
    }

    /// The array in the bytes of one file.
    static func entry(_ name: String, _ bytes: ByteView) throws(USPError) -> ArchiveEntry {
        let header = try NpyHeader(name, bytes)
        let data = try bytes.part(header.length, bytes.count - header.length, name)
        return try ArchiveEntry.checked(
            name, header.dtype, header.shape, strides: header.strides, offset: 0, storage: data,
            limit: bytes.count, isBigEndian: header.isBigEndian)
    }

    /// The bytes in front of an array's data.
    static func header(_ dtype: DType, _ shape: Shape) -> [UInt8] {
        let extents = shape.extents.map(String.init).joined(separator: ", ")
        let tuple = shape.rank == 1 ? "(\(extents),)" : "(\(extents))"
        var text = "{'descr': '\(typeName(dtype))', 'fortran_order': False, 'shape': \(tuple), }"
        let length = (10 + text.utf8.count + 1 + 63) / 64 * 64
        text += String(repeating: " ", count: length - 10 - text.utf8.count - 1) + "\n"
        return [0x93] + Array("NUMPY".utf8) + [1, 0] + littleEndian(UInt16(length - 10))
            + Array(text.utf8)
    }

    /// Writes one array to `path`, atomically.
    ///
    /// - Throws: `.io`; `.dtype` for bf16, which NumPy has not
    package static func write(_ path: String, _ output: ArrayOutput) throws(USPError) {
        try expectType(output)
        let file = try AtomicFile(path)
        try file.write(header(output.dtype, output.shape))
        try output.write(to: file)
        try file.commit()
    }

    static func expectType(_ output: ArrayOutput) throws(USPError) {
        try require(
            output.dtype != .bfloat16, .dtype,
            "\(output.name): NumPy has no bf16; convert to f32 or write safetensors")
    }

    private static func typeName(_ dtype: DType) -> String {
        switch dtype {
        case .float32: "<f4"
        case .float64: "<f8"
        case .float16, .bfloat16: "<f2"
        case .int64: "<i8"
        case .int32: "<i4"
        case .int16: "<i2"
        case .int8: "|i1"
        case .uint8: "|u1"
        case .bool: "|b1"
        }
    }

    /// The type behind `<f4`, `>i8`, `|u1` …; nil if it is not ours.
    static func type(_ text: String) -> (dtype: DType, isBigEndian: Bool)? {
        let known = DType.allCases.filter { $0 != .bfloat16 }
        guard let dtype = known.first(where: { typeName($0).dropFirst() == text.dropFirst() })
        else {
            return nil
        }
        return (dtype, text.hasPrefix(">"))
    }
}

/// The header, a Python dictionary written out: `{'descr': '<f4', 'fortran_order': False, …}`.
struct NpyHeader {
    let dtype: DType
    let isBigEndian: Bool
    let shape: [Int]
    /// In elements.
    let strides: [Int]
    /// Bytes before the data.
    let length: Int

    private static let longest = 1 << 20

    init(_ name: String, _ bytes: ByteView) throws(USPError) {
        var reader = ByteReader(bytes, "\(name): npy header")
        let magic = try reader.bytes(6)
        try require(
            magic.starts(with: [0x93] + Array("NUMPY".utf8)), .format, "\(name): not an npy file")
        let version = try reader.byte()
        try reader.skip(1)
        let size = version == 1 ? try reader.size(UInt16.self) : try reader.size(UInt32.self)
        try require(
            (1...3).contains(version) && size <= NpyHeader.longest, .format,
            "\(name): npy version \(version) with a header of \(size) bytes")
        let text = try reader.bytes(size).text
        guard let descr = NpyHeader.value("descr", in: text),
            let order = NpyHeader.value("fortran_order", in: text),
            let shape = NpyHeader.value("shape", in: text).flatMap(NpyHeader.integers)
        else {
            throw USPError(.format, "\(name): npy header without descr, fortran_order and shape")
        }
        guard let type = Npy.type(descr.filter { $0 != "'" && $0 != "\"" }) else {
            throw USPError(.dtype, "\(name): element type \(descr)")
        }
        (dtype, isBigEndian) = type
        self.shape = shape
        strides = try NpyHeader.strides(shape, isFortran: order == "True", name)
        length = reader.offset
    }

    /// The text after `'key':`, up to the comma or brace that ends it.
    private static func value(_ key: String, in text: String) -> String? {
        let characters = Array(text.utf8)
        let quoted = [Array("'\(key)':".utf8), Array("\"\(key)\":".utf8)]
        let starts = quoted.compactMap { firstIndex(of: $0, in: characters) }
        guard var at = starts.min() else { return nil }
        var value: [UInt8] = []
        var depth = 0
        while at < characters.count {
            let byte = characters[at]
            if byte == UInt8(ascii: "(") || byte == UInt8(ascii: "[") { depth += 1 }
            if byte == UInt8(ascii: ")") || byte == UInt8(ascii: "]") { depth -= 1 }
            if depth == 0 && (byte == UInt8(ascii: ",") || byte == UInt8(ascii: "}")) { break }
            if byte != 0x20 { value.append(byte) }
            at += 1
        }
        return String(decoding: value, as: UTF8.self)
    }

    /// Where the text after `pattern` starts.
    private static func firstIndex(of pattern: [UInt8], in text: [UInt8]) -> Int? {
        guard text.count >= pattern.count else { return nil }
        for start in 0...text.count - pattern.count
        where text[start] == pattern[0]
            && text[start..<start + pattern.count].elementsEqual(pattern)
        {
            return start + pattern.count
        }
        return nil
    }

    private static func integers(_ tuple: String) -> [Int]? {
        guard tuple.hasPrefix("("), tuple.hasSuffix(")") else { return nil }
        let parts = tuple.dropFirst().dropLast().split(separator: ",")
        let integers = parts.compactMap { Int($0.hasSuffix("L") ? $0.dropLast() : $0) }
        return integers.count == parts.count ? integers : nil
    }

    private static func strides(
        _ shape: [Int], isFortran: Bool, _ name: String
    ) throws(USPError) -> [Int] {
        var strides = [Int](repeating: 1, count: shape.count)
        var step = 1
        let axes = isFortran ? Array(shape.indices) : shape.indices.reversed()
        for axis in axes {
            strides[axis] = step
            step = try CheckedMath.multiply(step, max(shape[axis], 1), name)
        }
        return strides
    }
}
