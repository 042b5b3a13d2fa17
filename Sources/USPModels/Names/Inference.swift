// Sizes of a model from the names and shapes of its tensors.

import USPBase
import USPFiles
import USPTensor

/// What a file does not tell, or what shall be taken instead of what it tells.
package struct InferenceOptions: Sendable {
    /// A nested table or prefix of the file.
    package var table: String?
    package var heads: Int?
    package var decoderHeads: Int?
    /// Needed for position tables that are neither square nor in the file.
    package var grid: Grid?
    /// Of the layer norms; nil: what the dialect's code uses.
    package var epsilon: Float?
    /// Groups of an autoencoder's norms; nil: 32.
    package var groups: Int?
    /// Of an autoencoder's latents; nil: the published ones of its shape.
    package var normalization: LatentNormalization?

    package init() {}
}

extension FileModel {
    /// The head count: an argument, the file's own configuration, or the published table.
    private func heads(
        _ width: Int, _ argument: Int?, _ folder: FolderConfiguration?, _ name: String
    ) throws(USPError) -> Int {
        if let argument { return argument }
        let key = name == "heads" ? "usp.heads" : "usp.decoder_heads"
        if let heads = told(key).flatMap({ Int($0) }) { return heads }
        if let heads = folder?.heads { return heads }
        if let heads = Presets.heads(width: width) { return heads }
        throw USPError(
            .argument,
            "\(path): no published model is \(width) wide, and shapes do not tell the \(name); "
                + "give their number")
    }

    /// What a load report says about heads that neither an argument nor the file tells.
    func assumedHeads(
        _ heads: Int, width: Int, _ argument: Int?, _ name: String
    ) -> [SkippedItem] {
        let key = name == "num_heads" ? "usp.heads" : "usp.decoder_heads"
        let isTold =
            argument != nil || told(key) != nil || FolderConfiguration(beside: path)?.heads != nil
        return isTold
            ? []
            : [SkippedItem(name: "\(name) \(heads)", reason: "the published one of width \(width)")]
    }

    /// What our own writer tells beside the tensors.
    func told(_ key: String) -> String? { metadata.first { $0.key == key }?.value }

    private func activation(_ usual: Activation) -> Activation {
        switch told("usp.activation") {
        case "gelu_tanh": .geluTanh
        case "gelu_erf": .geluErf
        default: usual
        }
    }

    private func grid(_ rows: Int, _ given: Grid?, _ name: String) throws(USPError) -> Grid {
        if let given {
            try require(
                given.count == rows, .argument,
                "\(path): \(name) has \(rows) rows, which is not the grid \(given)")
            return given
        }
        if let told = toldGrid, rows % told.height == 0, rows / told.height == told.width {
            return told
        }
        guard let square = Grid.square(rows) else {
            throw USPError(
                .argument, "\(path): the \(rows) rows of \(name) are no square; give the grid")
        }
        return square
    }

    /// The grid that our own writer tells.
    private var toldGrid: Grid? {
        let sides = told("usp.grid")?.split(separator: "x").compactMap { Int($0) } ?? []
        guard sides.count == 2, sides[0] > 0, sides[1] > 0 else { return nil }
        return Grid(sides[0], sides[1])
    }

    /// Whether a table of so many rows has one for the class token: without that row the others
    /// must be the grid that is given or told, or as many as in the decoder's table, which always
    /// has one, or else a square.
    private func embedsClass(_ rows: Int, _ given: Grid?) -> Bool {
        if let grid = given ?? toldGrid {
            let product = grid.height.multipliedReportingOverflow(by: grid.width)
            return product.overflow || product.partialValue != rows
        }
        if let decoder = sources["decoder_pos_embed"]?.shape, decoder.rank == 3 {
            return decoder[1] == rows
        }
        return (rows > 1 && Grid.square(rows - 1) != nil) || Grid.square(rows) == nil
    }

    /// Width, channels and side of a square patch embedding.
    private func patches(_ name: String) throws(USPError) -> (width: Int, channels: Int, patch: Int)
    {
        let shape = try shape("\(name).proj.weight")
        try require(
            shape.rank == 4 && shape[2] == shape[3] && shape.count > 0, .format,
            "\(path): \(name).proj.weight is \(shape), not [D, C, P, P]")
        return (shape[0], shape[1], shape[2])
    }

    private func depth(_ prefix: String) -> Int {
        var depth = 0
        while sources["\(prefix).\(depth).attn.qkv.weight"] != nil { depth += 1 }
        return depth
    }

    private func mlpRatio(_ block: String, _ width: Int) throws(USPError) -> Float {
        guard let shape = sources["\(block).mlp.fc1.weight"]?.shape, shape.rank == 2 else {
            return 4
        }
        let ratio = Float(shape[0]) / Float(width)
        // The quotient may lie just below the number that gives the hidden width again.
        return Int(Float(width) * ratio) < shape[0] ? ratio.nextUp : ratio
    }

