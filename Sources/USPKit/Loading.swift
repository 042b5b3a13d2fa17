// Models from files and checkpoints of every dialect, with sizes inferred.

import USPBase
import USPFiles
import USPModels
import USPTensor

/// Where a model is loaded from.
private struct ModelSource {
    let archive: Archive
    let options: LoadOptions
    let loading: USPModels.LoadOptions

    init(_ archive: Archive, _ options: LoadOptions) {
        self.archive = archive
        self.options = options
        var loading = USPModels.LoadOptions()
        loading.inference.table = options.table
        loading.inference.heads = options.heads
        loading.inference.decoderHeads = options.decoderHeads
        loading.inference.grid = options.grid.map { Grid($0.height, $0.width) }
        if options.scale != nil || options.shift != nil {
            loading.inference.normalization = LatentNormalization(
                shift: options.shift ?? [0], scale: options.scale ?? [1])
        }
        self.loading = loading
    }

    func weights(
        _ parameters: Parameters, _ report: USPModels.LoadReport, _ family: ModelFamily
    ) throws(USPError) -> ModelWeights {
        ModelWeights(
            parameters, file: try FileModel(archive, family, table: options.table),
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

extension VAE {
    /// Loads an autoencoder with the normalisation of its latents.
    ///
    /// - Throws: one error that names everything that does not fit.
    public static func load(
        _ path: String, _ options: LoadOptions = LoadOptions()
    ) throws(USPError) -> VAE {
        try load(archive: Archive.open(path), options)
    }

    public static func load(
        _ checkpoint: Checkpoint, _ options: LoadOptions = LoadOptions()
    ) throws(USPError) -> VAE {
        try load(archive: checkpoint.selected, options)
    }

    static func load(archive: Archive, _ options: LoadOptions) throws(USPError) -> VAE {
        let source = ModelSource(archive, options)
        let loaded = try KLAutoencoder.load(archive, source.loading)
        let weights = try source.weights(loaded.model.parameters, loaded.report, .autoencoder)
        return VAE(loaded.model, weights, compute: options.compute)
    }
}

extension MaskedAutoencoder {
    /// Loads a masked autoencoder, or the encoder of one.
    ///
    /// - Throws: one error that names everything that does not fit.
    public static func load(
        _ path: String, _ options: LoadOptions = LoadOptions()
    ) throws(USPError) -> MaskedAutoencoder {
        try load(archive: Archive.open(path), options)
    }

    public static func load(
        _ checkpoint: Checkpoint, _ options: LoadOptions = LoadOptions()
    ) throws(USPError) -> MaskedAutoencoder {
        try load(archive: checkpoint.selected, options)
    }

    static func load(archive: Archive, _ options: LoadOptions) throws(USPError) -> MaskedAutoencoder {
        let source = ModelSource(archive, options)
        let loaded = try USPModels.MaskedAutoencoder.load(archive, source.loading)
        let weights = try source.weights(loaded.model.parameters, loaded.report, .visionTransformer)
        return MaskedAutoencoder(loaded.model, weights, compute: options.compute)
    }
}

extension ViT {
    /// Loads a classifier or a plain encoder.
    ///
    /// - Throws: one error that names everything that does not fit.
    public static func load(
        _ path: String, _ options: LoadOptions = LoadOptions()
    ) throws(USPError) -> ViT {
        try load(archive: Archive.open(path), options)
    }

    public static func load(
        _ checkpoint: Checkpoint, _ options: LoadOptions = LoadOptions()
    ) throws(USPError) -> ViT {
        try load(archive: checkpoint.selected, options)
    }

    static func load(archive: Archive, _ options: LoadOptions) throws(USPError) -> ViT {
        let source = ModelSource(archive, options)
        let pool = try options.pool.map { name throws(USPError) in try VisionTransformerConfiguration.pool(name) }
        let loaded = try VisionTransformer.load(archive, pool: pool, source.loading)
        let weights = try source.weights(loaded.model.parameters, loaded.report, .visionTransformer)
        return ViT(loaded.model, weights, compute: options.compute)
    }
}

extension DiT {
    /// Loads a DiT, or a SiT where the options say so: their files do not differ.
    ///
    /// - Throws: one error that names everything that does not fit.
    public static func load(
        _ path: String, _ options: LoadOptions = LoadOptions()
    ) throws(USPError) -> DiT {
        try load(archive: Archive.open(path), options)
    }

    public static func load(
        _ checkpoint: Checkpoint, _ options: LoadOptions = LoadOptions()
    ) throws(USPError) -> DiT {
        try load(archive: checkpoint.selected, options)
    }

    static func load(archive: Archive, _ options: LoadOptions) throws(USPError) -> DiT {
        let source = ModelSource(archive, options)
        if let family = options.family, !["DiT", "SiT"].contains(family) {
            throw unknownName(family, what: "family", known: ["DiT", "SiT"])
        }
        let told = options.family ?? archive.metadataValue("usp.family")
        let loaded = try USPModels.DiT.load(archive, returnsSigma: told != "SiT", source.loading)
        let weights = try source.weights(loaded.model.parameters, loaded.report, .diffusionTransformer)
        return DiT(loaded.model, weights, compute: options.compute)
    }
}

/// Loads a model of whatever family the options or the names and shapes say.
///
/// - Throws: one error that names everything that does not fit.
public func loadModel(
    _ path: String, _ options: LoadOptions = LoadOptions()
) throws(USPError) -> any Model {
    try loadModel(archive: Archive.open(path), options)
}

public func loadModel(
    _ checkpoint: Checkpoint, _ options: LoadOptions = LoadOptions()
) throws(USPError) -> any Model {
    try loadModel(archive: checkpoint.selected, options)
}

private func loadModel(archive: Archive, _ options: LoadOptions) throws(USPError) -> any Model {
    let name: String
    if let family = options.family { name = family } else { name = try family(archive, options.table) }
    switch name {
    case "VAE": return try VAE.load(archive: archive, options)
    case "MAE": return try MaskedAutoencoder.load(archive: archive, options)
    case "ViT": return try ViT.load(archive: archive, options)
    case "DiT", "SiT": return try DiT.load(archive: archive, options)
    default:
        throw unknownName(name, what: "family", known: ["VAE", "MAE", "ViT", "DiT", "SiT"])
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
    }
}
