// Averaged weights whose names have lost their dots.

import USPBase
import USPFiles

extension Archive {
    /// The archive with the dots that LitEma of latent diffusion's code takes out of its names, since
    /// buffers may have none: `model_ema.diffusion_modelpos_embed`, `model_ema.encoderconv_inweight`.
    /// The raw weights beside them tell where they were.
    func restoringDots() throws(USPError) -> Archive {
        var tables: [ArchiveTable] = []
        for table in self.tables { tables.append(try table.restoringDots()) }
        return Archive(
            path: path, format: format, tables: tables, metadata: metadata, skipped: skipped)
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
