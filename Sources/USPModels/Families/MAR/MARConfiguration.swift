// Sizes and parameter table of masked autoregressive generation, in the names of its checkpoints.

import USPBase
import USPFiles
import USPTensor

/// A masked encoder with a decoder of transformer blocks behind it.
package protocol DecodingConfiguration: TransformerConfiguration {
    var hasDecoder: Bool { get }
    var decoderWidth: Int { get }
    var decoderHeads: Int { get }
}

extension MaskedAutoencoder.Configuration: DecodingConfiguration {}

extension MAR {
    public struct Configuration: TransformerConfiguration, DecodingConfiguration {
        /// The encoder; 16x16 patches of 1x1 by default.
        public var transformer: TransformerSizes
        /// Copies of the class's row in front of the patches, Bf.
        public var buffer: Int
        public var classes: Int
        /// Width and residual blocks of the diffusion head.
        public var headWidth: Int
        public var headDepth: Int
        /// The decoder's sizes, where they are not the encoder's.
        private var ownDecoderWidth: Int?
        private var ownDecoderDepth: Int?
        private var ownDecoderHeads: Int?

        public init() {
            self.init(
                TransformerSizes(
                    grid: Grid(16, 16), channels: 16, patch: 1, width: 768, depth: 12, heads: 12))
        }

        /// A decoder of the encoder's sizes.
        public init(
            _ encoder: TransformerSizes, buffer: Int = 64, classes: Int = 1000,
            headWidth: Int = 1024, headDepth: Int = 6
        ) {
            transformer = encoder
            (transformer.classToken, transformer.embedsClass) = (false, false)
            (self.buffer, self.classes) = (buffer, classes)
            (self.headWidth, self.headDepth) = (headWidth, headDepth)
        }

        public var family: String { "MAR" }
        public var hasDecoder: Bool { true }
        public var decoderWidth: Int {
            get { ownDecoderWidth ?? transformer.width }
            set { ownDecoderWidth = newValue }
        }
        public var decoderDepth: Int {
            get { ownDecoderDepth ?? transformer.depth }
            set { ownDecoderDepth = newValue }
        }
        public var decoderHeads: Int {
            get { ownDecoderHeads ?? transformer.heads }
            set { ownDecoderHeads = newValue }
        }

        public static func == (a: Self, b: Self) -> Bool { a.text == b.text }

        var decoderBlock: BlockConfiguration {
            var sizes = transformer
            (sizes.width, sizes.heads) = (decoderWidth, decoderHeads)
            return sizes.block()
        }

        public func checkTogether() throws(USPError) {
            try transformer.check()
            try require(
                decoderWidth % decoderHeads == 0, .argument,
                "\(decoderHeads) heads do not divide the decoder's width \(decoderWidth)")
        }
    }
}

extension MAR.Configuration: Described {
    public static let title = "MAR"
    public static let fields: [Field<Self>] =
        TransformerSizes.rows(
            without: [
                "affine", "class_token", "class_position", "rms_norm", "swiglu", "rope", "qk_norm",
                "shift", "registers", "layer_scale", "relative_positions", "attention_epsilon",
                "pre_norm",
            ], \.transformer) + [
            .integer(
                "decoder_width", \.decoderWidth, FieldRange(1, 65536),
                "Width of the decoder's tokens; without it the encoder's."),
            .integer(
                "decoder_depth", \.decoderDepth, FieldRange(1, 4096),
                "Its blocks; without it the encoder's."),
            .integer(
                "decoder_heads", \.decoderHeads, .size,
                "Their attention heads; without it the encoder's."),
            .integer(
                "buffer", \.buffer, FieldRange(1, 65536),
                "Copies of the class's row in front of the patches."),
            .integer("classes", \.classes, FieldRange(1, 1e6), "Classes; one more is no label."),
            .integer("head_width", \.headWidth, .size, "Width of the diffusion head."),
            .integer(
                "head_depth", \.headDepth, FieldRange(1, 4096), "Residual blocks of the head."),
        ]
}

extension MAR.Configuration {
    /// The parameter table: names, shapes and initialisation of the original. Every table of
    /// positions is trained; the head's modulations and its last layer start at zero.
    /// - Throws: `.argument` for sizes that no model has
    public func specs() throws(USPError) -> [ParameterSpec] {
        try check()
        let (width, rows) = (self.width, buffer + self.tokens)
        func normal(_ name: String, _ shape: Shape) -> ParameterSpec {
            ParameterSpec(name, shape, .normal(deviation: 0.02))
        }
        var specs = [
            normal("fake_latent", [1, width]),
            normal("encoder_pos_embed_learned", [1, rows, width]),
            normal("mask_token", [1, 1, decoderWidth]),
            normal("decoder_pos_embed_learned", [1, rows, decoderWidth]),
            normal("diffusion_pos_embed_learned", [1, self.tokens, decoderWidth]),
            normal("class_emb.weight", [classes, width]),
        ]
        specs += LinearLayer.specs("z_proj", inputs: self.patchSize, outputs: width, .xavier)
        specs += NormLayer.specs("z_proj_ln", width: width)
        for index in 0..<self.depth {
            specs += transformer.block().specs("encoder_blocks.\(index)")
        }
        specs += NormLayer.specs("encoder_norm", width: width)
        specs += LinearLayer.specs("decoder_embed", inputs: width, outputs: decoderWidth, .xavier)
        for index in 0..<decoderDepth { specs += decoderBlock.specs("decoder_blocks.\(index)") }
        specs += NormLayer.specs("decoder_norm", width: decoderWidth)
        return specs
            + DiffusionHead.specs(
                MAR.head, values: self.patchSize, condition: decoderWidth, width: headWidth,
                depth: headDepth)
    }
}

