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

    /// Finds the table and the dialect of a model of this kind (of any without one).
    ///
    /// - table: a nested table or prefix of the file; nil takes what the kind's readers take:
    ///   averaged weights (`ema`) first for diffusion transformers, last for the others
    /// - Throws: `.unsupported` for a model in words, `.format` telling what the file holds instead
    ///   or that its configuration is damaged
    package init(
        _ archive: Archive, _ kind: ModelKind? = nil, table: String? = nil
    ) throws(USPError) {
        let found = try FileModel.find(archive, kind, table: table)
        path = archive.path
        metadata = archive.metadata
        configuration = try FileModel.configuration(archive)
        folder = try FolderConfiguration(beside: path)
        self.table = found.table.name
        (dialect, self.kind) = (found.dialect, found.kind)
        var translation = Translation()
        for entry in found.table.entries {
            try locating(archive.path) { () throws(USPError) in
                try translation.add(entry, found.dialect.meaning(entry.name, found.table))
            }
        }
        sources = translation.sources
        names = translation.names
        ignored = translation.ignored + archive.skipped
        unexpected = translation.unexpected
        duplicates = translation.duplicates
    }

    private static let prefixes = [
        "module", "_orig_mod", "first_stage_model", "vae", "encoder_q", "backbone",
    ]
    private static let tables = ["model", "state_dict", "module", ""]
    private static let averages = ["ema", "model_ema"]

    private typealias Found = (table: ArchiveTable, dialect: Dialect, kind: ModelKind)

    private static func find(
        _ archive: Archive, _ kind: ModelKind?, table: String?
    ) throws(USPError) -> Found {
        let tables =
            try table.map { name throws(USPError) in [try archive.table(name)] } ?? archive.tables
        var found: [Found] = []
        for table in tables {
            for candidate in try candidates(table) {
                if let (dialect, kind) = Dialect.identify(candidate) {
                    found.append((candidate, dialect, kind))
                }
            }
        }
        let fitting = found.filter { kind == nil || $0.kind == kind }
        guard let first = fitting.first else { throw mismatch(archive, kind, found) }
        let order = first.kind.prefersAverage ? averages + Self.tables : Self.tables + averages
        for name in order {
            if let match = fitting.first(where: {
                $0.table.name == name || $0.table.name.hasPrefix(name + ".") && !name.isEmpty
            }) {
                return match
            }
        }
        return first
    }

    /// The table itself, and what is under a usual prefix in it.
    private static func candidates(_ table: ArchiveTable) throws(USPError) -> [ArchiveTable] {
        var result = [table]
        var next = 0
        while next < result.count && next < 4 {
            for prefix in prefixes {
                let under = try result[next].under(prefix)
                if !under.entries.isEmpty { result.append(under) }
            }
            next += 1
        }
        return result
    }

    private static func mismatch(
        _ archive: Archive, _ kind: ModelKind?, _ found: [Found]
    ) -> USPError {
        let wanted = kind.map { "no \($0.title)" } ?? "no model that we know"
        if let other = found.first {
            return USPError(
                .format,
                "\(archive.path): \(wanted) in it, but a \(other.kind.title) "
                    + "(\(other.dialect.name))")
        }
        let names = archive.tables.flatMap { table in
            table.entries.prefix(3).map {
                table.name.isEmpty ? $0.name : "\(table.name).\($0.name)"
            }
        }
        let some = names.prefix(6).joined(separator: ", ")
        return USPError(
            .format,
            "\(archive.path): \(wanted) in it; its arrays are "
                + "\(some.isEmpty ? "none" : some + ", ...")")
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

    mutating func add(_ entry: ArchiveEntry, _ meaning: NameMeaning) throws(USPError) {
        switch meaning {
        case .parameter(let name, let index, let count, let reshapes):
            slots[name, default: [:]][index] = entry
            guard let filled = slots[name], filled.count == count else { return }
            let parts = filled.sorted { $0.key < $1.key }.map(\.value)
            try expectStackable(parts, name)
            sources[name] = TensorSource(parts: parts, rowScale: nil, reshapes: reshapes)
            names.append(name)
        case .duplicate(let name): duplicates.append((entry, name))
        case .ignored(let reason): ignored.append(SkippedItem(name: entry.name, reason: reason))
        case .unsupported(let what):
            throw USPError(.unsupported, "\(entry.name): \(what) is not supported")
        case .unknown: unexpected.append(entry.name)
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
