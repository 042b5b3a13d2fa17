// From a file's tensors to a model's parameters, strictly.

import Glibc
import USPBase
import USPFiles
import USPTensor

/// Tensors or parameters, by prefix, that may be left aside.
struct Tolerance {
    let prefix: String
    let reason: String
}

/// What does not have to fit when a model is loaded.
struct LoadRules {
    /// Tensors that the model has no use for.
    var tolerated: [Tolerance] = []
    /// Parameters that start by their rule where the file has them not.
    var optional: [Tolerance] = []
}

extension FileModel {
    /// Fills parameters of this table.
    ///
    /// - Throws: `.missingWeight`, `.shape` naming everything that does not fit
    func load(
        _ specs: [ParameterSpec], _ options: LoadOptions, _ rules: LoadRules
    ) throws(USPError) -> (parameters: Parameters, report: LoadReport) {
        var report = match(specs, rules, ignoring: options.ignore)
        try expectUsed(options.ignore, specs)
        if options.isStrict && !report.fits { throw report.error }
        let absent = Set(
            report.mismatched.map(\.name) + report.initialized.map(\.name))
        try expectEqualDuplicates()
        let parameters: Parameters
        if options.borrows, let borrowed = try borrowed(specs, options.compute) {
            parameters = borrowed
        } else {
            parameters = try Parameters(specs)
            for (position, spec) in specs.enumerated() {
                let target = parameters[position]
                if !absent.contains(spec.name), let source = sources[spec.name] {
                    try source.fill(target)
                } else {
                    spec.initializer.fill(
                        UnsafeMutableBufferPointer(start: target.floats, count: target.count),
                        options.key.stream(spec.name))
                }
            }
        }
        parameters.notes = ModelNotes(metadata)
        let isBorrowed = parameters.slab == nil
        for spec in specs where !absent.contains(spec.name) {
            guard let source = sources[spec.name] else { continue }
            let isPlain = source.dtype == .float32
            report.loaded.append(
                LoadReport.Loaded(
                    parameter: spec.name, shape: spec.shape, sources: source.names,
                    dtype: source.dtype,
                    action: isBorrowed ? "viewed" : isPlain ? "copied" : "converted"))
        }
        return (parameters, report)
    }

    /// - Throws: `.argument` for a name that neither an array of the file nor a parameter has
    private func expectUsed(_ names: [String], _ specs: [ParameterSpec]) throws(USPError) {
        for name in names
        where ignoredInVain.contains(name) && !specs.contains(where: { $0.name.isNamed(by: name) })
        {
            let known = (self.names + unexpected)
            let nearest = known.min { editDistance($0, name) < editDistance($1, name) }
            let hint = known.count <= 4096 ? nearest.map { "; did you mean \($0)?" } ?? "" : ""
            throw USPError(.argument, "ignore: nothing in \(path) is called \(name)\(hint)")
        }
    }

    private static let queryBias = ".attn.qkv.bias"

    private func match(
        _ specs: [ParameterSpec], _ rules: LoadRules, ignoring: [String]
    ) -> LoadReport {
        var report = LoadReport(
            path: path, table: table, dialect: dialect.name, family: kind.title)
        (report.choice, report.beside) = (choice, beside)
        report.unapplied = folder?.unapplied ?? []
        let wanted = Set(specs.map(\.name))
        let hasBias = sources.keys.contains { $0.hasSuffix(Self.queryBias) }
        for spec in specs {
            let isIgnored = ignoring.contains { spec.name.isNamed(by: $0) }
            let asAsked = SkippedItem(
                name: spec.name, reason: "\(LoadReport.asAsked); starts by its rule")
            if let source = sources[spec.name] {
                if !source.fits(spec.shape) {
                    report.mismatched.append(
                        SkippedItem(
                            name: spec.name, reason: "expected \(spec.shape), got \(source.shape)"))
                }
            } else if case .table = spec.initializer {
                report.initialized.append(
                    SkippedItem(
                        name: spec.name, reason: "not in the file; sines and cosines of the grid"))
            } else if let rule = rules.optional.first(where: { spec.name.hasPrefix($0.prefix) }) {
                report.initialized.append(SkippedItem(name: spec.name, reason: rule.reason))
            } else if !hasBias, spec.name.hasSuffix(Self.queryBias) {
                report.initialized.append(
                    SkippedItem(name: spec.name, reason: "no block has one (qkv_bias=False); zeros")
                )
            } else if isIgnored {
                report.initialized.append(asAsked)
            } else {
                let reason = unread[spec.name].map { " (in the file, but \($0.reason))" } ?? ""
                report.missing.append(spec.name + reason)
            }
        }
        report.ignored = ignored
        for name in names where !wanted.contains(name) {
            let fileName = sources[name]?.names.joined(separator: " + ") ?? name
            if let rule = rules.tolerated.first(where: { name.hasPrefix($0.prefix) }) {
                report.ignored.append(SkippedItem(name: fileName, reason: rule.reason))
            } else {
                report.unexpected.append(fileName)
            }
        }
        for (entry, name) in duplicates {
            report.ignored.append(SkippedItem(name: entry.name, reason: "repeats \(name)"))
        }
        report.unexpected += unexpected
        return report
    }

