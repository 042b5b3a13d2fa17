// Which format a file is in: decided by its content, never by its name.

import Glibc
import USPBase

extension Archive {
    /// Opens a file of arrays, or a folder that holds one under a usual name.
    ///
    /// Reads headers only; nothing in the file is executed.
    /// - Throws: `.io`, or `.format` saying what was found instead, with the path in front
    package static func open(_ path: String) throws(USPError) -> Archive {
        let path = try fileInside(path)
        return try read(try MappedFile(path).view, path: path)
    }

    /// The archive in the bytes of a file; shards of an index are looked for beside `path`.
    package static func read(_ bytes: ByteView, path: String) throws(USPError) -> Archive {
        try locating(path) { () throws(USPError) in try read(bytes, path, isShard: false) }
    }

    /// Opens one file of several; it may not be an index itself.
    static func openShard(_ path: String) throws(USPError) -> Archive {
        let bytes = try MappedFile(path).view
        return try locating(path) { () throws(USPError) in try read(bytes, path, isShard: true) }
    }

    private static func read(
        _ bytes: ByteView, _ path: String, isShard: Bool
    ) throws(USPError) -> Archive {
        if bytes.starts(with: [0x50, 0x4B]) { return try readZip(bytes, path) }
        if bytes.starts(with: [0x93] + Array("NUMPY".utf8)) {
            return try Npy.read(bytes, path: path)
        }
        if Safetensors.recognises(bytes) { return try Safetensors.read(bytes, path: path) }
        if TorchStream.recognises(bytes) { return try TorchStream.read(bytes, path: path) }
        if Idx.recognises(bytes) { return try Idx.read(bytes, path: path) }
        if !isShard && bytes.starts(with: [UInt8(ascii: "{")]) {
            return try ShardedIndex.read(bytes, path: path)
        }
        throw USPError(.format, "not a file of arrays: \(description(of: bytes))")
    }

    private static func readZip(_ bytes: ByteView, _ path: String) throws(USPError) -> Archive {
        let zip = try ZipReader(bytes)
        if zip.entries.contains(where: { $0.name.hasSuffix("/data.pkl") || $0.name == "data.pkl" })
        {
            return try TorchArchive.read(zip, path: path)
        }
        if zip.entries.contains(where: { $0.name.hasSuffix(".npy") }) {
            return try Npz.read(zip, path: path)
        }
        let names = zip.entries.prefix(3).map(\.name).joined(separator: ", ")
        throw USPError(.format, "a zip file without data.pkl and .npy in it (\(names))")
    }

    /// What bytes that are no archive look like, for people.
    private static func description(of bytes: ByteView) -> String {
        let known: [(prefix: [UInt8], at: Int, what: String)] = [
            (Array("ustar".utf8), 257, "a tar file, as PyTorch wrote before 0.1.10; save it again"),
            (Array("version https://git-lfs".utf8), 0, "a Git LFS pointer; fetch the file itself"),
            (Array("<!DOCTYPE".utf8), 0, "a web page; the download went wrong"),
            (Array("<html".utf8), 0, "a web page; the download went wrong"),
            ([0x89, 0x50, 0x4E, 0x47], 0, "a PNG image"),
            ([0xFF, 0xD8, 0xFF], 0, "a JPEG image"),
            (Array("GGUF".utf8), 0, "a GGUF file"),
            ([0x89, 0x48, 0x44, 0x46], 0, "an HDF5 file"),
            ([0x80], 0, "a pickle that is not a PyTorch file"),
        ]
        if bytes.count == 0 { return "it is empty" }
        if bytes.bytes.prefix(4096).allSatisfy({ $0 == 0 }) { return "it starts with zeros only" }
        let match = known.first { bytes.starts(with: $0.prefix, at: $0.at) }
        let first = bytes.bytes.prefix(8).map { String($0, radix: 16) }.joined(separator: " ")
        return match.map(\.what) ?? "\(bytes.count) bytes that start with \(first)"
    }

    /// The usual names of the file of arrays in a model's folder, best first.
    private static let usualNames = [
        "diffusion_pytorch_model.safetensors", "model.safetensors",
        "diffusion_pytorch_model.safetensors.index.json", "model.safetensors.index.json",
        "diffusion_pytorch_model.bin", "pytorch_model.bin", "pytorch_model.bin.index.json",
    ]

    /// The path itself, or the file of arrays in the folder that it names.
    private static func fileInside(_ path: String) throws(USPError) -> String {
        var status = stat()
        guard stat(path, &status) == 0 else { throw systemError("cannot open", path) }
        guard status.st_mode & S_IFMT == S_IFDIR else { return path }
        for name in usualNames where access("\(path)/\(name)", F_OK) == 0 {
            return "\(path)/\(name)"
        }
        throw USPError(
            .io, "\(path): a folder with none of \(usualNames.joined(separator: ", ")) in it")
    }
}

/// A checkpoint in several files, with a JSON index that says which array is in which.
enum ShardedIndex {
    static func read(_ index: ByteView, path: String) throws(USPError) -> Archive {
        let json = try JSON(parsing: index, "index")
        guard let map = json["weight_map"]?.members else {
            throw USPError(.format, "JSON without a weight_map")
        }
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
        var shards: [String: Archive] = [:]
        var entries: [ArchiveEntry] = []
        for member in map {
            guard let name = member.value.text, !name.contains("/"), name != "..", !name.isEmpty
            else {
                throw USPError(.format, "\(member.key): its shard is not a file beside the index")
            }
            let shard: Archive
            if let present = shards[name] {
                shard = present
            } else {
                shard = try Archive.openShard(folder + name)
                shards[name] = shard
            }
            guard let entry = shard.tables.first?[member.key] else {
                throw USPError(.format, "\(member.key): not in its shard \(name)")
            }
            entries.append(entry)
        }
        let metadata = (json["metadata"]?.members ?? []).map {
            (key: $0.key, value: $0.value.text ?? $0.value.compact)
        }
        let format = shards.values.first?.format ?? .safetensors
        return Archive(
            path: path, format: format, tables: [try ArchiveTable("", entries)],
            metadata: metadata)
    }
}
