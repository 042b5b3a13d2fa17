// A plan in words: an aligned table for people, JSON for programs.

import USPBase
import USPFiles
import USPModels
import USPTensor

extension TransferPlan {
    /// The table: target, shape, source, what happens; then what stayed behind; then totals.
    public var text: String {
        let sizes = configuration
        let place = sourceTable.isEmpty ? "" : ", table \(sourceTable)"
        var lines = [
            "from \(sourcePath) (\(sourceDialect)\(place))",
            "to \(sizes.family): width \(sizes.width), \(sizes.depth) blocks, \(sizes.heads) "
                + "heads, patch \(sizes.patch), \(sizes.channels) channels, grid \(sizes.grid)",
            "",
        ]
        let rows = entries.map { entry in
            [entry.name, entry.shape.description, sourceLabel(entry), entry.what]
        }
        lines += aligned([["target", "shape", "source", "what happens"]] + rows)
        lines += ["", "left behind:"]
        lines += leftItems.isEmpty ? ["nothing"] : aligned(leftItems.map { [$0.name, $0.reason] })
        if !notes.isEmpty { lines += [""] + notes.map { "note: \($0)" } }
        let totals = totals
        lines += [
            "",
            "\(totals.transferredTensors) of \(totals.tensors) tensors, "
                + "\(totals.transferredParameters) of \(totals.parameters) parameters "
                + "(\(percent(share))) come from pretraining; \(left.count) tensors of the source "
                + "stay behind",
        ]
        return lines.joined(separator: "\n")
    }

    private func sourceLabel(_ entry: TransferEntry) -> String {
        entry.sources.isEmpty ? "-" : entry.sources.joined(separator: " + ")
    }

    private func percent(_ share: Double) -> String {
        let tenths = Int((share * 1000).rounded())
        return "\(tenths / 10).\(tenths % 10) %"
    }

    /// Columns as wide as their widest cell.
    private func aligned(_ rows: [[String]]) -> [String] {
        let columns = rows.first?.count ?? 0
        let widths = (0..<columns).map { column in rows.reduce(0) { max($0, $1[column].count) } }
        return rows.map { row in
            row.enumerated().map { column, cell in
                column == columns - 1
                    ? cell : cell + String(repeating: " ", count: widths[column] - cell.count)
            }.joined(separator: "  ")
        }
    }

    /// The same for programs.
    public var json: String { jsonValue.indented }

    package var jsonValue: JSON {
        let sizes = configuration
        let totals = totals
        return .object([
            .init("source", .string(sourcePath)), .init("table", .string(sourceTable)),
            .init("dialect", .string(sourceDialect)),
            .init(
                "target",
                .object([
                    .init("family", .string(sizes.family)), .init("width", .integer(sizes.width)),
                    .init("depth", .integer(sizes.depth)), .init("heads", .integer(sizes.heads)),
                    .init("patch", .integer(sizes.patch)),
                    .init("channels", .integer(sizes.channels)),
                    .init(
                        "grid", .array([.integer(sizes.grid.height), .integer(sizes.grid.width)])),
                ])),
            .init(
                "entries",
                .array(
                    entries.map {
                        .object([
                            .init("name", .string($0.name)),
                            .init("shape", .array($0.shape.extents.map(JSON.integer))),
                            .init("sources", .array($0.sources.map(JSON.string))),
                            .init("what", .string($0.what)),
                            .init("transferred", .bool($0.isTransferred)),
                        ])
                    })),
            .init(
                "left",
                .array(
                    leftItems.map {
                        .object([
                            .init("name", .string($0.name)), .init("reason", .string($0.reason)),
                        ])
                    })),
            .init("notes", .array(notes.map(JSON.string))),
            .init("tensors", .integer(totals.tensors)),
            .init("parameters", .integer(totals.parameters)),
            .init("transferred_tensors", .integer(totals.transferredTensors)),
            .init("transferred_parameters", .integer(totals.transferredParameters)),
            .init("share", .number(share)),
        ])
    }
}
