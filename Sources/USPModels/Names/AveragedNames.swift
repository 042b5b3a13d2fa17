// Averaged weights whose names have lost their dots, or are lost.

import USPBase
import USPFiles

extension Archive {
    /// The archive with names that the raw weights beside averages tell.
    ///
    /// LitEma of latent diffusion's code takes dots out of names, since buffers may have none:
    /// `model_ema.diffusion_modelpos_embed`, `model_ema.encoderconv_inweight`. torch_ema and
    /// diffusers keep a list without names, `shadow_params`.
    ///
    /// - Returns: beside it the lists that fit nothing in the file
    func namingAverages() throws(USPError) -> (archive: Archive, nameless: [String]) {
        var tables: [ArchiveTable] = []
        var nameless: [String] = []
        for table in self.tables {
            var named = try table.restoringDots()
            for list in table.averagedLists {
                let others = self.tables.filter {
                    $0.name != table.name && WeightRole(of: $0.name) != .helper
                }
                if let names = list.names(in: others) {
                    named = try named.renaming(list.start, names)
                } else {
                    nameless.append(list.label)
                }
            }
            tables.append(named)
        }
        let archive = Archive(
            path: path, format: format, tables: tables, metadata: metadata, skipped: skipped)
        return (archive, nameless)
    }
}

/// Averages that have numbers for names.
private struct AveragedList {
    /// For messages.
    let label: String
    /// In front of the numbers in their table.
    let start: String
    /// By number.
    let shapes: [Shape]

    /// The names of the table that has arrays of these shapes in this order: of all, or of those
    /// that are trained.
    func names(in tables: [ArchiveTable]) -> [String]? {
        for table in tables {
            for entries in [table.entries, table.entries.filter(\.isTrained)]
            where entries.map(\.shape) == shapes {
                return entries.map(\.name)
            }
        }
        return nil
    }
}

extension ArchiveEntry {
    /// Fixed positions and statistics of batches are no parameters that an average has.
    fileprivate var isTrained: Bool {
        let fixed = [
            "pos_embed", "decoder_pos_embed", "running_mean", "running_var", "num_batches_tracked",
        ]
        return !fixed.contains { name == $0 || name.hasSuffix("." + $0) }
    }
}

extension ArchiveTable {
    fileprivate var averagedLists: [AveragedList] {
        var lists: [String: [Shape]] = [:]
        var order: [String] = []
        for entry in entries {
            let end = entry.name.lastIndex(of: ".").map { entry.name.index(after: $0) }
            let start = String(entry.name[..<(end ?? entry.name.startIndex)])
            guard let number = Int(entry.name.dropFirst(start.count)) else { continue }
            if number == 0 { order.append(start) }
            if number == lists[start]?.count ?? 0 { lists[start, default: []].append(entry.shape) }
        }
        return order.prefix(8).compactMap { start in
            let label = [name, String(start.dropLast())].filter { !$0.isEmpty }
                .joined(separator: ".")
            guard WeightRole(of: label) == .averaged, let shapes = lists[start] else { return nil }
            return AveragedList(label: label, start: start, shapes: shapes)
        }
    }

    /// The same with names in place of numbers behind `start`.
    fileprivate func renaming(_ start: String, _ names: [String]) throws(USPError) -> ArchiveTable {
        try ArchiveTable(
            name,
            entries.map { entry in
                guard entry.name.hasPrefix(start),
                    let number = Int(entry.name.dropFirst(start.count)),
                    names.indices.contains(number)
                else { return entry }
                return entry.renamed(start + names[number])
            })
    }
}

extension ArchiveTable {
    fileprivate func restoringDots() throws(USPError) -> ArchiveTable {
        var places: [String] = []
        for entry in entries where entry.name.contains(".") {
            let parts = entry.name.split(separator: ".", omittingEmptySubsequences: false)
            let place = parts.dropLast().joined(separator: ".")
            if places.count < 8, !places.contains(place),
                WeightRole(of: String(parts[parts.count - 2])) == .averaged
            {
                places.append(place)
            }
        }
        var renamed: [String: String] = [:]
        for start in places.map({ $0 + "." }) {
            let flat = entries.filter { $0.name.hasPrefix(start) }
                .map { $0.name.dropFirst(start.count) }
            if flat.contains(where: { $0.contains(".") }) { continue }
            for (name, dotted) in dotted(flat, besides: start) {
                renamed[start + name] = start + dotted
            }
        }
        if renamed.isEmpty { return self }
        return try ArchiveTable(name, entries.map { $0.renamed(renamed[$0.name] ?? $0.name) })
    }

    /// By a name without dots, the same with those that it has in the module that was averaged.
    ///
    /// - place: where they lie, with a dot; the module is beside it or in a module there
    private func dotted(
        _ flat: [Substring], besides place: String
    ) -> [Substring: String] {
        let parts = place.dropLast().split(separator: ".")
        let parent = parts.dropLast().map { $0 + "." }.joined()
        let raw = entries.map(\.name).filter { $0.hasPrefix(parent) && !$0.hasPrefix(place) }
            .map { $0.dropFirst(parent.count) }
        // The longest name is one module's only: in front of it is where that module lies.
        guard let longest = flat.max(by: { $0.count < $1.count }) else { return [:] }
        var module: Substring?
        for name in raw where name.filter({ $0 != "." }).hasSuffix(longest) {
            var rest = name
            while rest.filter({ $0 != "." }).count > longest.count {
                guard let dot = rest.firstIndex(of: ".") else { break }
                rest = rest[dot...].dropFirst()
            }
            guard rest.filter({ $0 != "." }) == longest else { continue }
            let start = name.dropLast(rest.count)
            if start.count < module?.count ?? .max { module = start }
        }
        guard let module else { return [:] }
        var result: [Substring: String] = [:]
        let wanted = Set(flat)
        for name in raw where name.hasPrefix(module) {
            let inner = name.dropFirst(module.count)
            let bare = Substring(inner.filter { $0 != "." })
            if wanted.contains(bare) { result[bare] = String(inner) }
        }
        return result
    }
}
