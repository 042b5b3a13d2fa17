// A file's tensors under our names: which table of the file, which dialect, what is left over.
// Nothing is read but names and shapes.

import USPBase
import USPFiles

package struct FileModel: Sendable {
    package let path: String
    /// The table of the file, such as `ema`; empty for its top level.
    package let table: String
    package let dialect: Dialect
    package let kind: ModelKind
    /// By our name.
    package private(set) var sources: [String: TensorSource]
    /// Names of `sources` in the file's order.
    package private(set) var names: [String]
    package let ignored: [SkippedItem]
    package let unexpected: [String]
    /// Arrays that repeat a parameter, which must be equal to it.
    let duplicates: [(entry: ArchiveEntry, of: String)]
    /// What is beside the tensors: epoch, arguments, free texts.
    package let metadata: [(key: String, value: String)]
    /// What our own writer tells in `usp.config`.
    package let configuration: (any ModelConfiguration)?
    /// What stands in the folder beside it.
    let folder: FolderConfiguration?
    /// Which weights are taken, and why, where the file has others.
    package let choice: String?
    /// What of the file is no part of the model: optimisers, other copies, other models.
    package let beside: [SkippedItem]
    /// Parameters, by our name, that are in the file and cannot be read.
    let unread: [String: SkippedItem]
    /// Names that were to be ignored, and that no array has.
    let ignoredInVain: [String]

    /// Finds the table and the dialect of a model of this kind (of any without one).
    ///
    /// - table: a nested table or prefix of the file; nil takes averaged weights where it has some,
    ///   behind whatever prefix the model's names have
    /// - ignoring: arrays, by their names or the start of these, that are as if they were not there
    /// - Throws: `.unsupported` for a model in words, `.format` telling what the file holds instead
    ///   or that its configuration is damaged, `.argument` for several models that nothing tells
    ///   apart
    package init(
        _ archive: Archive, _ kind: ModelKind? = nil, table: String? = nil, ignoring: [String] = []
    ) throws(USPError) {
        let places = try ModelPlaces(archive, kind, table: table)
        let archive = places.archive
        let (place, choice) = try places.choose()
        path = archive.path
        metadata = archive.metadata
        configuration = try FileModel.configuration(archive)
        self.table = place.name
        (dialect, self.kind, self.choice) = (place.dialect, place.kind, choice)
        folder = try FolderConfiguration(beside: path, place.dialect)
        beside = archive.beside(place.table)
        let unread = archive.unread(of: place)
        self.unread = unread
        var translation = Translation(ignoring: ignoring)
        for (entry, plain) in zip(place.table.entries, place.plain.entries) {
            try locating(archive.path) { () throws(USPError) in
                let meaning = place.dialect.meaning(plain.name, place.plain)
                try translation.add(entry, plain.name, meaning)
            }
        }
        try translation.fillKeyBiases()
        sources = translation.sources
        names = translation.names
        let aside = unread.values.filter { item in
            ignoring.contains { pattern in
                item.name.isNamed(by: pattern)
                    || unread.contains { $0.value == item && $0.key.isNamed(by: pattern) }
            }
        }
        ignored =
            translation.ignored + archive.skipped.filter { !aside.contains($0) }
            + aside.map { SkippedItem(name: $0.name, reason: LoadReport.asAsked) }
        unexpected = translation.unexpected
        duplicates = translation.duplicates
        let unreadNames = unread.keys + unread.values.map(\.name)
        ignoredInVain = ignoring.filter { pattern in
            !translation.used.contains(pattern)
                && !unreadNames.contains { $0.isNamed(by: pattern) }
        }
    }

    /// What a user has to know of how the file was read.
    package var notes: [String] {
        (choice.map { ["\(path): takes \($0)"] } ?? [])
            + (folder?.unapplied ?? []).map { "\(path): \($0.name): \($0.reason)" }
    }

    /// The same, with what is assumed of its configuration.
    package func toldNotes() throws(USPError) -> [String] {
        var options = LoadOptions()
        options.needsHeads = false
        let assumed = assumed(try sizes(options), LoadOptions())
        return notes + assumed.map { "\(path): assumes \($0.name): \($0.reason)" }
    }

    /// For those who do with what there is.
    ///
    /// - Throws: `.unsupported` for parameters that are in the file and cannot be read; `.argument`
    ///   for names to be ignored that it has not
    package func expectReadable() throws(USPError) {
        let items = unread.values.filter { item in
            !ignored.contains { $0.name == item.name && $0.reason == LoadReport.asAsked }
        }.sorted { $0.name < $1.name }
        let shown = items.prefix(8).map { "\n  \($0.name): \($0.reason)" }.joined()
        try require(
            items.isEmpty, .unsupported,
            "\(path): \(items.count) arrays of the model cannot be read; ignore leaves them aside:"
                + shown)
        if let name = ignoredInVain.first {
            throw USPError(.argument, "ignore: nothing in \(path) is called \(name)")
        }
    }

    package func source(_ name: String) -> TensorSource? { sources[name] }

    /// The shape of a parameter in the file.
    package func shape(_ name: String) throws(USPError) -> Shape {
        guard let source = sources[name] else {
            throw USPError(.missingWeight, "\(path): no \(name) in it")
        }
        return source.shape
    }
}

