// NumPy's .npy files: one array after a short header.
// Source: numpy/lib/format.py, the format's description (versions 1 to 3).

import USPBase

package enum Npy {
    static func read(_ bytes: ByteView, path: String) throws(USPError) -> Archive {
        let entry = try entry("array", bytes)
        return Archive(path: path, format: .npy, tables: [try ArchiveTable("", [entry])])
    }

    /// The array in the bytes of one file.
    ///
    /// - seal: over the bytes
    /// - Throws: `.dtype` for element types that are not ours
    static func entry(
        _ name: String, _ bytes: ByteView, seal: Seal? = nil
    ) throws(USPError) -> ArchiveEntry {
        let header = try NpyHeader(name, bytes)
        let data = try bytes.part(header.length, bytes.count - header.length, name)
        return try ArchiveEntry.checked(
            name, ElementType(header.dtype), header.shape, strides: header.strides, offset: 0,
            storage: data, limit: bytes.count, isBigEndian: header.isBigEndian, seal: seal)
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
