// Sizes and parameter table of a classifier, in timm's names.

import USPBase
import USPFiles
import USPTensor

extension ViT {
    /// What of the tokens becomes the feature; timm's words.
    public enum Pool: String, Sendable, CaseIterable {
        /// The class token after `norm`.
        case token
        /// The mean of the patches' tokens, then `fc_norm`.
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
        public var head: Head
        /// Classes of the head; 0 without one.
        public var classes: Int
        /// Rate of the last block's drop path in training; it grows linearly from 0.
        package var dropPath: Float
        /// Deviation of the head's truncated normal start: 2e-5 to fine-tune, 0.01 to probe.
        package var headDeviation: Float

        public init() {
            self.init(TransformerSizes(), pool: .token, head: .linear, classes: 1000)
        }

        package init(
            _ encoder: TransformerSizes, pool: Pool, head: Head, classes: Int, dropPath: Float = 0,
            headDeviation: Float = 2e-5
        ) {
            transformer = encoder
            (self.pool, self.head, self.classes) = (pool, head, classes)
            (self.dropPath, self.headDeviation) = (dropPath, headDeviation)
        }

        public var family: String { "ViT" }
        /// The name of the last norm.
        var norm: String { pool == .token ? "norm" : "fc_norm" }

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
        TransformerSizes.rows(without: ["affine", "shift"], \.transformer) + [
            .integer(
                "classes", \.classes, FieldRange(0, 1e6), "Classes of the head; 0 without one."
            ),
            .choice("pool", named: \.pool, "What of the tokens becomes the feature."),
            .choice(
                "head", \.head, "What follows the feature; probe has a batch norm before it."),
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
            xavier: false)
        let block = encoder.block(.truncatedNormal(0.02))
        specs += try encoder.rotarySpecs()
        for index in 0..<encoder.depth { specs += block.specs("blocks.\(index)") }
        specs += NormLayer.specs(norm, width: width, encoder.norm)
        let start = LinearStart.truncatedNormal(headDeviation)
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
            let isAveraged = sizes.pool == .avg
            let fresh = Tolerance(
                prefix: "fc_norm.",
                reason: "not in the file; average pooling starts its own norm")
            return LoadRules(
                tolerated: [
                    Tolerance(prefix: "decoder_", reason: "the decoder of pretraining"),
                    Tolerance(prefix: "mask_token", reason: "the decoder of pretraining"),
                    Tolerance(
                        prefix: isAveraged ? "norm." : "fc_norm.",
                        reason: "the norm of the other pooling"),
                ],
                optional: isAveraged ? [fresh] : [])
        },
        infer: { file, options throws(USPError) in try file.classifierConfiguration(options) })
}

extension FileModel {
    /// Sizes of a classifier or plain encoder: its pooling by its norm, its head by the head's
    /// tensors.
    ///
    /// Average pooling of a file without `fc_norm` starts that norm fresh and leaves `norm` aside,
    /// as MAE's and USP's fine-tuning do.
    package func classifierConfiguration(
        _ options: LoadOptions
    ) throws(USPError) -> ViT.Configuration {
        let encoder = try encoder(options)
        let isAveraged = sources["fc_norm.weight"] != nil || !encoder.classToken
        var sizes = ViT.Configuration(
            encoder, pool: options.pool ?? (isAveraged ? .avg : .token), head: .none, classes: 0)
        if let shape = sources["head.weight"]?.shape, shape.rank == 2 {
            (sizes.head, sizes.classes) = (.linear, shape[0])
        } else if let shape = sources["head.1.weight"]?.shape, shape.rank == 2 {
            (sizes.head, sizes.classes) = (.probe, shape[0])
        }
        return sizes
    }
}
