// Writing safetensors: one pass, atomically, from arrays that are produced one at a time.

import USPBase

extension Safetensors {
    /// Writes the arrays to `path`, which appears complete or not at all.
    ///
    /// Wider element types come first, so that every array is aligned.
    /// - metadata: free texts; Hugging Face's readers want `format: pt` among them
    /// - checksums: whether the metadata get the CRC-32 of each array, which our reader verifies
    /// - Throws: `.argument` if two arrays have one name, `.io`
    package static func write(
        _ path: String, _ outputs: [ArrayOutput], metadata: [(key: String, value: String)] = [],
        checksums: Bool = false
    ) throws(USPError) {
        let ordered = ordered(outputs)
        // Digits are put in place of the zeros once all bytes have passed.
        let zeros = String(repeating: "0", count: 8 * outputs.count)
        let own = checksums ? [(key: checksumsKey, value: zeros)] : []
        let header = try header(ordered, own + metadata)
        let file = try AtomicFile(path)
        try file.write(header)
        var digits: [UInt8] = []
        for output in ordered {
            file.checksum = checksums ? 0 : nil
            try output.write(to: file)
            digits += hexadecimal(file.checksum ?? 0)
        }
        file.checksum = nil
        if checksums { try file.patch(digits, at: checksumsOffset) }
        try file.commit()
    }

    private static func ordered(_ outputs: [ArrayOutput]) -> [ArrayOutput] {
        DType.sizesDescending.flatMap { size in outputs.filter { $0.dtype.size == size } }
    }

    /// A file of these arrays that is filled in any order, over several runs; see `GrowingFile`.
    ///
    /// - Returns: the file and where in it the bytes of each array begin
    /// - Throws: `.argument` if two arrays have one name, `.io`
    package static func growing(
        _ path: String, _ arrays: [ArrayOutput], metadata: [(key: String, value: String)],
        lock: FileLock
    ) throws(USPError) -> (file: GrowingFile, places: [String: Int]) {
        let ordered = ordered(arrays)
        let header = try header(ordered, metadata)
        var places: [String: Int] = [:]
        var end = header.count
        for array in ordered {
            places[array.name] = end
            end = try CheckedMath.add(end, array.byteCount, array.name)
        }
        return (try GrowingFile(path, header: header, count: end, lock: lock), places)
    }

    /// Behind the header's length and `{"__metadata__":{"usp.crc32":"`.
    private static var checksumsOffset: Int {
        8 + "{\"__metadata__\":{\"\(checksumsKey)\":\"".utf8.count
    }

    private static func hexadecimal(_ value: UInt32) -> [UInt8] {
        let digits = Array(String(value, radix: 16).utf8)
        return [UInt8](repeating: UInt8(ascii: "0"), count: 8 - digits.count) + digits
    }

    private static func header(
        _ outputs: [ArrayOutput], _ metadata: [(key: String, value: String)]
    ) throws(USPError) -> [UInt8] {
        var members: [JSON.Member] = []
        if !metadata.isEmpty {
            let texts = metadata.map { JSON.Member($0.key, .string($0.value)) }
            members.append(JSON.Member("__metadata__", .object(texts)))
        }
        var names: Set<String> = ["__metadata__"]
        var end = 0
        for output in outputs {
            try require(
                names.insert(output.name).inserted, .argument,
                "two arrays are called \(output.name)")
            let start = end
            end = try CheckedMath.add(end, output.byteCount, output.name)
            members.append(
                JSON.Member(
                    output.name,
                    .object([
                        JSON.Member("dtype", .string(typeName(output.dtype))),
                        JSON.Member("shape", .array(output.shape.extents.map(JSON.integer))),
                        JSON.Member("data_offsets", .array([.integer(start), .integer(end)])),
                    ])))
        }
        var text = Array(JSON.object(members).compact.utf8)
        text += [UInt8](repeating: 0x20, count: (8 - text.count % 8) % 8)
        return littleEndian(UInt64(text.count)) + text
    }
}

extension DType {
    static let sizesDescending = [8, 4, 2, 1]
}

/// The bytes of an integer, least significant first.
package func littleEndian<Number: FixedWidthInteger>(_ value: Number) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
}
