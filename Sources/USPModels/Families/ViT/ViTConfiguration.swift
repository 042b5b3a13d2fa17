// Sizes and parameter table of a classifier, in timm's names.

import USPBase
import USPFiles
import USPTensor

extension ViT {
    /// What of the tokens becomes the feature; timm's words.
    public enum Pool: String, Sendable, CaseIterable {
        /// The class token after `norm`.
        case token
        /// The mean of the patches' tokens, then `fc_norm`; or of their normed tokens.
        case avg
    }

    /// What follows the feature.
    public enum Head: String, Sendable, CaseIterable {
        /// `head.weight`, `head.bias`.
        case linear
        /// Batch norm without γ and β (`head.0`), then linear (`head.1`): MAE's linear probe.
        case probe
        case none
    }

    public struct Configuration: TransformerConfiguration {
        /// The encoder; 14x14 patches of 2x2 by default.
        public var transformer: TransformerSizes
        public var pool: Pool
        /// Whether the norm is called `fc_norm` and follows pooling, else `norm` before it; nil, as
        /// in timm: where tokens are averaged.
        public var fcNorm: Bool?
        public var head: Head
        /// Classes of the head; 0 without one.
        public var classes: Int
        /// How the position table is resampled for images of another size.
        public var positions = PositionResampling.bicubic
        /// Rate of the last block's drop path in training; it grows linearly from 0.
        package var dropPath: Float
        /// Deviation of the head's truncated normal start; nil: 2e-5 to fine-tune, 0.01 to probe.
        package var headDeviation: Float?

        public init() {
            self.init(TransformerSizes(), pool: .token, head: .linear, classes: 1000)
        }

        package init(
            _ encoder: TransformerSizes, pool: Pool, head: Head, classes: Int, dropPath: Float = 0,
            headDeviation: Float? = nil
        ) {
            transformer = encoder
            (self.pool, self.head, self.classes) = (pool, head, classes)
            (self.dropPath, self.headDeviation) = (dropPath, headDeviation)
        }

        public var family: String { "ViT" }
        /// Whether the last norm follows pooling.
        var normsPooled: Bool { fcNorm ?? (pool == .avg) }
        /// The name of the last norm.
        var norm: String { normsPooled ? "fc_norm" : "norm" }

        public func checkTogether() throws(USPError) {
            try transformer.check()
            try require(
                pool == .avg || self.classToken, .argument,
                "pooling the class token of a model that has none")
            try require(
                dropPath >= 0 && dropPath < 1, .argument, "drop path \(dropPath), expected 0 ..< 1")
            try require(
                head == .none || classes > 0, .argument,
                "classes: \(classes), expected 1 or more of a head")
        }
    }
}

extension ViT.Pool: NamedChoice {
    package static let what = "pool"
    package static let aliases = ["average": ViT.Pool.avg, "cls": .token]
}

extension ViT.Configuration: Described {
    public static let title = "ViT"
    public static let fields: [Field<Self>] =
        TransformerSizes.rows(without: ["affine", "shift", "relative_positions"], \.transformer) + [
            .integer(
                "classes", \.classes, FieldRange(0, 1e6), "Classes of the head; 0 without one."
            ),
            .choice("pool", named: \.pool, "What of the tokens becomes the feature."),
            .choice(
                "head", \.head, "What follows the feature; probe has a batch norm before it."),
            .flag(
                "fc_norm", \.fcNorm,
                "The last norm follows pooling, and is called fc_norm; off, it is called norm and "
                    + "precedes it. Without it by the pooling, as in timm: averages are normed."),
            .choice(
                "positions", named: \.positions,
                "How the position table is resampled for images of another size: bicubic as MAE and "
                    + "USP, offset by 0.1 as DINOv2 without registers, antialias as timm, REPA, and "
                    + "DINOv2 with registers."),
        ]
}

