// From a file's tensors to a model's parameters, strictly.

import Glibc
import USPBase
import USPFiles
import USPTensor

/// How parameters are loaded.
package struct LoadOptions: Sendable {
    package var inference = InferenceOptions()
    /// Whether anything that does not fit is an error; otherwise it is told in the report and
    /// missing parameters start by their rule.
    package var isStrict = true
    /// Whether f32 tensors may stay in the mapped file: no memory, but they cannot be trained.
    package var borrows = true
    /// For parameters that are not loaded.
    package var key = RandomKey(seed: 0)

    package init() {}
}

/// Tensors that a model has no use for, by prefix.
struct Tolerance {
    let prefix: String
    let reason: String
}

extension FileModel {
    /// Fills parameters of this table.
    ///
    /// - tolerated: prefixes of the file's tensors that the model may leave aside
    /// - optional: prefixes of parameters that start by their rule if the file has them not
    /// - Throws: `.missingWeight`, `.shape` naming everything that does not fit
    func load(
        _ specs: [ParameterSpec], _ options: LoadOptions, tolerated: [Tolerance] = [],
        optional: [Tolerance] = []
    ) throws(USPError) -> (parameters: Parameters, report: LoadReport) {
        var report = match(specs, tolerated, optional)
        if options.isStrict && !report.fits { throw report.error }
        let absent = Set(
            report.missing + report.mismatched.map(\.name) + report.initialized.map(\.name))
        try expectEqualDuplicates()
        let parameters: Parameters
        if options.borrows, let borrowed = try borrowed(specs) {
            parameters = borrowed
        } else {
            parameters = try Parameters(specs)
            for (position, spec) in specs.enumerated() {
                let target = parameters[position]
                if !absent.contains(spec.name), let source = sources[spec.name] {
                    try source.fill(target.floats)
                } else {
                    spec.initializer.fill(
                        UnsafeMutableBufferPointer(start: target.floats, count: target.count),
                        options.key.stream(spec.name))
                }
            }
        }
        let isBorrowed = parameters.slab == nil
        for spec in specs where !absent.contains(spec.name) {
            guard let source = sources[spec.name] else { continue }
            let isPlain = source.dtype == .float32 && source.rowScale == nil
            report.loaded.append(
                LoadReport.Loaded(
                    parameter: spec.name, shape: spec.shape, sources: source.names,
                    dtype: source.dtype,
                    action: isBorrowed ? "viewed" : isPlain ? "copied" : "converted"))
        }
        return (parameters, report)
    }

