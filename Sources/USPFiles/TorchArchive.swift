// PyTorch's zip archives (since 1.6): a pickle that describes, and one stored file for each
// storage. Source: torch/serialization.py, caffe2/serialize/inline_container.cc (layout only).

import USPBase

package enum TorchArchive {
    private static let largestPickle = 1 << 32
    /// Texts that a flat state dictionary has no place for.
    static let metadataRecord = "usp.json"

    static func read(_ zip: ZipReader, path: String) throws(USPError) -> Archive {
        guard
            let description = zip.entries.first(where: {
                $0.name == "data.pkl" || $0.name.hasSuffix("/data.pkl")
            })
        else { throw USPError(.format, "no data.pkl") }
        let top = String(description.name.dropLast("data.pkl".count))
        try require(
            description.size <= largestPickle, .format,
            "\(description.name): \(description.size) bytes is too long for a description")
        var reader = PickleReader(try description.content(), description.name)
        let root = try reader.read()
        var files: [String: ZipEntry] = [:]
        for entry in zip.entries where entry.name.hasPrefix(top) {
            files[String(entry.name.dropFirst(top.count))] = entry
        }
        let byteOrder = try files["byteorder"]?.content().text ?? "little"
        let contents = StorageContents(files)
        var tables = TorchTables(
            reader.arena, fileSize: zip.byteCount, isBigEndian: byteOrder == "big"
        ) { (key) throws(USPError) in try contents[key] }
        let archive = try tables.archive(root, path: path, .torch)
        guard let record = files[metadataRecord], record.size <= 1 << 20 else { return archive }
        let texts = try JSON(parsing: try record.content().text).members ?? []
        return Archive(
            path: path, format: .torch, tables: archive.tables,
            metadata: archive.metadata + texts.map { (key: $0.key, value: $0.value.text ?? "") },
            skipped: archive.skipped)
    }
}

/// The storages of a zip archive, inflated at most once each.
private final class StorageContents {
    private let files: [String: ZipEntry]
    private var inflated: [String: ByteView] = [:]

    init(_ files: [String: ZipEntry]) { self.files = files }

    /// The bytes, and the checksum that they should have where they lie in the file.
    subscript(key: String) -> (ByteView, Seal?) {
        get throws(USPError) {
            guard let file = files["data/\(key)"] else {
                throw USPError(.format, "its storage data/\(key) is missing")
            }
            guard file.isDeflated else { return (file.stored, file.seal) }
            if let present = inflated[key] { return (present, nil) }
            let content = try file.content()
            inflated[key] = content
            return (content, nil)
        }
    }
}
