// What a file of arrays holds, for people and for programs.

import USPBase
import USPFiles
import USPKit

/// A file with those of its arrays that were asked for.
struct ArchiveContents {
    let archive: Archive
    let tables: [(name: String, entries: [ArchiveEntry])]
    /// The model in it, if it is one that we know.
    let model: ModelSummary?

    /// - match: part of the names of the arrays that are kept; nil keeps all
    init(_ archive: Archive, _ tables: [ArchiveTable], match: String?) {
        self.archive = archive
        model = ModelSummary(archive, table: tables.count == 1 ? tables[0].name : nil)
        self.tables = tables.map { table in
            guard let match else { return (table.name, table.entries) }
            return (table.name, table.entries.filter { Self.occurs(match.utf8, in: $0.name.utf8) })
        }
    }

    /// String's own `contains` of a string would link a megabyte of regular expressions.
    private static func occurs(_ part: String.UTF8View, in name: String.UTF8View) -> Bool {
        name.indices.contains { name[$0...].starts(with: part) } || part.isEmpty
    }

    /// - listing: whether every array gets a line
    func text(listing: Bool) -> String {
        var parts = [heading]
        if !archive.metadata.isEmpty { parts.append(metadata) }
        if listing { parts += tables.filter { !$0.entries.isEmpty }.map(list) }
        if !archive.skipped.isEmpty {
            let lines = archive.skipped.map { "  \($0.name): \($0.reason)" }
            parts.append("not read (\(lines.count))\n" + lines.joined(separator: "\n"))
        }
        return parts.joined(separator: "\n\n")
    }

    private var heading: String {
        var facts = TextTable([("", .left), ("", .left)])
        facts.add(["file", archive.path])
        facts.add(["format", archive.format.rawValue])
        for table in tables {
            facts.add([
                table.name.isEmpty ? "arrays" : "table \(table.name)", totals(table.entries),
            ])
        }
        if let model { facts.add(["model", model.text]) }
        return facts.text
    }

    private func totals(_ entries: [ArchiveEntry]) -> String {
        let elements = entries.reduce(0) { $0 + $1.count }
        let bytes = entries.reduce(0) { $0 + $1.byteCount }
        let types = DType.allCases.filter { type in entries.contains { $0.dtype == type } }
        let names = types.map(\.name).joined(separator: ", ")
        return "\(grouped(entries.count)) arrays, \(grouped(elements)) elements, "
            + "\(byteText(bytes))\(names.isEmpty ? "" : ", \(names)")"
    }

    private var metadata: String {
        let lines = archive.metadata.map { item in
            let isWhole = item.key == "usp.config" || item.value.count <= 100
            let shown = isWhole ? item.value[...] : item.value.prefix(99) + "…"
            return "  \(item.key): \(shown)"
        }
        return "values\n" + lines.joined(separator: "\n")
    }

    private func list(_ table: (name: String, entries: [ArchiveEntry])) -> String {
        var lines = TextTable([
            (table.name.isEmpty ? "array" : "array of \(table.name)", .left), ("type", .left),
            ("shape", .left), ("elements", .right),
        ])
        for entry in table.entries {
            let shape = entry.shape.extents.map(String.init).joined(separator: " x ")
            lines.add([entry.name, entry.typeText, shape, grouped(entry.count)])
        }
        return lines.text
    }

    /// The same as data.
    func json(listing: Bool) -> JSON {
        .object([
            .init("file", .string(archive.path)),
            .init("format", .string(archive.format.rawValue)),
            .init("model", model?.json ?? .null),
            .init("tables", .array(tables.map { table in json(table, listing) })),
            .init(
                "values",
                .object(archive.metadata.map { .init($0.key, .string($0.value)) })),
            .init(
                "skipped",
                .array(
                    archive.skipped.map {
                        .object([
                            .init("name", .string($0.name)), .init("reason", .string($0.reason)),
                        ])
                    })),
        ])
    }

    private func json(_ table: (name: String, entries: [ArchiveEntry]), _ listing: Bool) -> JSON {
        let entries = table.entries.map { entry in
            JSON.object([
                .init("name", .string(entry.name)),
                .init("dtype", .string(entry.dtype.name)),
                .init("shape", .array(entry.shape.extents.map(JSON.integer))),
            ])
        }
        return .object(
            [
                .init("name", .string(table.name)),
                .init("arrays", .integer(table.entries.count)),
                .init("elements", .integer(table.entries.reduce(0) { $0 + $1.count })),
                .init("bytes", .integer(table.entries.reduce(0) { $0 + $1.byteCount })),
            ] + (listing ? [.init("entries", .array(entries))] : []))
    }
}
