// Sizes and parameter table of a diffusion transformer, in the names of DiT's and SiT's releases.

import USPBase
import USPFiles
import USPTensor

extension DiT {
    public struct Configuration: TransformerConfiguration {
        /// Latents, patches and blocks; 16x16 patches of 2x2 by default. The affine norms of USP's
        /// variant can take a ViT's.
        public var transformer: TransformerSizes
        /// Classes; the label `classes` itself is the null class, if there is one.
        public var classes: Int
        /// The label table has a row for the null class.
        public var hasNullClass: Bool
        /// The network predicts a second set of channels (the variance).
        public var learnsSigma: Bool
        /// Whose rows these are: the networks are one.
        package var variant: Variant
        /// Width of the timesteps' sines and cosines.
        public var frequencies: Int
        /// Their shift: 0; diffusers' DiT uses 1.
        public var frequencyShift: Int
        /// The time of pure noise: 0, or 1 as REPA's models, which nil means where there are
        /// projections.
        public var noiseAt: Int?
        /// Widths of the teachers' tokens that projectors predict from the blocks' (REPA); empty
        /// without.
        public var projections: [Int] = []
        /// Width of their hidden layers.
        public var projector = 2048
        /// They read the tokens behind this block, counted from 1.
        public var encoderDepth = 8

        public init() { self.init(grid: Grid(16, 16), width: 384, depth: 12, heads: 6) }

        package init(_ variant: Variant) {
            self.init()
            self.variant = variant
        }

        package init(
            grid: Grid, channels: Int = 4, patch: Int = 2, width: Int, depth: Int, heads: Int,
            mlpRatio: Float = 4, classes: Int = 1000, hasNullClass: Bool = true,
            learnsSigma: Bool = true, returnsSigma: Bool = true, affine: Bool = false,
            activation: Activation = .geluTanh, epsilon: Float = 1e-6, frequencies: Int = 256,
            frequencyShift: Int = 0
        ) {
            transformer = TransformerSizes(
                grid: grid, channels: channels, patch: patch, width: width, depth: depth,
                heads: heads, mlpRatio: mlpRatio, classToken: false, activation: activation,
                epsilon: epsilon, affine: affine)
            (self.classes, self.hasNullClass) = (classes, hasNullClass)
            self.learnsSigma = learnsSigma
            variant = returnsSigma ? .dit : .sit
            (self.frequencies, self.frequencyShift) = (frequencies, frequencyShift)
        }

        package enum Variant: String, Sendable {
            case dit = "DiT"
            case sit = "SiT"
            case lightningDiT = "LightningDiT"
        }

        public var family: String { variant.rawValue }
        /// The second set of channels is given out: a DiT. The others compute and drop it.
        public var returnsSigma: Bool {
            get { variant == .dit }
            set { variant = newValue ? .dit : variant == .dit ? .sit : variant }
        }
        /// A velocity field between noise and data, not a noise prediction.
        public var isFlow: Bool { variant != .dit }
        public var isModulated: Bool { true }
        public var patchEmbedding: String { "x_embedder" }

        /// The model's time of pure noise.
        public var noiseTime: Int { noiseAt ?? (projections.isEmpty ? 0 : 1) }
        /// Channels that the network computes.
        package var predictedChannels: Int { learnsSigma ? 2 * self.channels : self.channels }
        /// Channels that `forward` gives.
        package var outputChannels: Int { returnsSigma ? predictedChannels : self.channels }
        package var labels: Int { classes + (hasNullClass ? 1 : 0) }
        package var block: BlockConfiguration { transformer.block(modulated: true) }

        public func checkTogether() throws(USPError) {
            try transformer.check()
            try require(labels >= 1, .argument, "\(classes) classes and no null class")
            try require(
                projections.isEmpty || encoderDepth <= self.depth, .argument,
                "encoder_depth: \(encoderDepth), but the model has \(self.depth) blocks; the "
                    + "projectors read the tokens behind that block, counted from 1")
            try require(
                frequencyShift < max(frequencies / 2, 1), .argument,
                "frequency_shift \(frequencyShift), expected less than half of the "
                    + "\(frequencies) frequencies")
        }
    }
}

