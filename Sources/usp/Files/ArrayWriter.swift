// Writing arrays in the format that a file's ending names.

import ArgumentParser
import USPBase
import USPFiles

/// The element types that weights are stored in.
enum FloatType: String, ExpressibleByArgument, CaseIterable {
    case f32, f16, bf16

    var dtype: DType {
        switch self {
        case .f32: .float32
        case .f16: .float16
        case .bf16: .bfloat16
        }
    }
}

/// The element types that `convert` stores weights in.
enum StoredType: String, ExpressibleByArgument, CaseIterable {
    case f32, f16, bf16, int8

    var dtype: DType { FloatType(rawValue: rawValue)?.dtype ?? .int8 }
}

/// A file to be written, with the format that its ending names.
struct ArrayWriter {
    let format: ArrayFormat
    private let path: String

    /// - Throws: `.argument` naming the known endings; `.io` if the file cannot be written, before
    ///   anything is computed for it
    init(_ path: String) throws(USPError) {
        self.path = path
        format = try ArrayFormat.of(path)
        _ = try AtomicFile(path)
    }

    /// Writes the arrays; see `ArrayFormat.write`.
    func write(
        _ outputs: [ArrayOutput], metadata: [(key: String, value: String)] = [],
        tables: [String] = [], checksums: Bool = false
    ) throws(USPError) {
        try format.write(
            path, outputs, metadata: metadata, tables: tables, checksums: checksums)
    }
}
