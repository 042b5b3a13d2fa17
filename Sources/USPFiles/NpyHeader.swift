// The header of an npy file.

import USPBase

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
            throw USPError(.dtype, "\(name): \(NumPyType.unread(descr)), \(Shape(shape))")
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
    static func firstIndex(of pattern: [UInt8], in text: [UInt8]) -> Int? {
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

    static func strides(
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