extension Family {
    static let mar = Family(
        "MAR", MAR.self, .maskedAutoregressive, stream: "mar", presets: Presets.autoregressive,
        infer: { file, options throws(USPError) in
            try file.autoregressiveConfiguration(options)
        })
}

extension Presets {
    /// The published sizes with the heads of the paper's table, for 16x16x16 latents.
    static let autoregressive: [Preset] = [
        ("B", 12, 1024, 6), ("L", 16, 1280, 8), ("H", 20, 1536, 12),
    ].compactMap { name, depth, headWidth, headDepth in
        sizes.first { $0.name == name }.map { size in
            let encoder = TransformerSizes(
                grid: Grid(16, 16), channels: 16, patch: 1, width: size.width, depth: depth,
                heads: size.heads)
            return Preset(
                name: "MAR-\(name)",
                configuration: MAR.Configuration(
                    encoder, headWidth: headWidth, headDepth: headDepth))
        }
    }
}

extension Presets {
    /// Masked autoencoders whose encoder and decoder both have the sizes of MAR-B, MAR-L, MAR-H, which
    /// then take all of their weights; on USP's f16 latents.
    static let beforeAutoregression: [Preset] = autoregressive.compactMap { preset in
        guard let sizes = preset.configuration as? MAR.Configuration else { return nil }
        let encoder = TransformerSizes(
            grid: Grid(14, 14), channels: 16, patch: 1, width: sizes.width, depth: sizes.depth,
            heads: sizes.heads)
        return Preset(
            name: "MAE-\(preset.name.dropFirst(4))/1-MAR",
            configuration: MaskedAutoencoder.Configuration(
                encoder, decoderWidth: sizes.decoderWidth, decoderDepth: sizes.decoderDepth,
                decoderHeads: sizes.decoderHeads))
    }
}

extension FileModel {
    /// Sizes of masked autoregressive generation. Shapes do not tell patches apart from channels:
    /// 1x1 unless the file, or the arguments of training in it, say so.
    func autoregressiveConfiguration(
        _ options: LoadOptions
    ) throws(USPError) -> MAR.Configuration {
        var sizes = told(as: MAR.Configuration.self) ?? MAR.Configuration()
        let projection = try matrix("z_proj.weight")
        let positions = try shape("encoder_pos_embed_learned")
        let places = try shape("diffusion_pos_embed_learned")
        sizes.width = projection[0]
        try require(
            positions.rank == 3 && places.rank == 3 && positions[1] > places[1]
                && positions[2] == sizes.width, .format,
            "\(path): positions of \(positions) and \(places), expected [1, Bf + T, "
                + "\(sizes.width)] and [1, T, ..]")
        sizes.buffer = positions[1] - places[1]
        sizes.grid = try grid(places[1], options.grid, "diffusion_pos_embed_learned")
        if configuration == nil, let patch = toldNumber("args.patch_size") {
            try require(
                (1...1024).contains(patch), .format, "\(path): args.patch_size is \(patch)")
            sizes.patch = patch
        }
        let area = sizes.patch * sizes.patch
        try require(
            projection[1] % area == 0, .format,
            "\(path): patches of \(projection[1]) values cannot be \(sizes.patch) wide")
        sizes.channels = projection[1] / area
        sizes.depth = depth("encoder_blocks")
        sizes.mlpRatio = mlpRatio(sizes.transformer, "encoder_blocks")
        sizes.heads = try heads("heads", sizes.width, options)
        sizes.epsilon = options.epsilon ?? sizes.epsilon
        sizes.decoderWidth = places[2]
        sizes.decoderDepth = depth("decoder_blocks")
        sizes.decoderHeads = try heads("decoder_heads", sizes.decoderWidth, options)
        sizes.classes = try matrix("class_emb.weight")[0]
        sizes.headWidth = try matrix("\(MAR.head).input_proj.weight")[0]
        sizes.headDepth = 0
        while sources["\(MAR.head).res_blocks.\(sizes.headDepth).in_ln.weight"] != nil {
            sizes.headDepth += 1
        }
        return sizes
    }

    private func matrix(_ name: String) throws(USPError) -> Shape {
        let shape = try shape(name)
        try require(
            shape.rank == 2 && shape.count > 0, .format,
            "\(path): \(name) is \(shape), expected a matrix")
        return shape
    }
}