extension FileModel {
    /// The same model with names that have this prefix without it.
    package func without(_ prefix: String) -> FileModel {
        func plain(_ name: String) -> String {
            name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name
        }
        var result = self
        result.names = names.map(plain)
        result.sources = [:]
        for (name, source) in sources { result.sources[plain(name)] = source }
        return result
    }

    /// The same model without layer scale: its factors are those of the rows before them.
    ///
    /// - Throws: `.shape` for factors that are not as many as the rows
    package func foldingLayerScale() throws(USPError) -> FileModel {
        var result = self
        for (name, scale) in sources where name.hasSuffix(".gamma") {
            let parts = components(name)
            guard parts.count == 4, let entry = scale.parts.first,
                let layers = ["ls1": ["attn.proj"], "ls2": ["mlp.fc2", "mlp.w3"]][parts[2]]
            else { continue }
            let targets = layers.flatMap { ["\($0).weight", "\($0).bias"] }
            for target in targets.map({ "blocks.\(parts[1]).\($0)" }) {
                guard let source = sources[target] else { continue }
                try require(
                    entry.shape.rank == 1 && entry.count == source.shape.extents.first, .shape,
                    "\(path): \(entry.name): \(entry.shape) for the rows of \(source.shape)")
                result.sources[target]?.rowScale = entry
            }
            result.sources[name] = nil
        }
        result.names.removeAll { result.sources[$0] == nil }
        return result
    }
}

/// Collects the meanings of a table's names.
private struct Translation {
    var sources: [String: TensorSource] = [:]
    var names: [String] = []
    var ignored: [SkippedItem] = []
    var unexpected: [String] = []
    var duplicates: [(entry: ArchiveEntry, of: String)] = []
    private var slots: [String: [Int: ArchiveEntry]] = [:]
    let ignoring: [String]
    private(set) var used: Set<String> = []

    init(ignoring: [String]) { self.ignoring = ignoring }

