// What a checkpoint is and holds, as text.

import USPBase
import USPFiles

extension Checkpoint {
    /// Format, tables, arrays and what was skipped, for people.
    public var report: String {
        var lines = ["\(path): \(format), \(table.entries.count) arrays, \(size(byteCount))"]
        if archive.tables.count > 1 || table.name != "" {
            let names = archive.tables.map {
                "\($0.name.isEmpty ? "(top level)" : $0.name) \($0.entries.count)"
            }
            lines.append("tables: \(names.joined(separator: ", ")); here: \(label(table.name))")
        }
        for (key, value) in archive.metadata { lines.append("\(key): \(shortened(value))") }
        let width = table.entries.reduce(0) { max($0, $1.name.utf8.count) }
        for entry in table.entries {
            lines.append(
                "  \(padded(entry.name, width))  \(padded(entry.typeText, 4)) \(entry.shape)")
        }
        if !archive.skipped.isEmpty { lines.append("not read: \(archive.skipped.count)") }
        for item in archive.skipped { lines.append("  \(item.name): \(item.reason)") }
        return lines.joined(separator: "\n")
    }

    private var byteCount: Int { table.entries.reduce(0) { $0 + $1.byteCount } }

    private func label(_ name: String) -> String { name.isEmpty ? "(top level)" : name }

    private func size(_ bytes: Int) -> String {
        if bytes < 10_000 { return "\(bytes) bytes" }
        if bytes < 10_000_000 { return "\(bytes / 1000) kB" }
        return "\(bytes / 1_000_000) MB"
    }

    private func shortened(_ text: String) -> String {
        text.count > 80 ? String(text.prefix(77)) + "..." : text
    }

    private func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(width - text.utf8.count, 0))
    }
}
