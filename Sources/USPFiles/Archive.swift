// What a file of arrays gives, whatever its format: tables of entries, plain values beside them,
// and what was left unread.

import USPBase

/// The format of a file, found by its content.
package enum ArchiveFormat: String, Sendable {
    case safetensors
    case torch = "PyTorch archive"
    case torchStream = "PyTorch stream (before 1.6)"
    case npy
    case npz
    case idx
}

/// Something in a file that was not read, and why.
package struct SkippedItem: Sendable, Equatable {
    /// Its full name, the table's in front.
    package let name: String
    /// The table that it would be in.
    package let table: String
    package let reason: String
    /// An array, or something that holds some; else an object beside the arrays, such as a
    /// program's arguments, which no reader of arrays can want.
    package let isArray: Bool

    package init(name: String, table: String = "", reason: String, isArray: Bool = true) {
        self.name = name
        self.table = table
        self.reason = reason
        self.isArray = isArray
    }
}

/// Arrays that belong together, such as everything under the key `ema` of a training file.
package struct ArchiveTable: Sendable {
    /// The key in the file's top level; empty for arrays that lie at the top itself.
    package let name: String
    /// In the file's order, named inside the table.
    package let entries: [ArchiveEntry]
    private let positions: [String: Int]

    /// - Throws: `.format` if two entries have one name.
    package init(_ name: String, _ entries: [ArchiveEntry]) throws(USPError) {
        var positions: [String: Int] = [:]
        positions.reserveCapacity(entries.count)
        for (position, entry) in entries.enumerated() {
            guard positions.updateValue(position, forKey: entry.name) == nil else {
                throw USPError(.format, "two arrays are called \(entry.name)")
            }
        }
        self.name = name
        self.entries = entries
        self.positions = positions
    }

    package subscript(name: String) -> ArchiveEntry? { positions[name].map { entries[$0] } }

    package func contains(_ name: String) -> Bool { positions[name] != nil }

    /// The entries whose names start with `prefix` and a dot, without it.
    package func under(_ prefix: String) throws(USPError) -> ArchiveTable {
        let start = prefix + "."
        let chosen = entries.filter { $0.name.hasPrefix(start) }
        return try ArchiveTable(
            name.isEmpty ? prefix : "\(name).\(prefix)",
            chosen.map { $0.renamed(String($0.name.dropFirst(start.count))) })
    }
}

/// The arrays of a file. Their bytes stay in the file, which stays mapped as long as one is in use.
package struct Archive: Sendable {
    /// The path of what is in no file.
    package static let memoryPath = "memory"

    package let path: String
    package let format: ArchiveFormat
    package let tables: [ArchiveTable]
    /// Plain values beside the arrays: safetensors' metadata, numbers and texts of a training file.
    package let metadata: [(key: String, value: String)]
    package let skipped: [SkippedItem]

    package init(
        path: String, format: ArchiveFormat, tables: [ArchiveTable],
        metadata: [(key: String, value: String)] = [], skipped: [SkippedItem] = []
    ) {
        self.path = path
        self.format = format
        self.tables = tables
        self.metadata = metadata
        self.skipped = skipped
    }

    /// With matrices of 8 bits and their scales as one array each; see `RowScaled`.
    package func joiningScales() throws(USPError) -> Archive {
        let hasIntegers = tables.contains { $0.entries.contains { $0.dtype == .int8 } }
        guard hasIntegers else { return self }
        let joined = try tables.map { table throws(USPError) in
            try ArchiveTable(table.name, RowScaled.joined(table.entries))
        }
        return Archive(
            path: path, format: format, tables: joined, metadata: metadata, skipped: skipped)
    }

    /// All entries; those of a named table carry its name in front.
    package var entries: [ArchiveEntry] {
        tables.flatMap { table in
            table.name.isEmpty
                ? table.entries : table.entries.map { $0.renamed("\(table.name).\($0.name)") }
        }
    }

    /// What is missing of a table that was asked for: arrays of it that are not read.
    package func unread(in table: ArchiveTable) -> [SkippedItem] {
        skipped.filter { item in
            item.isArray
                && (item.table == table.name || item.name.hasPrefix(table.name + ".")
                    || table.name.isEmpty && tables.count <= 1)
        }
    }

    package func metadataValue(_ key: String) -> String? {
        metadata.first { $0.key == key }?.value
    }

    /// The table of this name, or the entries under this prefix (`ema`, `state_dict.module`,
    /// `first_stage_model`), wherever they lie.
    ///
    /// - Throws: `.missingWeight` naming the tables there are.
    package func table(_ name: String) throws(USPError) -> ArchiveTable {
        if let table = tables.first(where: { $0.name == name }) { return table }
        for table in tables {
            var inner = name
            if !table.name.isEmpty && name.hasPrefix(table.name + ".") {
                inner = String(name.dropFirst(table.name.count + 1))
            }
            let found = try table.under(inner)
            if !found.entries.isEmpty { return found }
        }
        let names = tables.map { $0.name.isEmpty ? "the top level" : "'\($0.name)'" }
        throw USPError(
            .missingWeight,
            "\(path): no table '\(name)'; there is \(names.joined(separator: ", "))")
    }

    /// The entry of this full name.
    package func entry(_ name: String) throws(USPError) -> ArchiveEntry {
        for table in tables {
            if table.name.isEmpty, let entry = table[name] { return entry }
            let start = table.name + "."
            if name.hasPrefix(start), let entry = table[String(name.dropFirst(start.count))] {
                return entry.renamed(name)
            }
        }
        throw USPError(.missingWeight, "\(path): no array '\(name)'")
    }
}
