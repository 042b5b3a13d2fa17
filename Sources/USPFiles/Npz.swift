// NumPy's .npz files: a zip file of .npy files, stored or deflated.

import USPBase

package enum Npz {
    private static let longestHeader = 1 << 16

    static func read(_ zip: ZipReader, path: String) throws(USPError) -> Archive {
        var entries: [ArchiveEntry] = []
        var skipped: [SkippedItem] = []
        for file in zip.entries {
            guard file.name.hasSuffix(".npy") else {
                skipped.append(
                    SkippedItem(name: file.name, reason: "not an npy file", isArray: false))
                continue
            }
            let name = String(file.name.dropLast(4))
            do {
                entries.append(try entry(name, file))
            } catch let error where error.kind == .dtype || error.kind == .unsupported {
                let reason = error.message.dropFirst(name.count + 2)
                skipped.append(SkippedItem(name: name, reason: String(reason)))
            }
        }
        return Archive(
            path: path, format: .npz, tables: [try ArchiveTable("", entries)], skipped: skipped)
    }

    /// Stored files are viewed in place; of deflated ones only the header is
    /// inflated until their bytes are asked for.
    private static func entry(_ name: String, _ file: ZipEntry) throws(USPError) -> ArchiveEntry {
        guard file.isDeflated else { return try Npy.entry(name, file.stored, seal: file.seal) }
        let head = try Inflate.head(
            file.stored, min(file.size, longestHeader), windowBits: -15, name)
        let header = try NpyHeader(name, head)
        let shape = try checkedShape(name, header.dtype, header.shape)
        let size = shape.count * header.dtype.size
        try require(
            size == file.size - header.length, .format,
            "\(name): \(header.dtype.name) \(shape) takes \(size) bytes, its file has "
                + "\(file.size - header.length)")
        let type = ElementType(header.dtype)
        let rowMajor = ArchiveEntry(
            name, type, shape, .deflated(file, skip: header.length),
            isBigEndian: header.isBigEndian)
        let isTransposed = header.strides != strides(of: shape)
        guard isTransposed, shape.count > 0 else { return rowMajor }
        return try ArchiveEntry.checked(
            name, type, header.shape, strides: header.strides, offset: 0,
            storage: try rowMajor.bytes(), limit: file.size)
    }

    private static func strides(of shape: Shape) -> [Int] {
        var step = 1
        var result: [Int] = []
        for extent in shape.extents.reversed() {
            result.insert(step, at: 0)
            step *= max(extent, 1)
        }
        return result
    }

    /// Writes the arrays to `path`, stored, atomically.
    ///
    /// - Throws: `.io`; `.dtype` for bf16, which NumPy has not
    package static func write(_ path: String, _ outputs: [ArrayOutput]) throws(USPError) {
        for output in outputs { try Npy.expectType(output) }
        let file = try AtomicFile(path)
        var zip = ZipWriter(file)
        for output in outputs {
            let header = Npy.header(output.dtype, output.shape)
            let size = header.count + output.byteCount
            try zip.add("\(output.name).npy", size: size) { (file) throws(USPError) in
                try file.write(header)
                try output.write(to: file)
            }
        }
        try zip.finish()
        try file.commit()
    }
}
