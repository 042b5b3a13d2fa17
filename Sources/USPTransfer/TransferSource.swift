// The model in the source's file, as far as a transfer cares.

import USPBase
import USPFiles
import USPModels
import USPTensor

/// A vision transformer or a diffusion transformer, by names and shapes only.
struct TransferSource {
    let archive: Archive
    let file: FileModel
    let kind: Kind

    enum Kind {
        /// The encoder, and the whole masked autoencoder's sizes (its decoder may be missing).
        case vision(MaskedAutoencoderConfiguration)
        case diffusion(DiTConfiguration)
    }

    init(_ archive: Archive, _ options: InferenceOptions) throws(USPError) {
        self.archive = archive
        file = try FileModel(archive, table: options.table)
        switch file.dialect.family {
        case .visionTransformer: kind = .vision(try TransferSource.sizes(file, options))
        case .diffusionTransformer: kind = .diffusion(try file.diffusionConfiguration(options))
        case .autoencoder, .inception:
            throw USPError(
                .unsupported,
                "\(archive.path): an \(file.dialect.family.rawValue); a transfer starts from a "
                    + "transformer")
        }
        try require(depth > 0, .format, "\(archive.path): no blocks in it")
    }

    /// The decoder's heads matter to nobody here, so a file that does not tell them is fine.
    private static func sizes(
        _ file: FileModel, _ options: InferenceOptions
    ) throws(USPError) -> MaskedAutoencoderConfiguration {
        var options = options
        if options.decoderHeads == nil,
            let width = file.sources["decoder_embed.weight"]?.shape.extents.first
        {
            options.decoderHeads = Presets.heads(width: width) ?? 1
        }
        return try file.maskedAutoencoderConfiguration(options)
    }

    var width: Int {
        switch kind {
        case .vision(let sizes): sizes.encoder.width
        case .diffusion(let sizes): sizes.width
        }
    }

    var depth: Int {
        switch kind {
        case .vision(let sizes): sizes.encoder.depth
        case .diffusion(let sizes): sizes.depth
        }
    }

    var heads: Int {
        switch kind {
        case .vision(let sizes): sizes.encoder.heads
        case .diffusion(let sizes): sizes.heads
        }
    }

    var mlpRatio: Float {
        switch kind {
        case .vision(let sizes): sizes.encoder.mlpRatio
        case .diffusion(let sizes): sizes.mlpRatio
        }
    }

    var grid: Grid {
        switch kind {
        case .vision(let sizes): sizes.encoder.grid
        case .diffusion(let sizes): sizes.grid
        }
    }

    var patch: Int {
        switch kind {
        case .vision(let sizes): sizes.encoder.patch
        case .diffusion(let sizes): sizes.patch
        }
    }

    var channels: Int {
        switch kind {
        case .vision(let sizes): sizes.encoder.channels
        case .diffusion(let sizes): sizes.channels
        }
    }

    var activation: Activation {
        switch kind {
        case .vision(let sizes): sizes.encoder.activation
        case .diffusion(let sizes): sizes.activation
        }
    }

    /// Rows in front of the position table's grid.
    var leading: Int {
        switch kind {
        case .vision(let sizes): sizes.encoder.leadingPositions
        case .diffusion: 0
        }
    }

    var hasClassToken: Bool {
        switch kind {
        case .vision(let sizes): sizes.encoder.classToken
        case .diffusion: false
        }
    }

    var patchEmbedding: String {
        switch kind {
        case .vision: "patch_embed"
        case .diffusion: "x_embedder"
        }
    }

    var isDiffusion: Bool {
        if case .diffusion = kind { return true }
        return false
    }
}
