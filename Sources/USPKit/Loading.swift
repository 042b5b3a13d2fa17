// Models from files and checkpoints of every dialect, with sizes inferred.

import USPBase
import USPFiles
import USPModels
import USPTensor

/// A file, and how a model is loaded from it.
public struct ModelSource {
    let archive: Archive
    let options: LoadOptions

    /// For the loading functions of the families.
    var loading: USPModels.LoadOptions {
        var loading = USPModels.LoadOptions()
        loading.inference.table = options.table
        loading.inference.heads = options.heads
        loading.inference.decoderHeads = options.decoderHeads
        loading.inference.grid = options.grid.map { Grid($0.height, $0.width) }
        if options.scale != nil || options.shift != nil {
            loading.inference.normalization = LatentNormalization(
                shift: options.shift ?? [0], scale: options.scale ?? [1])
        }
        return loading
    }

    func weights(
        _ parameters: Parameters, _ report: USPModels.LoadReport, _ family: ModelFamily
    ) throws(USPError) -> ModelWeights {
        ModelWeights(
            parameters, file: FileNames(try FileModel(archive, family, table: options.table)),
            report: report.text, reportJSON: report.json.indented)
    }
}

extension Checkpoint {
    /// The table that was opened, alone.
    var selected: Archive {
        Archive(
            path: archive.path, format: archive.format, tables: [table],
            metadata: archive.metadata, skipped: archive.skipped)
    }
}

extension Model {
    /// Loads a model of this family; its sizes are inferred. A DiT is a SiT where the options or
    /// the file say so.
    ///
    /// - Throws: one error that names everything that does not fit.
    public static func load(
        _ path: String, _ options: LoadOptions = LoadOptions()
    ) throws(USPError) -> Self {
        try load(ModelSource(archive: Archive.open(path), options: options))
    }

    public static func load(
        _ checkpoint: Checkpoint, _ options: LoadOptions = LoadOptions()
    ) throws(USPError) -> Self {
        try load(ModelSource(archive: checkpoint.selected, options: options))
    }
}

extension VAE {
    public static func load(_ source: ModelSource) throws(USPError) -> VAE {
        try source.options.check(for: "VAE")
        let loaded = try KLAutoencoder.load(source.archive, source.loading)
        let weights = try source.weights(loaded.model.parameters, loaded.report, .autoencoder)
        return VAE(loaded.model, weights, source.options.arithmetic)
    }
}

extension MaskedAutoencoder {
    public static func load(_ source: ModelSource) throws(USPError) -> MaskedAutoencoder {
        try source.options.check(for: "MAE")
        let loaded = try USPModels.MaskedAutoencoder.load(source.archive, source.loading)
        let weights = try source.weights(loaded.model.parameters, loaded.report, .visionTransformer)
        return MaskedAutoencoder(loaded.model, weights, source.options.arithmetic)
    }
}

extension ViT {
    public static func load(_ source: ModelSource) throws(USPError) -> ViT {
        try source.options.check(for: "ViT")
        let pool = try source.options.pool.map { name throws(USPError) in
            try VisionTransformerConfiguration.pool(name)
        }
        let loaded = try VisionTransformer.load(source.archive, pool: pool, source.loading)
        let weights = try source.weights(loaded.model.parameters, loaded.report, .visionTransformer)
        return ViT(loaded.model, weights, source.options.arithmetic)
    }
}

extension DiT {
    public static func load(_ source: ModelSource) throws(USPError) -> DiT {
        if let family = source.options.family, !["DiT", "SiT"].contains(family) {
            throw unknownName(family, what: "family", known: ["DiT", "SiT"])
        }
        let told = source.options.family ?? source.archive.metadataValue("usp.family")
        try source.options.check(for: told == "SiT" ? "SiT" : "DiT")
        let loaded = try USPModels.DiT.load(
            source.archive, returnsSigma: told != "SiT", source.loading)
        let weights = try source.weights(
            loaded.model.parameters, loaded.report, .diffusionTransformer)
        return DiT(loaded.model, weights, source.options.arithmetic)
    }
}

/// Loads a model of whatever family the options or the names and shapes say.
///
/// - Throws: one error that names everything that does not fit.
public func loadModel(
    _ path: String, _ options: LoadOptions = LoadOptions()
) throws(USPError) -> any Model {
    try loadModel(ModelSource(archive: Archive.open(path), options: options))
}

public func loadModel(
    _ checkpoint: Checkpoint, _ options: LoadOptions = LoadOptions()
) throws(USPError) -> any Model {
    try loadModel(ModelSource(archive: checkpoint.selected, options: options))
}

private func loadModel(_ source: ModelSource) throws(USPError) -> any Model {
    let name: String
    if let family = source.options.family {
        name = family
    } else {
        name = try family(source.archive, source.options.table)
    }
    switch name {
    case "VAE": return try VAE.load(source)
    case "MAE": return try MaskedAutoencoder.load(source)
    case "ViT": return try ViT.load(source)
    case "DiT", "SiT": return try DiT.load(source)
    case "Inception": return try Inception.load(source)
    default:
        throw unknownName(
            name, what: "family", known: ["VAE", "MAE", "ViT", "DiT", "SiT", "Inception"])
    }
}

/// The family that names and shapes tell; a plain encoder counts as a classifier.
private func family(_ archive: Archive, _ table: String?) throws(USPError) -> String {
    if let told = archive.metadataValue("usp.family") { return told }
    let file = try FileModel(archive, table: table)
    switch file.dialect.family {
    case .autoencoder: return "VAE"
    case .diffusionTransformer: return "DiT"
    case .visionTransformer: return file.source("mask_token") == nil ? "ViT" : "MAE"
    case .inception: return "Inception"
    }
}
