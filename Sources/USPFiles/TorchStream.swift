// PyTorch's files from before 1.6: several pickles one after another, then the storages.
// Source: torch/serialization.py, `_legacy_load` (layout only).

import USPBase

enum TorchStream {
    /// The pickled integer 0x1950A86A20F9469CFC6C: ten bytes, least significant first.
    private static let magic: [UInt8] = [
        0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19,
    ]
    /// The same as protocols 0 and 1 write it.
    private static let digits = Array("L119547037146038801333356L\n".utf8)

    static func recognises(_ file: ByteView) -> Bool {
        if file.starts(with: digits) { return true }
        guard file.starts(with: [0x80]) else { return false }
        // From protocol 4 on a frame of 8 more bytes may be around it.
        return file.starts(with: magic, at: 2)
            || file.starts(with: [0x95], at: 2) && file.starts(with: magic, at: 11)
    }

    static func read(_ bytes: ByteView, path: String) throws(USPError) -> Archive {
        var offset = 0
        var values: [PickleValue] = []
        var arena = PickleArena()
        // Magic number, protocol, system, object, keys.
        for part in 0..<5 {
            var reader = PickleReader(bytes, at: offset, "pickle \(part + 1) of 5")
            // The keys are read with the object's storages in sight, so one arena serves all.
            reader.arena = arena
            values.append(try reader.read())
            arena = reader.arena
            offset = reader.offset
        }
        guard case .integer(1001) = values[1] else {
            throw USPError(.unsupported, "PyTorch stream: protocol \(values[1].kind) is not 1001")
        }
        let isBigEndian = try self.isBigEndian(values[2], arena)
        let storages = try self.storages(values[4], arena, bytes, at: offset)
        var tables = TorchTables(
            arena, fileSize: bytes.count, isBigEndian: isBigEndian
        ) { (key) throws(USPError) in
            guard let view = storages[key] else {
                throw USPError(.format, "its storage \(key) is missing")
            }
            return (view, nil)
        }
        return try tables.archive(values[3], path: path, .torchStream)
    }

    private static func isBigEndian(
        _ system: PickleValue, _ arena: PickleArena
    ) throws(USPError) -> Bool {
        guard case .dictionary(let index) = system else {
            throw USPError(.format, "PyTorch stream: no description of the system")
        }
        for (key, value) in arena.dictionaries[index] {
            if case .text("little_endian") = key, case .bool(let little) = value { return !little }
        }
        return false
    }

    /// For each key in order: a count of elements, then the elements.
    private static func storages(
        _ keys: PickleValue, _ arena: PickleArena, _ bytes: ByteView, at offset: Int
    ) throws(USPError) -> [String: ByteView] {
        var sizes: [String: Int] = [:]
        for storage in arena.storages {
            sizes[storage.key] =
                storage.type?.storedSize ?? TorchTypes.unreadSizes[storage.typeName]
        }
        var reader = ByteReader(bytes, at: offset, "storages")
        var result: [String: ByteView] = [:]
        for value in arena.elements(keys) ?? [] {
            guard case .text(let key) = value else {
                throw USPError(.format, "PyTorch stream: a storage key is \(value.kind)")
            }
            guard let size = sizes[key] else {
                let type = arena.storages.first { $0.key == key }?.typeName ?? "no"
                throw USPError(
                    .unsupported,
                    "PyTorch stream: storage \(key) has \(type) type, whose size is not known")
            }
            let count = try reader.size(Int64.self)
            result[key] = try reader.bytes(try CheckedMath.multiply(count, size, "storage \(key)"))
        }
        return result
    }
}