    private func match(
        _ specs: [ParameterSpec], _ tolerated: [Tolerance], _ optional: [Tolerance]
    ) -> LoadReport {
        var report = LoadReport(
            path: path, table: table, dialect: dialect.name, family: dialect.family.rawValue)
        let wanted = Set(specs.map(\.name))
        for spec in specs {
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
            } else if let rule = optional.first(where: { spec.name.hasPrefix($0.prefix) }) {
                report.initialized.append(SkippedItem(name: spec.name, reason: rule.reason))
            } else {
                report.missing.append(spec.name)
            }
        }
        report.ignored = ignored
        for name in names where !wanted.contains(name) {
            let fileName = sources[name]?.names.joined(separator: " + ") ?? name
            if let rule = tolerated.first(where: { name.hasPrefix($0.prefix) }) {
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

    /// All parameters as views of the file, or nil if one of them cannot be.
    private func borrowed(_ specs: [ParameterSpec]) throws(USPError) -> Parameters? {
        var views: [Tensor] = []
        for spec in specs {
            guard let source = sources[spec.name], source.fits(spec.shape),
                let view = source.borrowed(spec.shape)
            else { return nil }
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

extension MaskedAutoencoder {
    private static let tolerated = [
        Tolerance(prefix: "head.", reason: "a classifier's head"),
        Tolerance(prefix: "fc_norm.", reason: "a classifier's norm"),
    ]

    /// Loads a masked autoencoder, or the encoder of one.
    ///
    /// - Throws: `.format` if the file holds something else, `.missingWeight`, `.shape` naming
    ///   everything that does not fit, `.argument` for what the file does not tell
    package static func load(
        _ archive: Archive, _ options: LoadOptions = LoadOptions()
    ) throws(USPError) -> (model: MaskedAutoencoder, report: LoadReport) {
        let file = try FileModel(archive, .visionTransformer, table: options.inference.table)
        let configuration = try file.maskedAutoencoderConfiguration(options.inference)
        var tolerated = tolerated
        if !configuration.hasDecoder {
            tolerated.append(Tolerance(prefix: "mask_token", reason: "no decoder in the file"))
        }
        var loaded = try file.load(try specs(configuration), options, tolerated: tolerated)
        loaded.report.assumed = file.assumedHeads(
            configuration.encoder.heads, width: configuration.encoder.width,
            options.inference.heads, "num_heads")
        if configuration.hasDecoder {
            loaded.report.assumed += file.assumedHeads(
                configuration.decoderHeads, width: configuration.decoderWidth,
                options.inference.decoderHeads, "decoder_num_heads")
        }
        return (try MaskedAutoencoder(configuration, loaded.parameters), loaded.report)
    }
}

extension VisionTransformer {
    private static let tolerated = [
        Tolerance(prefix: "decoder_", reason: "the decoder of pretraining"),
        Tolerance(prefix: "mask_token", reason: "the decoder of pretraining"),
    ]

    /// Loads a classifier or plain encoder.
    ///
    /// - pool: nil: by the file's norm. Average pooling of a file without `fc_norm` starts that
    ///   norm fresh and leaves `norm` aside, as MAE's and USP's fine-tuning do
    /// - Throws: as `MaskedAutoencoder.load`
    package static func load(
        _ archive: Archive, pool: VisionTransformerConfiguration.Pool? = nil,
        _ options: LoadOptions = LoadOptions()
    ) throws(USPError) -> (model: VisionTransformer, report: LoadReport) {
        let file = try FileModel(archive, .visionTransformer, table: options.inference.table)
        let configuration = try file.classifierConfiguration(pool: pool, options.inference)
        let isAveraged = configuration.pool == .average
        let other = Tolerance(
            prefix: isAveraged ? "norm." : "fc_norm.", reason: "the norm of the other pooling")
        let fresh = Tolerance(
            prefix: "fc_norm.", reason: "not in the file; average pooling starts its own norm")
        var loaded = try file.load(
            try specs(configuration), options, tolerated: tolerated + [other],
            optional: isAveraged ? [fresh] : [])
        loaded.report.assumed = file.assumedHeads(
            configuration.encoder.heads, width: configuration.encoder.width,
            options.inference.heads, "num_heads")
        return (try VisionTransformer(configuration, loaded.parameters), loaded.report)
    }
}

extension DiT {
    /// Loads a diffusion transformer.
    ///
    /// - returnsSigma: false for SiT
    /// - Throws: as `MaskedAutoencoder.load`
    package static func load(
        _ archive: Archive, returnsSigma: Bool = true, _ options: LoadOptions = LoadOptions()
    ) throws(USPError) -> (model: DiT, report: LoadReport) {
        let file = try FileModel(archive, .diffusionTransformer, table: options.inference.table)
        let configuration = try file.diffusionConfiguration(
            returnsSigma: returnsSigma, options.inference)
        var loaded = try file.load(try specs(configuration), options)
        loaded.report.assumed = file.assumedHeads(
            configuration.heads, width: configuration.width, options.inference.heads, "num_heads")
        return (try DiT(configuration, loaded.parameters), loaded.report)
    }
}

extension KLAutoencoder {
    /// Loads a KL autoencoder with the normalisation of its latents.
    ///
    /// - Throws: as `MaskedAutoencoder.load`
    package static func load(
        _ archive: Archive, _ options: LoadOptions = LoadOptions()
    ) throws(USPError) -> (model: KLAutoencoder, report: LoadReport) {
        let file = try FileModel(archive, .autoencoder, table: options.inference.table)
        let configuration = try file.autoencoderConfiguration(options.inference)
        var loaded = try file.load(KLAutoencoderConfiguration.specs(configuration), options)
        loaded.report.assumed = file.assumedScale(configuration, options.inference.normalization)
        return (try KLAutoencoder(configuration, loaded.parameters), loaded.report)
    }
}