extension ViT.Configuration {
    /// The parameter table: timm's names, shapes and initialisation.
    /// - Throws: `.argument` for sizes that no model has
    public func specs() throws(USPError) -> [ParameterSpec] {
        try check()
        let encoder = transformer
        let width = encoder.width
        var specs: [ParameterSpec] = []
        if encoder.classToken {
            specs.append(ParameterSpec("cls_token", [1, 1, width], .normal(deviation: 1e-6)))
        }
        specs += encoder.registerSpecs(deviation: 1e-6)
        specs.append(
            ParameterSpec(
                "pos_embed", [1, encoder.leadingPositions + encoder.tokens, width],
                .truncatedNormal(deviation: 0.02)))
        specs += PatchEmbedding.specs(
            "patch_embed", width: width, channels: encoder.channels, patch: encoder.patch,
            xavier: false, hasBias: !encoder.preNorm)
        if encoder.preNorm { specs += NormLayer.specs("norm_pre", width: width, encoder.norm) }
        let block = encoder.block(.truncatedNormal(0.02))
        specs += try encoder.rotarySpecs()
        for index in 0..<encoder.depth { specs += block.specs("blocks.\(index)") }
        specs += NormLayer.specs(norm, width: width, encoder.norm)
        let start = LinearStart.truncatedNormal(
            headDeviation ?? (head == .probe ? 0.01 : 2e-5))
        switch head {
        case .none: break
        case .linear:
            specs += LinearLayer.specs(
                "head", inputs: width, outputs: classes, start)
        case .probe:
            specs.append(
                ParameterSpec("head.0.running_mean", [width], .zeros, isTrainable: false))
            specs.append(ParameterSpec("head.0.running_var", [width], .ones, isTrainable: false))
            specs += LinearLayer.specs(
                "head.1", inputs: width, outputs: classes, start)
        }
        return specs
    }
}

extension Family {
    static let vit = Family(
        "ViT", ViT.self, .visionTransformer, stream: "vit",
        presets: Presets.vision("ViT") {
            ViT.Configuration($0, pool: .token, head: .linear, classes: 1000)
        },
        rules: { sizes in
            let fresh = Tolerance(
                prefix: "fc_norm.",
                reason: "not in the file; average pooling starts its own norm")
            return LoadRules(
                tolerated: [
                    Tolerance(prefix: "decoder_", reason: "the decoder of pretraining"),
                    Tolerance(prefix: "mask_token", reason: "the decoder of pretraining"),
                    Tolerance(
                        prefix: sizes.normsPooled ? "norm." : "fc_norm.",
                        reason: "the norm of the other pooling"),
                ],
                optional: sizes.normsPooled ? [fresh] : [])
        },
        infer: { file, options throws(USPError) in try file.classifierConfiguration(options) })
}

extension FileModel {
    /// Sizes of a classifier or plain encoder: its pooling by its norm, its head by the head's
    /// tensors.
    ///
    /// Average pooling of a masked autoencoder, or of an encoder with a class token and no head,
    /// starts `fc_norm` fresh and leaves `norm` aside, as MAE's and USP's fine-tuning do. In others
    /// `norm` was trained in front of averaging (timm's `fc_norm=False`, I-JEPA), and stays there.
    package func classifierConfiguration(
        _ options: LoadOptions
    ) throws(USPError) -> ViT.Configuration {
        let encoder = try encoder(options)
        let isPooled = sources["fc_norm.weight"] != nil
        let told = told(as: ViT.Configuration.self).flatMap {
            $0.normsPooled == isPooled ? $0 : nil
        }
        let usual = isPooled || !encoder.classToken ? ViT.Pool.avg : .token
        var sizes = ViT.Configuration(
            encoder, pool: options.pool ?? told?.pool ?? folder?.pool ?? usual, head: .none,
            classes: 0)
        sizes.positions =
            options.positions ?? self.told(as: ViT.Configuration.self)?.positions
            ?? publishedResampling(encoder)
        if isPooled {
            sizes.fcNorm = sizes.pool == .avg ? nil : true
        } else if sizes.pool == .avg && normsBeforeAveraging {
            sizes.fcNorm = false
        }
        if let told, told.normsPooled == sizes.normsPooled, told.pool == sizes.pool {
            sizes.fcNorm = told.fcNorm
        }
        if let shape = sources["head.weight"]?.shape, shape.rank == 2 {
            (sizes.head, sizes.classes) = (.linear, shape[0])
        } else if let shape = sources["head.1.weight"]?.shape, shape.rank == 2 {
            (sizes.head, sizes.classes) = (.probe, shape[0])
        }
        return sizes
    }

    /// What the original's code does; DINOv2's files do not say it, but registers tell.
    private func publishedResampling(_ encoder: TransformerSizes) -> PositionResampling {
        guard dialect.name == Dialect.dinov2.name else { return .bicubic }
        return encoder.registers > 0 ? .antialiased : .offset
    }

    /// Whether average pooling of this file's tokens comes after its `norm`.
    package var normsBeforeAveraging: Bool {
        let isMasked =
            sources["mask_token"] != nil || sources["decoder_embed.weight"] != nil
            || configuration is MaskedAutoencoder.Configuration
        let hasHead = sources["head.weight"] != nil || sources["head.1.weight"] != nil
        return sources["norm.weight"] != nil && sources["fc_norm.weight"] == nil && !isMasked
            && (hasHead || sources["cls_token"] == nil)
    }
}
