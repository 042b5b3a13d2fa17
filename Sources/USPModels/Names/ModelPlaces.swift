// Where in a file models lie, and which of several is meant.

import USPBase
import USPFiles

/// A table of a file, or what is under a prefix in one, that holds a model.
struct ModelPlace {
    /// Named as in the file, less the place's own name.
    let table: ArchiveTable
    /// The same entries under the names that the model's own modules give them.
    let plain: ArchiveTable
    let dialect: Dialect
    let kind: ModelKind

    var name: String { table.name }
    /// For messages.
    var label: String { name.isEmpty ? "the top level" : name }
    var role: WeightRole { WeightRole(of: name) }

    /// Whether both hold the same parameters in the same shapes.
    func isAlike(_ other: ModelPlace) -> Bool {
        kind == other.kind
            && plain.entries.allSatisfy { entry in
                other.plain[entry.name].map { $0.shape == entry.shape } ?? true
            }
    }
}

/// What a place's name says of the weights in it, best first.
enum WeightRole: Int, Comparable {
    /// Averaged over training, which is what the field's readers evaluate and sample.
    case averaged
    /// Nothing.
    case plain
    /// As trained, beside averaged ones.
    case raw
    /// A helper of training.
    case helper

    static func < (a: WeightRole, b: WeightRole) -> Bool { a.rawValue < b.rawValue }

    /// Words between dots and underscores: `ema_state_dict`, `state_dict_ema`, `net_ema`,
    /// `ema.shadow`, `swa_model`, `teacher` (DINO's, iBOT's, DINOv2's).
    private static let averages: Set<Substring> = [
        "ema", "shadow", "swa", "avg", "average", "averaged", "averaging", "polyak", "teacher",
    ]
    private static let raws: Set<Substring> = [
        "online", "online_model", "student", "raw", "base_encoder", "encoder_q",
        "current_model_state",
    ]
    /// timm and REPA read I-JEPA's `encoder`, MoCo evaluates its base encoder.
    private static let helpers: Set<Substring> = [
        "target_encoder", "momentum_encoder", "encoder_k", "discriminator", "collected_params",
        "backup", "optimizer", "optimizer_states", "opt", "exp_avg", "exp_avg_sq", "gradients",
    ]

    /// The innermost part of the name that says something decides: `ema.online_model` is raw.
    init(of place: String) {
        for part in place.lowercased().split(separator: ".").reversed() {
            if Self.raws.contains(part) { self = .raw; return }
            if Self.helpers.contains(part) { self = .helper; return }
            let words = part.split { $0 == "_" || $0 == "-" }
            if words.contains(where: { Self.averages.contains($0.trimmingDigits) }) {
                self = .averaged
                return
            }
        }
        self = .plain
    }
}

extension Substring {
    /// Without digits at its end: `ema2` is `ema`.
    fileprivate var trimmingDigits: Substring {
        var rest = self
        while let last = rest.last, last.isNumber { rest.removeLast() }
        return rest
    }
}

/// The models of a file, of one kind or of all.
struct ModelPlaces {
    let all: [ModelPlace]
    /// With the names that averages may have lost.
    let archive: Archive
    /// Averages whose names nothing tells.
    private let nameless: [String]
    private let wanted: ModelKind?
    /// The table that was asked for.
    private let table: ArchiveTable?

    /// - table: a nested table or prefix, in which the model lies
    init(_ archive: Archive, _ wanted: ModelKind?, table: String?) throws(USPError) {
        let (archive, nameless) = try archive.namingAverages()
        (self.archive, self.wanted, self.nameless) = (archive, wanted, nameless)
        self.table = try table.map { name throws(USPError) in try archive.table(name) }
        var found: [ModelPlace] = []
        for table in self.table.map({ [$0] }) ?? archive.tables {
            found += try locating(archive.path) { () throws(USPError) in
                try ModelPlaces.places(in: table)
            }
        }
        all = found
    }

