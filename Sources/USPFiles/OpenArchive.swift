// Which format a file is in: decided by its content, never by its name.

import Glibc
import USPBase

extension Archive {
    /// Opens a file of arrays, or a folder that holds one under a usual name; or one that
    /// comes with the library (`Weights`).
    ///
    /// Reads headers only; nothing in the file is executed.
    /// - Throws: `.io`, or `.format` saying what was found instead, with the path in front
    package static func open(_ path: String) throws(USPError) -> Archive {
        let file =
            if let brought = try Weights.path(path) { brought } else { try ModelFolder.file(path) }
        return try read(try ByteView.file(file), path: file)
    }

    /// The archive in the bytes of a file; shards of an index are looked for beside `path`.
    package static func read(_ bytes: ByteView, path: String) throws(USPError) -> Archive {
        try locating(path) { () throws(USPError) in
            try read(bytes, path, isShard: false).joiningScales()
        }
    }

    /// Opens one file of several; it may not be an index itself.
    static func openShard(_ path: String) throws(USPError) -> Archive {
        let bytes = try ByteView.file(path)
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
        if !isShard, let index = ShardedIndex(bytes) { return try index.read(path: path) }
        throw USPError(.format, "not a file of arrays: \(NoArchive.description(of: bytes))")
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
        throw USPError(
            .format, "a zip file without data.pkl and .npy in it (\(names)); unpack it first")
    }
}

/// A checkpoint in several files, with a JSON index that says which array is in which.
struct ShardedIndex {
    private let json: JSON
    private let map: [JSON.Member]

    /// nil for anything else than JSON with a weight map.
    init?(_ bytes: ByteView) {
        guard let json = try? JSON(parsing: bytes, "index"),
            let map = json["weight_map"]?.members
        else { return nil }
        (self.json, self.map) = (json, map)
    }

    func read(path: String) throws(USPError) -> Archive {
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
        var shards: [String: Archive] = [:]
        var entries: [ArchiveEntry] = []
        var skipped: [SkippedItem] = []
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
            if let entry = shard.tables.first?[member.key] {
                entries.append(entry)
            } else if let item = shard.skipped.first(where: { $0.name == member.key }) {
                skipped.append(item)
            } else {
                throw USPError(.format, "\(member.key): not in its shard \(name)")
            }
        }
        // What the index forgot is in the model's files all the same.
        let named = Set(map.map(\.key))
        for (name, shard) in shards.sorted(by: { $0.key < $1.key }) {
            for entry in shard.entries where !named.contains(entry.name) {
                skipped.append(
                    SkippedItem(name: entry.name, reason: "in \(name), but not in the index"))
            }
        }
        let metadata = (json["metadata"]?.members ?? []).map {
            (key: $0.key, value: $0.value.text ?? $0.value.compact)
        }
        let format = shards.values.first?.format ?? .safetensors
        return Archive(
            path: path, format: format, tables: [try ArchiveTable("", entries)],
            metadata: metadata, skipped: skipped)
    }
}