    /// All parameters as views of the file, or nil if one of them cannot be. Integers are viewed
    /// where products read them.
    private func borrowed(
        _ specs: [ParameterSpec], _ compute: DType
    ) throws(USPError) -> Parameters? {
        var views: [Tensor] = []
        for spec in specs {
            guard let source = sources[spec.name], source.fits(spec.shape) else { return nil }
            var view = try source.borrowed(spec.shape)
            if view == nil && compute == .int8 { view = try source.borrowedIntegers(spec.shape) }
            guard let view else { return nil }
            views.append(view)
        }
        return try Parameters(specs, borrowing: views)
    }

    private func expectEqualDuplicates() throws(USPError) {
        for (entry, name) in duplicates {
            guard let original = sources[name]?.parts.first else { continue }
            let (a, b) = (try entry.bytes(), try original.bytes())
            let isEqual =
                a.count == b.count && entry.dtype == original.dtype
                && (a.count == 0 || memcmp(a.base, b.base, a.count) == 0)
            withExtendedLifetime((a.owner, b.owner)) {}
            a.release()
            try require(
                isEqual, .unsupported,
                "\(path): \(entry.name) differs from \(original.name), and our model has one for "
                    + "all blocks")
        }
    }
}

extension Family {
    /// Loads a model of this family.
    ///
    /// - Throws: `.format` if the file holds something else, `.missingWeight`, `.shape` naming
    ///   everything that does not fit, `.argument` for what the file does not tell and for options
    ///   that have no part in the family
    func load(
        _ file: FileModel, _ options: LoadOptions
    ) throws(USPError) -> (model: any Model, report: LoadReport) {
        try options.checkParts(in: name)
        let configuration = try configuration(file, options)
        try require(
            options.compute != .int8 || configuration is any TransformerConfiguration, .unsupported,
            "compute: int8 is for the layers of transformer blocks, and this \(name) has none")
        var (parameters, report) = try file.load(
            configuration.specs(), options, rules(configuration))
        report.configuration = configuration.described
        report.assumed = file.assumed(configuration, options)
        report.lacksStatistics = file.lacksStatistics(configuration, options)
        if let sizes = configuration as? Segmenter.Configuration, sizes.channels == 3,
            file.told("usp.family") == nil
        {
            parameters.notes.normalization = "imagenet"
        }
        let rows = ["y_embedder.", "class_emb.", "fake_latent"]
        if report.initialized.contains(where: { item in rows.contains { item.name.hasPrefix($0) } })
        {
            parameters.notes.null = .fresh
        }
        // Who says that there is one says that it is to be used.
        if options.nullClass == true { parameters.notes.null = nil }
        let weights = ModelWeights(parameters, file: FileNames(file), loading: report)
        let model = try locating(file.path) { () throws(USPError) in
            try make(configuration, weights, options.arithmetic)
        }
        return (model, report)
    }
}

extension Model {
    /// Loads a model of this class; its sizes are as the file says, or inferred. A DiT is a SiT
    /// where the options or the file say so.
    ///
    /// - Throws: one error that names everything that does not fit.
    public static func load(
        _ path: String, _ options: LoadOptions = LoadOptions()
    ) throws(USPError) -> Self {
        try load(Archive.open(path), options).model
    }

    public static func load(
        _ checkpoint: Checkpoint, _ options: LoadOptions = LoadOptions()
    ) throws(USPError) -> Self {
        try load(checkpoint.selected, options).model
    }

    package static func load(
        _ archive: Archive, _ options: LoadOptions = LoadOptions()
    ) throws(USPError) -> (model: Self, report: LoadReport) {
        let file = try FileModel(
            archive, families[0].kind, table: options.table, ignoring: options.ignore)
        let loaded = try Family.choose(file, among: families, options.family).load(file, options)
        guard let model = loaded.model as? Self else {
            throw USPError(.internal, "\(archive.path): a \(loaded.model.family) as \(Self.self)")
        }
        return (model, loaded.report)
    }
}

/// Loads a model of whatever family the options, the file, or its names and shapes say.
///
/// - Throws: one error that names everything that does not fit.
public func loadModel(
    _ path: String, _ options: LoadOptions = LoadOptions()
) throws(USPError) -> any Model {
    try loadModel(Archive.open(path), options)
}

public func loadModel(
    _ checkpoint: Checkpoint, _ options: LoadOptions = LoadOptions()
) throws(USPError) -> any Model {
    try loadModel(checkpoint.selected, options)
}

private func loadModel(
    _ archive: Archive, _ options: LoadOptions
) throws(USPError) -> any Model {
    let asked = try options.family.map { name throws(USPError) in try Family.named(name) }
    let file = try FileModel(
        archive, asked?.kind, table: options.table, ignoring: options.ignore)
    let family = if let asked { asked } else { try Family.of(file) }
    return try family.load(file, options).model
}

extension Checkpoint {
    /// The table that was opened, alone.
    package var selected: Archive {
        get throws(USPError) {
            try Archive(
                path: archive.path, format: archive.format, tables: [table],
                metadata: archive.metadata, skipped: archive.skipped
            ).joiningScales()
        }
    }
}