extension DiT.Configuration: Described {
    public static let title = "DiT"
    public static let fields: [Field<Self>] =
        TransformerSizes.rows(
            without: ["class_token", "class_position", "relative_positions", "pre_norm"],
            \.transformer) + [
            .integer(
                "classes", \.classes, FieldRange(0, 1e6),
                "Classes; the label after the last is the null class."),
            .flag(
                "null_class", \.hasNullClass, "The label table has a row for the null class."),
            .flag(
                "learn_sigma", \.learnsSigma,
                "A second set of channels is predicted; a SiT does not give it out."),
            .integer(
                "frequencies", \.frequencies, .size,
                "Width of the timesteps' sines and cosines."),
            .integer(
                "frequency_shift", \.frequencyShift, FieldRange(0, 65535),
                "Their shift; diffusers' DiT uses 1."),
            .integer(
                "noise_at", \.noiseAt, FieldRange(0, 1),
                "A SiT's time of pure noise: 0, or 1 as REPA's, whose velocities go the other way; "
                    + "absent: 1 with projections, else 0."),
            .integers(
                "projections", \.projections, .size,
                "Widths of the tokens of teachers, one projector each (REPA); none without."),
            .integer("projector", \.projector, .size, "Width of a projector's hidden layers."),
            .integer(
                "encoder_depth", \.encoderDepth, FieldRange(1, 4096),
                "Projectors read the tokens behind this block, counted from 1: 8 in REPA's SiT-L and "
                    + "SiT-XL, 4 in its SiT-B."),
        ]
}

extension DiT.Configuration {
    /// The parameter table: names, shapes and initialisation of the original (adaLN and the final
    /// layer start at zero, so every block starts as the identity).
    /// - Throws: `.argument` for sizes that no model has
    public func specs() throws(USPError) -> [ParameterSpec] {
        try check()
        let (width, patch) = (self.width, self.patch)
        let table = try PositionTable.sincos(width: width, grid: self.grid)
        var specs = [
            ParameterSpec(
                "pos_embed", [1, self.tokens, width], .table(table), isTrainable: false)
        ]
        specs += PatchEmbedding.specs(
            "x_embedder", width: width, channels: self.channels, patch: patch, xavier: true)
        specs += LinearLayer.specs(
            "t_embedder.mlp.0", inputs: frequencies, outputs: width, .normal(0.02))
        specs += LinearLayer.specs(
            "t_embedder.mlp.2", inputs: width, outputs: width, .normal(0.02))
        specs.append(
            ParameterSpec(
                "y_embedder.embedding_table.weight", [labels, width], .normal(deviation: 0.02)))
        specs += transformer.registerSpecs(deviation: 0.02)
        specs += try transformer.rotarySpecs()
        for index in 0..<self.depth { specs += block.specs("blocks.\(index)") }
        specs += projections.indices.flatMap(projectorSpecs)
        if self.rmsNorm { specs += NormLayer.specs("final_layer.norm_final", width: width, .rms) }
        specs += LinearLayer.specs(
            "final_layer.linear", inputs: width, outputs: patch * patch * predictedChannels, .zeros)
        return specs
            + LinearLayer.specs(
                "final_layer.adaLN_modulation.1", inputs: width, outputs: 2 * width, .zeros)
    }
}

extension DiT.Configuration {
    /// Linear, SiLU, linear, SiLU, linear.
    static let projectorLayers = [0, 2, 4]

    private func projectorSpecs(_ index: Int) -> [ParameterSpec] {
        let widths = [self.width, projector, projector, projections[index]]
        return zip(Self.projectorLayers, zip(widths, widths.dropFirst())).flatMap { layer, sides in
            LinearLayer.specs(
                "projectors.\(index).\(layer)", inputs: sides.0, outputs: sides.1, .xavier)
        }
    }
}

extension Family {
    static let dit = Family(
        "DiT", DiT.self, .diffusionTransformer, stream: "dit",
        presets: Presets.diffusion("DiT", returnsSigma: true),
        // REPA's are SiTs.
        claims: { $0.source("projectors.0.4.weight") == nil },
        infer: { file, options throws(USPError) in
            try file.diffusionConfiguration(options, .dit)
        })

