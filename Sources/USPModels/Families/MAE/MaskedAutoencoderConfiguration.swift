// Sizes and parameter table of a masked autoencoder, in the names of MAE's checkpoints.

import USPBase
import USPFiles
import USPTensor

extension MaskedAutoencoder {
    public struct Configuration: TransformerConfiguration {
        /// The encoder; 14x14 patches of 2x2 by default.
        public var transformer: TransformerSizes
        /// Width of the decoder's tokens; 0: no decoder, features only.
        public var decoderWidth: Int
        public var decoderDepth: Int
        public var decoderHeads: Int

        public init() { self.init(TransformerSizes()) }

        public init(
            _ encoder: TransformerSizes, decoderWidth: Int = 512, decoderDepth: Int = 8,
            decoderHeads: Int = 16
        ) {
            transformer = encoder
            (self.decoderWidth, self.decoderDepth) = (decoderWidth, decoderDepth)
            self.decoderHeads = decoderHeads
        }

        public var family: String { "MAE" }
        public var hasDecoder: Bool { decoderWidth > 0 }

        /// The decoder's blocks, which are of the encoder's kind.
        var decoder: TransformerSizes {
            var sizes = transformer
            (sizes.width, sizes.heads) = (decoderWidth, decoderHeads)
            return sizes
        }
        var decoderBlock: BlockConfiguration { decoder.block() }

        public func checkTogether() throws(USPError) {
            try transformer.check()
            if hasDecoder { try locating("decoder", decoder.check) }
        }
    }
}

extension MaskedAutoencoder.Configuration: Described {
    public static let title = "MAE"
    public static let fields: [Field<Self>] =
        TransformerSizes.rows(
            without: ["affine", "shift", "relative_positions", "pre_norm"], \.transformer) + [
            .integer(
                "decoder_width", \.decoderWidth, FieldRange(0, 65536),
                "Width of the decoder's tokens; 0 has no decoder: features only."),
            .integer("decoder_depth", \.decoderDepth, FieldRange(0, 4096), "Its blocks."),
            .integer("decoder_heads", \.decoderHeads, .size, "Their attention heads."),
        ]
}

extension MaskedAutoencoder.Configuration {
    /// The parameter table: names, shapes and initialisation of the original.
    /// - Throws: `.argument` for sizes that no model has
    public func specs() throws(USPError) -> [ParameterSpec] {
        try check()
        let encoder = transformer
        let width = encoder.width
        var specs: [ParameterSpec] = []
        if encoder.classToken {
            specs.append(ParameterSpec("cls_token", [1, 1, width], .normal(deviation: 0.02)))
        }
        specs += encoder.registerSpecs(deviation: 0.02)
        specs.append(
            try positions("pos_embed", width: width, leading: encoder.leadingPositions))
        if hasDecoder {
            let token: Shape = [1, 1, decoderWidth]
            specs.append(ParameterSpec("mask_token", token, .normal(deviation: 0.02)))
            specs.append(
                try positions("decoder_pos_embed", width: decoderWidth, leading: encoder.leading))
        }
        specs += PatchEmbedding.specs(
            "patch_embed", width: width, channels: encoder.channels, patch: encoder.patch,
            xavier: true)
        specs += try encoder.rotarySpecs()
        for index in 0..<encoder.depth { specs += encoder.block().specs("blocks.\(index)") }
        specs += NormLayer.specs("norm", width: width, encoder.norm)
        return hasDecoder ? specs + (try decoderSpecs()) : specs
    }

    private func decoderSpecs() throws(USPError) -> [ParameterSpec] {
        var specs = LinearLayer.specs(
            "decoder_embed", inputs: self.width, outputs: decoderWidth, .xavier)
        specs += try decoder.rotarySpecs("decoder_feat_rope")
        for index in 0..<decoderDepth { specs += decoderBlock.specs("decoder_blocks.\(index)") }
        specs += NormLayer.specs("decoder_norm", width: decoderWidth, decoder.norm)
        return specs
            + LinearLayer.specs(
                "decoder_pred", inputs: decoderWidth, outputs: self.patchSize, .xavier)
    }

    /// A frozen sine-cosine table with a row of zeros for the class token.
    private func positions(
        _ name: String, width: Int, leading: Int
    ) throws(USPError) -> ParameterSpec {
        let table = try PositionTable.sincos(width: width, grid: self.grid, leading: leading)
        return ParameterSpec(
            name, [1, leading + self.tokens, width], .table(table), isTrainable: false)
    }
}

extension Family {
    static let mae = Family(
        "MAE", MaskedAutoencoder.self, .visionTransformer, stream: "mae",
        presets: Presets.vision("MAE") { MaskedAutoencoder.Configuration($0) }
            + Presets.beforeAutoregression + Presets.beforeLightning,
        claims: { $0.source("mask_token") != nil },
        rules: { sizes in
            var rules = LoadRules(tolerated: [
                Tolerance(prefix: "head.", reason: "a classifier's head"),
                Tolerance(prefix: "fc_norm.", reason: "a classifier's norm"),
            ])
            if !sizes.hasDecoder {
                rules.tolerated.append(
                    Tolerance(prefix: "mask_token", reason: "no decoder in the file"))
            }
            return rules
        },
        infer: { file, options throws(USPError) in
            try file.maskedAutoencoderConfiguration(options)
        })
}

extension FileModel {
    /// Sizes of a masked autoencoder; without decoder tensors, of its encoder only.
    package func maskedAutoencoderConfiguration(
        _ options: LoadOptions
    ) throws(USPError) -> MaskedAutoencoder.Configuration {
        var sizes =
            told(as: MaskedAutoencoder.Configuration.self)
            ?? MaskedAutoencoder.Configuration()
        sizes.transformer = try encoder(options)
        guard let shape = sources["decoder_embed.weight"]?.shape, shape.rank == 2 else {
            sizes.decoderWidth = 0
            return sizes
        }
        sizes.decoderWidth = shape[0]
        sizes.decoderDepth = depth("decoder_blocks")
        sizes.decoderHeads = try heads("decoder_heads", shape[0], options)
        return sizes
    }
}