    /// Sizes of a vision transformer's encoder.
    package func encoderConfiguration(
        _ options: InferenceOptions = InferenceOptions()
    ) throws(USPError) -> ViTConfiguration {
        let (width, channels, patch) = try patches("patch_embed")
        let hasClassToken = sources["cls_token"] != nil
        var embedsClass = true
        let grid: Grid
        if let table = sources["pos_embed"]?.shape {
            try require(
                table.rank == 3 && table[0] == 1 && table[2] == width, .format,
                "\(path): pos_embed is \(table), not [1, T, \(width)]")
            embedsClass = self.embedsClass(table[1], options.grid)
            let leading = hasClassToken && embedsClass ? 1 : 0
            grid = try self.grid(table[1] - leading, options.grid, "pos_embed")
        } else if let given = options.grid {
            grid = given
        } else {
            throw USPError(.argument, "\(path): no pos_embed in it; give the grid")
        }
        let configuration = ViTConfiguration(
            grid: grid, channels: channels, patch: patch, width: width, depth: depth("blocks"),
            heads: try heads(width, options.heads, nil, "heads"),
            mlpRatio: try mlpRatio("blocks.0", width), classToken: hasClassToken,
            embedsClass: embedsClass, activation: activation(.geluErf),
            epsilon: options.epsilon ?? 1e-6)
        try locating(path) { () throws(USPError) in try configuration.check() }
        return configuration
    }

    /// Sizes of a masked autoencoder; without decoder tensors, of its encoder only.
    package func maskedAutoencoderConfiguration(
        _ options: InferenceOptions = InferenceOptions()
    ) throws(USPError) -> MaskedAutoencoderConfiguration {
        var configuration = MaskedAutoencoderConfiguration(
            encoder: try encoderConfiguration(options), decoderWidth: 0, decoderDepth: 0,
            decoderHeads: 1)
        if let shape = sources["decoder_embed.weight"]?.shape, shape.rank == 2 {
            configuration.decoderWidth = shape[0]
            configuration.decoderDepth = depth("decoder_blocks")
            configuration.decoderHeads = try heads(
                shape[0], options.decoderHeads, nil, "decoder heads")
        }
        try locating(path) { () throws(USPError) in try configuration.check() }
        return configuration
    }

    /// Sizes of a classifier: its pooling by its norm, its head by the head's tensors.
    ///
    /// - pool: nil: average pooling if the file has its norm (`fc_norm`), else the class token
    package func classifierConfiguration(
        pool: VisionTransformerConfiguration.Pool? = nil,
        _ options: InferenceOptions = InferenceOptions()
    ) throws(USPError) -> VisionTransformerConfiguration {
        let encoder = try encoderConfiguration(options)
        let isAveraged = sources["fc_norm.weight"] != nil || !encoder.classToken
        var configuration = VisionTransformerConfiguration(
            encoder: encoder, pool: pool ?? (isAveraged ? .average : .token), head: .none,
            classes: 1)
        if let shape = sources["head.weight"]?.shape, shape.rank == 2 {
            (configuration.head, configuration.classes) = (.linear, shape[0])
        } else if let shape = sources["head.1.weight"]?.shape, shape.rank == 2 {
            (configuration.head, configuration.classes) = (.probe, shape[0])
        }
        try locating(path) { () throws(USPError) in try configuration.check() }
        return configuration
    }

    /// Sizes of a diffusion transformer.
    ///
    /// - returnsSigma: false for SiT, which computes and drops the second set of channels
    package func diffusionConfiguration(
        returnsSigma: Bool = true, _ options: InferenceOptions = InferenceOptions()
    ) throws(USPError) -> DiTConfiguration {
        let (width, channels, patch) = try patches("x_embedder")
        let folder = FolderConfiguration(beside: path)
        let isDiffusers = dialect.name == Dialect.diffusersDiT.name
        let labels = try shape("y_embedder.embedding_table.weight")
        let final = try shape("final_layer.linear.weight")
        let frequencies = try shape("t_embedder.mlp.0.weight")
        let outputs = patch * patch * channels
        try require(
            labels.rank == 2 && labels[0] > 0 && final.rank == 2 && frequencies.rank == 2
                && (final[0] == outputs || final[0] == 2 * outputs), .format,
            "\(path): a final layer of \(final) and labels of \(labels) for patches of \(outputs) "
                + "values")
        let configuration = DiTConfiguration(
            grid: try diffusionGrid(width, patch, folder, options.grid), channels: channels,
            patch: patch, width: width, depth: depth("blocks"),
            heads: try heads(width, options.heads, folder, "heads"),
            mlpRatio: try mlpRatio("blocks.0", width), classes: max(labels[0] - 1, 1),
            hasNullClass: labels[0] > 1, learnsSigma: final[0] == 2 * outputs,
            returnsSigma: returnsSigma, affineNorms: sources["blocks.0.norm1.weight"] != nil,
            activation: activation(.geluTanh),
            epsilon: options.epsilon ?? (isDiffusers ? folder?.epsilon ?? 1e-5 : 1e-6),
            frequencies: frequencies[1], frequencyShift: isDiffusers ? 1 : 0)
        try locating(path) { () throws(USPError) in try configuration.check() }
        return configuration
    }

    /// From the table's rows; diffusers' files have no table, so there from the folder or 32x32
    /// latents.
    private func diffusionGrid(
        _ width: Int, _ patch: Int, _ folder: FolderConfiguration?, _ given: Grid?
    ) throws(USPError) -> Grid {
        if let table = sources["pos_embed"]?.shape {
            try require(
                table.rank == 3 && table[2] == width, .format,
                "\(path): pos_embed is \(table), not [1, T, \(width)]")
            return try grid(table[1], given, "pos_embed")
        }
        let side = (folder?.sampleSize ?? 32) / patch
        let grid = given ?? toldGrid ?? Grid(side, side)
        try require(
            grid.height > 0 && grid.width > 0 && grid.height <= (1 << 18) / grid.width, .argument,
            "\(path): a grid of \(grid) tokens")
        return grid
    }
}
