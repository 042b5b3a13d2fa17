// From the values of a pickle to tables of entries: what PyTorch saved, seen as an archive.

import USPBase

/// Flattens the root object of a PyTorch file.
struct TorchTables {
    private let arena: PickleArena
    private let fileSize: Int
    private let isBigEndian: Bool
    private let content: (String) throws(USPError) -> ByteView

    private var tables: [(name: String, entries: [ArchiveEntry])] = []
    private var metadata: [(key: String, value: String)] = []
    private var skipped: [SkippedItem] = []
    private var visits = 0

    private static let deepest = 32
    private static let mostVisits = 1_000_000

    /// - content: the bytes of the storage with this key
    init(
        _ arena: PickleArena, fileSize: Int, isBigEndian: Bool,
        content: @escaping (String) throws(USPError) -> ByteView
    ) {
        self.arena = arena
        self.fileSize = fileSize
        self.isBigEndian = isBigEndian
        self.content = content
    }

    /// The archive of a root object: a tensor, or a dictionary or list that holds some.
    mutating func archive(
        _ root: PickleValue, path: String, _ format: ArchiveFormat
    ) throws(USPError) -> Archive {
        switch root {
        case .tensor(let index):
            try add(index, table: "", name: "tensor")
        case .dictionary, .list, .tuple:
            for (key, value) in items(root) {
                try visit(
                    value, table: isContainer(value) ? key : "",
                    name: isContainer(value) ? "" : key, depth: 1)
            }
        default:
            throw USPError(
                .format, "holds \(root.kind), not tensors; save its state_dict() instead")
        }
        var result: [ArchiveTable] = []
        for table in tables { result.append(try ArchiveTable(table.name, table.entries)) }
        return Archive(
            path: path, format: format, tables: result, metadata: metadata, skipped: skipped)
    }

    private func isContainer(_ value: PickleValue) -> Bool {
        switch value {
        case .dictionary, .list, .tuple: true
        default: false
        }
    }

    /// Keys and values of a dictionary; positions and values of a list. Of repeated keys the last
    /// counts, as it does when a dictionary is filled.
    private func items(_ value: PickleValue) -> [(key: String, value: PickleValue)] {
        guard case .dictionary(let index) = value else {
            return (arena.elements(value) ?? []).enumerated().map { (String($0), $1) }
        }
        var result: [(key: String, value: PickleValue)] = []
        var positions: [String: Int] = [:]
        for (key, value) in arena.dictionaries[index] {
            let text = label(key)
            if let position = positions[text] {
                result[position].value = value
            } else {
                positions[text] = result.count
                result.append((text, value))
            }
        }
        return result
    }

    private func label(_ key: PickleValue) -> String {
        switch key {
        case .text(let text): text
        case .integer(let number): String(number)
        case .global(let name): String(name.split(separator: ".").last ?? "")
        default: "(\(key.kind))"
        }
    }

    private mutating func visit(
        _ value: PickleValue, table: String, name: String, depth: Int
    ) throws(USPError) {
        visits += 1
        guard visits <= TorchTables.mostVisits, depth <= TorchTables.deepest else {
            throw USPError(.format, "\(table).\(name): nested too deeply or too often")
        }
        let full = table.isEmpty ? name : name.isEmpty ? table : "\(table).\(name)"
        switch value {
        case .tensor(let index): try add(index, table: table, name: name)
        case .dictionary, .list, .tuple:
            for (key, inner) in items(value) {
                try visit(
                    inner, table: table, name: name.isEmpty ? key : "\(name).\(key)",
                    depth: depth + 1)
            }
        case .none: break
        case .bool(let value): note(full, value ? "True" : "False", depth)
        case .integer(let value): note(full, String(value), depth)
        case .number(let value): note(full, "\(value)", depth)
        case .text(let value): note(full, value, depth)
        case .global, .storage, .opaque:
            skipped.append(SkippedItem(name: full, reason: "\(value.kind) is not read"))
        }
    }

    /// Plain values near the top are kept; those deep inside an optimiser's state are not.
    private mutating func note(_ key: String, _ value: String, _ depth: Int) {
        if depth <= 2 && metadata.count < 1000 { metadata.append((key, value)) }
    }

    private mutating func add(_ index: Int, table: String, name: String) throws(USPError) {
        let full = table.isEmpty ? name : "\(table).\(name)"
        guard let entry = try entry(arena.tensors[index], name: name, full: full) else { return }
        if let last = tables.lastIndex(where: { $0.name == table }) {
            tables[last].entries.append(entry)
        } else {
            tables.append((table, [entry]))
        }
    }

    /// nil, with a note, for element types that are not ours.
    private mutating func entry(
        _ tensor: PickleTensor, name: String, full: String
    ) throws(USPError) -> ArchiveEntry? {
        let storage = arena.storages[tensor.storage]
        let type = tensor.typeName ?? storage.typeName
        let dtype = tensor.typeName == nil ? storage.dtype : TorchTypes.names[type]
        guard let dtype, let unit = storage.isUntyped ? 1 : storage.dtype?.size else {
            skipped.append(SkippedItem(name: full, reason: "element type \(type)"))
            return nil
        }
        let bytes = try locating(full) { () throws(USPError) in try content(storage.key) }
        let start = try CheckedMath.multiply(storage.offset, unit, full)
        let view = try bytes.part(start, try CheckedMath.multiply(storage.count, unit, full), full)
        return try locating(full) { () throws(USPError) in
            try ArchiveEntry.checked(
                name, dtype, tensor.shape, strides: tensor.strides, offset: tensor.offset,
                storage: view, limit: fileSize, isBigEndian: isBigEndian)
        }
    }
}
