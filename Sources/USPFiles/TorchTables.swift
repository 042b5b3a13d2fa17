// From the values of a pickle to tables of entries: what PyTorch saved, seen as an archive.

import USPBase

/// Flattens the root object of a PyTorch file.
struct TorchTables {
    /// The bytes of the storage with this key, and the checksum that they should have.
    typealias Content = (String) throws(USPError) -> (ByteView, Seal?)

    private let arena: PickleArena
    private let holdings: PickleHoldings
    private let elements: TorchElements
    private var tables: [(name: String, entries: [ArchiveEntry], names: Set<String>)] = []
    private var metadata: [(key: String, value: String)] = []
    private var skipped: [SkippedItem] = []
    private var unnamedSkips = 0
    /// A file that writes everything out once needs an eighth; one whose lists share each other may
    /// mean many times what it holds.
    private var visitsLeft: Int
    /// What the item at hand leaves to those behind it: half.
    private var visitsForOthers = 0

    private static let deepest = 32
    private static let mostNames = 1000
    private static let mostValues = 64

    init(
        _ arena: PickleArena, fileSize: Int, isBigEndian: Bool, content: @escaping Content
    ) {
        self.arena = arena
        holdings = PickleHoldings(arena)
        elements = TorchElements(
            arena, fileSize: fileSize, isBigEndian: isBigEndian, content: content)
        let values =
            arena.lists.reduce(0) { $0 + $1.count }
            + arena.dictionaries.reduce(0) { $0 + $1.count }
        visitsLeft = 2000 + 8 * values
    }

    /// The archive of a root object: a tensor, or a dictionary or list that holds some.
    mutating func archive(
        _ root: PickleValue, path: String, _ format: ArchiveFormat
    ) throws(USPError) -> Archive {
        switch root {
        case .tensor, .array:
            try add(root, table: "", name: "tensor")
        case .dictionary(let index) where arena.modules.contains(index):
            // As `torch.jit.load(path).state_dict()` names them.
            try visit(root, table: "", name: "", depth: 1)
        case .dictionary, .list, .tuple:
            for (key, value) in items(root) {
                visitsForOthers = visitsLeft / 2
                try visit(
                    value, table: isContainer(value) ? key : "",
                    name: isContainer(value) ? "" : key, depth: 1)
            }
        case .module(let name):
            throw USPError(.format, "holds a whole \(name): \(TorchTables.moduleAdvice)")
        case .opaque(let name) where name.hasPrefix("__torch__."):
            throw USPError(
                .format,
                "holds a TorchScript program without arrays (\(name))")
        default:
            throw USPError(
                .format, "holds \(root.kind), not tensors; save its state_dict() instead")
        }
        var result: [ArchiveTable] = []
        for table in tables { result.append(try ArchiveTable(table.name, table.entries)) }
        if unnamedSkips > 0 {
            skipped.append(
                SkippedItem(name: "...", reason: "\(unnamedSkips) more are not read"))
        }
        return Archive(
            path: path, format: format, tables: result, metadata: metadata, skipped: skipped)
    }

    private static let moduleAdvice =
        "a pickled module is a program, and nothing in a file is executed; where its classes are "
        + "at hand, torch.save(module.state_dict(), path) writes a file that can be read"

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
        visitsLeft -= 1
        let full = table.isEmpty ? name : name.isEmpty ? table : "\(table).\(name)"
        switch value {
        case .tensor, .array: try add(value, table: table, name: name)
        case .dictionary, .list, .tuple:
            guard holdings.contains(value) else { return summarise(value, full, depth) }
            guard depth < TorchTables.deepest, visitsLeft > visitsForOthers else {
                let reason = "nested too deeply or too often"
                return skip(full, table, "\(reason): what is in it is not read", isArray: true)
            }
            for (key, inner) in items(value) {
                try visit(
                    inner, table: table, name: name.isEmpty ? key : "\(name).\(key)",
                    depth: depth + 1)
            }
        case .module(let class_):
            skip(full, table, "a whole \(class_): \(TorchTables.moduleAdvice)", isArray: true)
        case .storage:
            skip(full, table, "a storage without a tensor is not read", isArray: true)
        case .opaque(let name):
            let (text, isArray) = TorchTypes.words(name)
            skip(full, table, "\(text) is not read", isArray: isArray)
        case .global, .numpyType, .bytes:
            skip(full, table, "\(value.kind) is not read", isArray: false)
        case .none, .bool, .integer, .number, .text: note(value, full, depth)
        }
    }

    /// A container of plain values alone: a few near the top are kept.
    private mutating func summarise(_ value: PickleValue, _ full: String, _ depth: Int) {
        guard depth < 2 else { return }
        let items = items(value)
        if items.count > TorchTables.mostValues {
            return note(.text("\(items.count) values"), full, depth)
        }
        for (key, inner) in items where !isContainer(inner) {
            note(inner, "\(full).\(key)", depth + 1)
        }
    }

    /// Plain values near the top are kept; those deep inside an optimiser's state are not.
    private mutating func note(_ value: PickleValue, _ key: String, _ depth: Int) {
        guard depth <= 2, metadata.count < TorchTables.mostNames else { return }
        switch value {
        case .bool(let value): metadata.append((key, value ? "True" : "False"))
        case .integer(let value): metadata.append((key, String(value)))
        case .number(let value): metadata.append((key, "\(value)"))
        case .text(let value): metadata.append((key, value))
        default: break
        }
    }

    private mutating func skip(
        _ name: String, _ table: String, _ reason: String, isArray: Bool
    ) {
        guard skipped.count < TorchTables.mostNames else {
            unnamedSkips += 1
            return
        }
        skipped.append(SkippedItem(name: name, table: table, reason: reason, isArray: isArray))
    }

    private mutating func add(
        _ value: PickleValue, table: String, name: String
    ) throws(USPError) {
        let full = table.isEmpty ? name : "\(table).\(name)"
        let entry: ArchiveEntry
        do {
            entry = try elements.entry(value, name: name, full: full)
        } catch let error where error.kind == .dtype || error.kind == .unsupported {
            return skip(full, table, error.message, isArray: true)
        }
        let last = tables.lastIndex { $0.name == table }
        if last == nil { tables.append((table, [], [])) }
        let index = last ?? tables.count - 1
        guard tables[index].names.insert(name).inserted else {
            return skip(full, table, "a second array of this name is not read", isArray: true)
        }
        tables[index].entries.append(entry)
    }
}