    /// The same network, whose second set of channels is computed and dropped.
    static let sit = Family(
        "SiT", DiT.self, .diffusionTransformer, stream: "dit",
        defaults: DiT.Configuration(.sit),
        presets: Presets.diffusion("SiT", returnsSigma: false),
        infer: { file, options throws(USPError) in
            try file.diffusionConfiguration(options, .sit)
        })
}

extension FileModel {
    /// Sizes of a diffusion transformer.
    func diffusionConfiguration(
        _ options: LoadOptions, _ variant: DiT.Configuration.Variant
    ) throws(USPError) -> DiT.Configuration {
        let isDiffusers = dialect.name == Dialect.diffusersDiT.name
        var sizes = told(as: DiT.Configuration.self) ?? DiT.Configuration()
        sizes.variant = variant
        if configuration == nil, isDiffusers {
            (sizes.epsilon, sizes.attentionEpsilon) = (folder?.epsilon ?? 1e-5, 1e-6)
            sizes.frequencyShift = 1
        }
        sizes.transformer = try blocks(sizes.transformer, patches: "x_embedder", options)
        sizes.affine = sources["blocks.0.norm1.bias"] != nil
        sizes.shift = try hasShifts(sizes)
        if options.epsilon != nil { sizes.attentionEpsilon = nil }
        sizes.grid = try diffusionGrid(sizes, folder, options.grid)
        let labels = try shape("y_embedder.embedding_table.weight")
        let final = try shape("final_layer.linear.weight")
        let frequencies = try shape("t_embedder.mlp.0.weight")
        let outputs = sizes.patchSize
        try require(
            labels.rank == 2 && labels[0] > 0 && final.rank == 2 && frequencies.rank == 2
                && (final[0] == outputs || final[0] == 2 * outputs), .format,
            "\(path): a final layer of \(final) and labels of \(labels) for patches of \(outputs) "
                + "values")
        sizes.hasNullClass = labels[0] > 1 && hasNullClass(labels[0], options)
        sizes.classes = sizes.hasNullClass ? labels[0] - 1 : labels[0]
        sizes.learnsSigma = final[0] == 2 * outputs
        sizes.frequencies = frequencies[1]
        try inferProjectors(&sizes, options)
        try expectFolder(sizes)
        return sizes
    }

    /// Those of REPA's files.
    private func inferProjectors(
        _ sizes: inout DiT.Configuration, _ options: LoadOptions
    ) throws(USPError) {
        sizes.projections = []
        while let shape = sources["projectors.\(sizes.projections.count).4.weight"]?.shape {
            try require(
                shape.rank == 2 && shape.count > 0, .format,
                "\(path): projectors.\(sizes.projections.count).4.weight is \(shape), not [Z, P]")
            sizes.projections.append(shape[0])
            sizes.projector = shape[1]
        }
        guard !sizes.projections.isEmpty else {
            // A model of REPA's without its projectors goes on in its direction of time.
            if ignored.contains(where: { components($0.name).contains("projectors") }),
                sizes.isFlow
            {
                sizes.noiseAt = sizes.noiseAt ?? 1
            }
            try require(
                options.encoderDepth == nil, .argument,
                "encoder_depth: \(path) has no projectors, which alone it is for")
            return
        }
        sizes.encoderDepth =
            options.encoderDepth ?? toldEncoderDepth ?? DiT.Configuration().encoderDepth
    }

    /// The block that projectors read, as the file says: our own text; the names of REPA's early files,
    /// which call the blocks behind it decoder blocks; its arguments of training.
    private var toldEncoderDepth: Int? {
        if let told = told(as: DiT.Configuration.self), !told.projections.isEmpty {
            return told.encoderDepth
        }
        let isLegacy = { (index: Int) -> Bool in
            let name = self.sources["blocks.\(index).attn.qkv.weight"]?.names.first
            return components(name ?? "").contains("decoder_blocks")
        }
        return (0..<depth("blocks")).first(where: isLegacy) ?? toldNumber("args.encoder_depth")
    }

