// Named arrays, from any file of arrays or from memory.

import USPBase
import USPFiles
import USPTensor

/// A table of named arrays. Files are mapped, and an array is read when it is asked for.
/// Immutable: any thread.
public final class Checkpoint: Sendable {
    /// One array: its name and its geometry.
    public struct Entry: Sendable, Equatable {
        public let name: String
        public let dtype: DType
        public let shape: Shape
    }

    package let archive: Archive
    package let table: ArchiveTable
    /// Arrays of the table that are in the file and cannot be read, and why.
    public let unread: [(name: String, reason: String)]
    private let unpacked = Lock<[String: ByteView]>([:])

    /// Opens a file, or a folder that holds one under a usual name; reads headers only.
    ///
    /// - table: a nested table or prefix; nil prefers averaged weights, then the model's, then the
    ///   top level; `*` is everything under its full name.
    /// - Throws: saying what was found instead, or which tables there are.
    public static func open(_ path: String, table: String? = nil) throws(USPError) -> Checkpoint {
        let archive = try Archive.open(path)
        return Checkpoint(archive, try select(table, in: archive), isWhole: table == "*")
    }

    /// How a file is opened.
    public struct OpenOptions: Sendable {
        /// As for `open`.
        public var table: String?

        public init() {}
    }

    public static func open(
        _ path: String, _ options: OpenOptions
    ) throws(USPError) -> Checkpoint {
        try open(path, table: options.table)
    }

    /// - isWhole: whether the table holds all of the archive's
    package init(_ archive: Archive, _ table: ArchiveTable, isWhole: Bool = false) {
        self.archive = archive
        self.table = table
        let items = isWhole ? archive.skipped.filter { $0.isArray } : archive.unread(in: table)
        unread = items.map { ($0.name, $0.reason) }
    }

    /// From tensors, whose memory it keeps.
    ///
    /// - Throws: if two have one name.
    public convenience init(_ tensors: [(name: String, tensor: Tensor)]) throws(USPError) {
        let entries = tensors.map { name, tensor in
            ArchiveEntry(
                name, tensor.dtype, tensor.shape,
                bytes: ByteView(base: tensor.raw, count: tensor.byteCount, owner: tensor))
        }
        try self.init(entries: entries)
    }

    /// From entries of files or memory.
    package convenience init(
        entries: [ArchiveEntry], metadata: [(key: String, value: String)] = []
    ) throws(USPError) {
        let table = try ArchiveTable("", entries)
        let archive = Archive(
            path: Archive.memoryPath, format: .safetensors, tables: [table], metadata: metadata)
        self.init(archive, table)
    }

    private static let usual = ["model", "state_dict", "module", ""]

    private static func select(_ name: String?, in archive: Archive) throws(USPError)
        -> ArchiveTable
    {
        if let name {
            return name == "*" ? try ArchiveTable("", archive.entries) : try archive.table(name)
        }
        let tables = archive.tables.filter { !$0.entries.isEmpty }
        let averages = tables.filter { WeightRole(of: $0.name) == .averaged }
        if let average = averages.first {
            let names = averages.map { "\n  --table \($0.name) (\($0.entries.count) arrays)" }
            try require(
                averages.count == 1, .argument,
                "\(archive.path): \(averages.count) tables of averaged weights, and nothing tells "
                    + "which is meant; say which by table:" + names.joined())
            return average
        }
        for name in usual {
            if let table = tables.first(where: { $0.name == name }) { return table }
        }
        let best = tables.map { WeightRole(of: $0.name) }.min()
        let largest = tables.filter { WeightRole(of: $0.name) == best }.max {
            $0.entries.count < $1.entries.count
        }
        if let largest { return largest }
        return try ArchiveTable("", [])
    }

    /// The arrays in the file's order.
    public var entries: [Entry] {
        table.entries.map { Entry(name: $0.name, dtype: $0.dtype, shape: $0.shape) }
    }

    /// Where it came from; `memory` if from no file.
    public var path: String { archive.path }
    /// Such as `safetensors`.
    public var format: String { archive.format.rawValue }
    /// The table that was opened; empty for the top level.
    public var tableName: String { table.name }
    public var tableNames: [String] { archive.tables.map(\.name) }
    public var metadata: [(key: String, value: String)] { archive.metadata }

    /// What of the whole file is not read, and why: also objects beside the arrays.
    public var skipped: [(name: String, reason: String)] {
        archive.skipped.map { ($0.name, $0.reason) }
    }

    package func entry(_ name: String) throws(USPError) -> ArchiveEntry {
        guard let entry = table[name] else {
            let names = table.entries.map(\.name)
            throw unknownArray(name, names)
        }
        return entry
    }

    private func unknownArray(_ name: String, _ names: [String]) -> USPError {
        if let item = archive.skipped.first(where: {
            $0.name == name || $0.name.hasSuffix(".\(name)")
        }) {
            return USPError(
                .unsupported, "\(path): '\(item.name)' is in the file, but \(item.reason)")
        }
        guard names.count <= 4096 else {
            return USPError(.missingWeight, "\(path): no array '\(name)'")
        }
        let nearest = names.min { editDistance($0, name) < editDistance($1, name) }
        let hint = nearest.map { "; did you mean '\($0)'?" } ?? ""
        return USPError(.missingWeight, "\(path): no array '\(name)'\(hint)")
    }

    /// The array's row-major bytes: the file's own, or unpacked once and kept.
    package func bytes(_ name: String) throws(USPError) -> ByteView {
        let entry = try entry(name)
        if let plain = try entry.plainBytes, plain.isAligned(to: entry.dtype.size) { return plain }
        if let kept = unpacked.withLock({ $0[name] }) { return kept }
        let buffer = try ByteBuffer(count: entry.byteCount)
        try entry.copy(into: buffer.bytes)
        unpacked.withLock { $0[name] = buffer.view }
        return buffer.view
    }

    /// The array in its own element type, read-only: a view of the file where that is possible.
    public func tensor(_ name: String) throws(USPError) -> Tensor {
        let entry = try entry(name)
        let view = try bytes(name)
        // SAFETY: the storage keeps the view's owner; tensors of a checkpoint are only read.
        let storage = Storage(
            base: UnsafeMutableRawPointer(mutating: view.base), byteCount: view.count,
            owner: view.owner)
        return Tensor(entry.shape, entry.dtype, storage: storage)
    }
}

extension Checkpoint.OpenOptions: Described {
    public static let title = "checkpoint"
    public static let fields: [Field<Checkpoint.OpenOptions>] = [
        .text(
            "table", \.table,
            "Nested table or prefix, such as ema or first_stage_model; * is everything under its "
                + "full name. Absent: the averaged weights where a training file has some, else "
                + "the model's, else the file's top level.")
    ]
}