    /// A model can lie wherever its telling array does, behind any prefix.
    private static func places(in table: ArchiveTable) throws(USPError) -> [ModelPlace] {
        let anchors = ModelKind.all.flatMap(\.dialects).flatMap(\.anchors).map {
            $0.split(separator: ".")
        }
        var prefixes = [""]
        for entry in table.entries {
            for anchor in anchors {
                if let prefix = WrappedNames.prefix(of: entry.name, before: anchor),
                    !prefixes.contains(prefix)
                {
                    prefixes.append(prefix)
                }
            }
        }
        var found: [(prefix: String, table: ArchiveTable)] = []
        var parts: Set<String> = []
        for prefix in prefixes.prefix(64) {
            let whole = prefix.isEmpty ? table : try table.under(prefix)
            guard let (dialect, _) = Dialect.identify(try plain(whole)) else { continue }
            found.append((prefix, whole))
            parts.formUnion(dialect.parts.map { prefix.isEmpty ? $0 : "\(prefix).\($0)" })
        }
        found.removeAll { parts.contains($0.prefix) }
        var result: [ModelPlace] = []
        for (prefix, whole) in found {
            // What another place holds is not this one's.
            let start = prefix.isEmpty ? 0 : prefix.count + 1
            let inner = found.map(\.prefix).filter {
                $0 != prefix && (prefix.isEmpty || $0.hasPrefix(prefix + "."))
            }
            let own = try ArchiveTable(
                whole.name,
                whole.entries.filter { entry in
                    !inner.contains { entry.name.hasPrefix($0.dropFirst(start) + ".") }
                })
            let named = try plain(own)
            if let (dialect, kind) = Dialect.identify(named) {
                result.append(ModelPlace(table: own, plain: named, dialect: dialect, kind: kind))
            }
        }
        return result
    }

    /// The entries under the names that the model's own modules give them.
    private static func plain(_ table: ArchiveTable) throws(USPError) -> ArchiveTable {
        try ArchiveTable(
            table.name, table.entries.map { $0.renamed(WrappedNames.plain($0.name)) })
    }

    /// The place that is meant, and in words why, where there are others.
    ///
    /// - Throws: `.format` where there is no model of the kind; `.argument` with `table` for each of
    ///   several that nothing tells apart
    func choose() throws(USPError) -> (place: ModelPlace, choice: String?) {
        let fitting = all.filter { wanted == nil || $0.kind == wanted }
        guard let first = fitting.first else { throw mismatch }
        // The place that was named, rather than one inside.
        if let table, let exact = fitting.first(where: { $0.name == table.name }) {
            return (exact, nil)
        }
        let role = fitting.map(\.role).min() ?? .plain
        let best = fitting.filter { $0.role == role }
        let isOne =
            best.count == 1 && fitting.allSatisfy { $0.role == .helper || $0.isAlike(first) }
        guard isOne else { throw ambiguity(fitting) }
        let unnamed = role == .averaged ? [] : nameless
        let others =
            fitting.filter { $0.name != best[0].name }.map(\.label)
            + unnamed.map { "\($0) (averages without names, whose shapes are not the model's)" }
        guard !others.isEmpty else { return (best[0], nil) }
        let why = role == .averaged ? "the averaged weights" : "the model's weights"
        return (
            best[0],
            "\(why), table \(best[0].label); also there: \(others.joined(separator: ", "))"
        )
    }

    private func ambiguity(_ places: [ModelPlace]) -> USPError {
        let ways = places.prefix(16).map { place in
            "\n  --table \(place.name.isEmpty ? "\"\"" : place.name)"
                + " (\(place.kind.title), \(place.plain.entries.count) arrays)"
        }
        return USPError(
            .argument,
            "\(archive.path): \(places.count) models in it, and nothing tells which is meant; "
                + "say which by table (of an autoencoder beside a model --vae-table):"
                + ways.joined())
    }

    /// Said where no place fits: what there is instead.
    private var mismatch: USPError {
        let sought = wanted.map { "no \($0.title)" } ?? "no model that we know"
        if let other = all.first {
            return USPError(
                .format,
                "\(archive.path): \(sought) in it, but \(article(other.kind.title)) \(other.kind.title) "
                    + "(\(other.dialect.name))")
        }
        let tables = table.map { [$0] } ?? archive.tables
        let names = tables.flatMap { table in
            table.entries.prefix(3).map {
                table.name.isEmpty ? $0.name : "\(table.name).\($0.name)"
            }
        }
        let some = names.prefix(6).joined(separator: ", ")
        var text = "\(archive.path): \(sought) in it; its arrays are "
        text += some.isEmpty ? "none" : some + ", ..."
        if names.contains(where: { $0.split(separator: ".").last?.hasSuffix("flat_param") ?? false }
        ) {
            text += "; these are shards of FSDP: save a full state dict instead"
        }
        let unread = archive.skipped.filter(\.isArray)
        if !unread.isEmpty {
            let shown = unread.prefix(3).map { "\($0.name) (\($0.reason))" }
            text += "; not read: \(shown.joined(separator: ", "))"
            if unread.count > 3 { text += " and \(unread.count - 3) more" }
        }
        return USPError(.format, text)
    }
}