    /// What a load report says of a depth that nothing tells.
    func assumedEncoderDepth(
        _ sizes: DiT.Configuration, _ options: LoadOptions
    ) -> [SkippedItem] {
        guard !sizes.projections.isEmpty, options.encoderDepth == nil, toldEncoderDepth == nil
        else { return [] }
        return [
            SkippedItem(
                name: "encoder_depth \(sizes.encoderDepth)",
                reason: "the projectors' block, which nothing tells; REPA's SiT-B has 4")
        ]
    }

    /// From the rows of the first block's modulation.
    private func hasShifts(_ sizes: DiT.Configuration) throws(USPError) -> Bool {
        let name = "blocks.0.adaLN_modulation.1.weight"
        let shape = try shape(name)
        let known = [true, false].map { ($0, ModulationParts(shifts: $0).count * sizes.width) }
        guard let (shifts, _) = known.first(where: { $0.1 == shape.extents.first }) else {
            throw USPError(
                .format,
                "\(path): \(name) is \(shape), expected \(known[0].1) rows (shift, scale and gate "
                    + "of both halves) or \(known[1].1) (without shifts)")
        }
        return shifts
    }

    /// - Throws: `.format` for a `config.json` of another transformer
    private func expectFolder(_ sizes: DiT.Configuration) throws(USPError) {
        try folder?.expect("in_channels", [sizes.channels])
        try folder?.expect("out_channels", [sizes.predictedChannels])
        try folder?.expect("num_layers", [sizes.depth])
        try folder?.expect("patch_size", [sizes.patch])
        if folder?.heads == sizes.heads {
            try folder?.expect("attention_head_dim", [sizes.width / sizes.heads])
        }
    }

    /// Whether the last of so many rows of labels is the null class.
    private func hasNullClass(_ rows: Int, _ options: LoadOptions) -> Bool {
        toldNullClass(rows, options) ?? (rows % 10 != 0)
    }

    /// As the option, the file or its folder says.
    private func toldNullClass(_ rows: Int, _ options: LoadOptions) -> Bool? {
        options.nullClass ?? told(as: DiT.Configuration.self)?.hasNullClass
            ?? folder?.classes.map { rows == $0 + 1 }
            // ImageNet's: DiT's and SiT's releases.
            ?? (rows == 1001 ? true : rows == 1 ? false : nil)
    }

    /// What a load report says about a null class that nothing tells: numbers of classes are round
    /// more often than not, and so is the table of a model that was trained without one.
    func assumedNullClass(
        _ sizes: DiT.Configuration, _ options: LoadOptions
    ) -> [SkippedItem] {
        guard toldNullClass(sizes.labels, options) == nil else { return [] }
        let rows = sizes.labels
        let (name, other) =
            sizes.hasNullClass
            ? ("\(rows - 1) classes and a null class", "\(rows) classes and none")
            : ("\(rows) classes without a null class", "\(rows - 1) classes and a null class")
        return [
            SkippedItem(
                name: name,
                reason: "by the \(rows) rows of the label table, which may be \(other): give "
                    + "null_class (--null-class, --no-null-class)")
        ]
    }

    /// From the table's rows; diffusers' files have no table, so there from the folder or 32x32
    /// latents.
    private func diffusionGrid(
        _ sizes: DiT.Configuration, _ folder: FolderConfiguration?, _ given: Grid?
    ) throws(USPError) -> Grid {
        if let table = sources["pos_embed"]?.shape {
            try require(
                table.rank == 3 && table[2] == sizes.width, .format,
                "\(path): pos_embed is \(table), not [1, T, \(sizes.width)]")
            return try grid(table[1], given, "pos_embed")
        }
        let side = (folder?.sampleSize ?? 32) / sizes.patch
        let told = try toldGrid
        let grid = given ?? told ?? Grid(side, side)
        try require(
            grid.height > 0 && grid.width > 0 && grid.height <= (1 << 18) / grid.width, .argument,
            "\(path): a grid of \(grid) tokens")
        return grid
    }
}