    /// - plain: its name without wrappers
    mutating func add(
        _ entry: ArchiveEntry, _ plain: String, _ meaning: NameMeaning
    ) throws(USPError) {
        let known = [entry.name, plain] + [meaning.parameter].compactMap { $0 }
        if let pattern = ignoring.first(where: { pattern in
            known.contains { $0.isNamed(by: pattern) }
        }) {
            used.insert(pattern)
            ignored.append(SkippedItem(name: entry.name, reason: LoadReport.asAsked))
            return
        }
        switch meaning {
        case .parameter(let name, let index, let count, let reshapes, let leading):
            slots[name, default: [:]][index] = entry
            guard let filled = slots[name], filled.count == count else { return }
            let parts = filled.sorted { $0.key < $1.key }.map(\.value)
            try expectStackable(parts, name)
            sources[name] = TensorSource(
                parts: parts, rowScale: nil, reshapes: reshapes, leading: leading)
            names.append(name)
        case .duplicate(let name): duplicates.append((entry, name))
        case .ignored(let reason): ignored.append(SkippedItem(name: entry.name, reason: reason))
        case .unsupported(let what):
            throw USPError(.unsupported, "\(entry.name): \(what) is not supported")
        case .unknown where entry.shape.rank == 0:
            ignored.append(
                SkippedItem(name: entry.name, reason: "a single number beside the model"))
        case .unknown: unexpected.append(entry.name)
        }
    }

    /// BEiT's projections have biases for queries and values only: keys have zeros.
    mutating func fillKeyBiases() throws(USPError) {
        for (name, filled) in slots where filled.count == 2 && name.hasSuffix("attn.qkv.bias") {
            guard let query = filled[0], filled[2] != nil, query.shape.rank == 1 else { continue }
            let bytes = try ByteBuffer(count: query.byteCount)
            bytes.bytes.initializeMemory(as: UInt8.self, repeating: 0)
            let zeros = ArchiveEntry(
                TensorSource.zeros, query.dtype, query.shape, bytes: bytes.view)
            try add(zeros, name, .parameter(name, index: 1, count: 3))
        }
    }

    private func expectStackable(_ parts: [ArchiveEntry], _ name: String) throws(USPError) {
        guard parts.count > 1, let first = parts.first else { return }
        for part in parts {
            try require(
                part.shape.rank > 0
                    && part.shape.extents.dropFirst() == first.shape.extents.dropFirst()
                    && part.dtype == first.dtype, .shape,
                "\(part.name): \(part.dtype.name) \(part.shape) beside \(first.dtype.name) "
                    + "\(first.shape)")
        }
    }
}

extension NameMeaning {
    /// The parameter that the array is, or is a part of.
    fileprivate var parameter: String? {
        switch self {
        case .parameter(let name, _, _, _, _), .duplicate(let name): name
        default: nil
        }
    }
}

extension String {
    /// Whether this is the name, or the name stands in front of a dot in it.
    func isNamed(by name: String) -> Bool {
        self == name || hasPrefix(name + ".")
    }
}

extension Archive {
    /// What of the file is not in this table of it, by table or first part of the name.
    fileprivate func beside(_ own: ArchiveTable) -> [SkippedItem] {
        var counts: [String: Int] = [:]
        var names: [String] = []
        let start = own.name.isEmpty ? "" : own.name + "."
        for table in tables {
            for entry in table.entries {
                let full = table.name.isEmpty ? entry.name : "\(table.name).\(entry.name)"
                if full.hasPrefix(start), own.contains(String(full.dropFirst(start.count))) {
                    continue
                }
                let first = String(entry.name.prefix { $0 != "." })
                let group =
                    table.name.isEmpty || own.name.isNamed(by: table.name)
                    ? (table.name.isEmpty ? first : "\(table.name).\(first)") : table.name
                if counts[group] == nil { names.append(group) }
                counts[group, default: 0] += 1
            }
        }
        return names.map { name in
            let count = counts[name] ?? 0
            return SkippedItem(name: name, reason: "\(count) \(count == 1 ? "array" : "arrays")")
        }
    }

    /// Arrays of a place that cannot be read, by the parameter of ours that they are.
    fileprivate func unread(of place: ModelPlace) -> [String: SkippedItem] {
        var result: [String: SkippedItem] = [:]
        let start = place.name.isEmpty ? "" : place.name + "."
        for item in skipped where item.isArray && item.name.hasPrefix(start) {
            let name = WrappedNames.plain(String(item.name.dropFirst(start.count)))
            if let parameter = place.dialect.meaning(name, place.plain).parameter {
                result[parameter] = item
            }
        }
        return result
    }
}
