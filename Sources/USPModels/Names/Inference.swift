// Sizes of transformers from the names and shapes of their tensors. What these do not tell is an
// option's, else the file's own word, else the layout's.

import USPBase
import USPFiles
import USPTensor

extension FileModel {
    /// The head count of this field: an option's, the file's own word, or the published one.
    func heads(_ field: String, _ width: Int, _ options: LoadOptions) throws(USPError) -> Int {
        if let heads = knownHeads(field, options) ?? publishedHeads(width) { return heads }
        if !options.needsHeads { return 1 }
        throw USPError(
            .argument,
            "\(path): no published model is \(width) wide, and shapes do not tell the "
                + "\(field == "heads" ? field : "decoder heads"); give their number")
    }

    /// MoCo v3's small model has heads of its own.
    private func publishedHeads(_ width: Int) -> Int? {
        dialect.name == Dialect.moco.name && width == 384 ? 12 : Presets.heads(width: width)
    }

    /// What an option or the file says of the heads.
    private func knownHeads(_ field: String, _ options: LoadOptions) -> Int? {
        let isDecoder = field == "decoder_heads"
        if let shown = shownHeads(isDecoder ? "decoder_" : "") { return shown }
        if let given = isDecoder ? options.decoderHeads : options.heads { return given }
        let untold = told("usp.untold")?.split(separator: ",") ?? []
        if !untold.contains(Substring(field)), let configuration {
            let own = (configuration as? any DecodingConfiguration)?.decoderHeads
            if let told = isDecoder ? own : toldTransformer?.heads { return told }
        }
        // The published decoders of masked autoregressive models have the encoder's heads.
        if isDecoder && kind == .maskedAutoregressive, let heads = options.heads { return heads }
        return toldNumber("usp.\(field)")
            ?? (isDecoder ? nil : folder?.heads)
    }

    /// The heads that a width of one shows: of the rotary tables, or of a norm of queries.
    private func shownHeads(_ prefix: String) -> Int? {
        let table = sources["\(prefix)feat_rope.freqs_cos"]?.shape
        let norm = sources["\(prefix)blocks.0.attn.q_norm.weight"]?.shape
        guard let width = sources["\(prefix)blocks.0.attn.proj.weight"]?.shape.extents.first,
            let own = (table.flatMap { $0.rank == 2 ? $0[1] : nil } ?? norm?.extents.first),
            own > 0, width % own == 0
        else { return nil }
        return width / own
    }

    /// Fields of heads that nothing tells.
    package func untoldHeads(
        _ configuration: any TransformerConfiguration, _ options: LoadOptions
    ) -> [String] {
        var widths = [("heads", configuration.width)]
        if let sizes = configuration as? any DecodingConfiguration, sizes.hasDecoder {
            widths.append(("decoder_heads", sizes.decoderWidth))
        }
        return widths.filter {
            knownHeads($0.0, options) == nil && Presets.heads(width: $0.1) == nil
        }.map(\.0)
    }

    /// A number in a text of files from before `usp.config`.
    func toldNumber(_ key: String) -> Int? { told(key).flatMap { Int($0) } }

    /// The sizes of the blocks that the file itself says.
    var toldTransformer: TransformerSizes? {
        (configuration as? any TransformerConfiguration)?.transformer
    }

    /// What a load report says about values that neither an argument nor the file tells.
    func assumed(
        _ configuration: any ModelConfiguration, _ options: LoadOptions
    ) -> [SkippedItem] {
        guard self.configuration == nil || told("usp.untold") != nil else { return [] }
        var items: [SkippedItem] = []
        func add(_ field: String, _ name: String, _ heads: Int, _ width: Int) {
            guard knownHeads(field, options) == nil else { return }
            items.append(
                SkippedItem(
                    name: "\(name) \(heads)", reason: "the published one of width \(width)"))
        }
        if let sizes = (configuration as? any TransformerConfiguration)?.transformer {
            add("heads", "num_heads", sizes.heads, sizes.width)
        }
        if let sizes = configuration as? any DecodingConfiguration, sizes.hasDecoder {
            add("decoder_heads", "decoder_num_heads", sizes.decoderHeads, sizes.decoderWidth)
        }
        if dialect.name == Dialect.clip.name, options.activation == nil {
            items.append(
                SkippedItem(
                    name: "activation gelu_quick",
                    reason:
                        "OpenAI's; for OpenCLIP's models without quickgelu in their name give gelu_erf"
                ))
        }
        if let sizes = configuration as? VAE.Configuration {
            items += assumedScale(sizes, isGiven: options.givesNormalization)
        }
        if let sizes = configuration as? DiT.Configuration {
            items += assumedNullClass(sizes, options) + assumedEncoderDepth(sizes, options)
        }
        return items
    }

    /// The grid of so many rows of a table.
    func grid(_ rows: Int, _ given: Grid?, _ name: String) throws(USPError) -> Grid {
        if let given {
            try require(
                given.count == rows, .argument,
                "\(path): \(name) has \(rows) rows, which is not the grid \(given)")
            return given
        }
        if let told = try toldGrid, rows % told.height == 0, rows / told.height == told.width {
            return told
        }
        guard let square = Grid.square(rows) else {
            throw USPError(
                .argument, "\(path): the \(rows) rows of \(name) are no square; give the grid")
        }
        return square
    }

    /// The grid that our own writer tells.
    var toldGrid: Grid? {
        get throws(USPError) {
            if let grid = toldTransformer?.grid { return grid }
            guard let sides = try toldNumbers("usp.grid", "x", "14x14") else { return nil }
            try require(
                sides.count == 2 && sides[0] > 0 && sides[1] > 0, .format,
                "\(path): usp.grid: \(told("usp.grid") ?? ""), expected such as 14x14")
            return Grid(sides[0], sides[1])
        }
    }

    /// A text of whole numbers.
    ///
    /// - Throws: `.format` for another text
    func toldNumbers(
        _ key: String, _ separator: Character, _ example: String
    ) throws(USPError) -> [Int]? {
        guard let text = told(key) else { return nil }
        return try text.split(separator: separator, omittingEmptySubsequences: false).map {
            part throws(USPError) in
            guard let number = Int(part) else {
                throw USPError(.format, "\(path): \(key): \(text), expected such as \(example)")
            }
            return number
        }
    }

    /// Whether a table of so many rows has one for the class token: without that row the others
    /// must be the grid that is given or told, or as many as in the decoder's table, which always
    /// has one, or else a square.
    private func embedsClass(_ rows: Int, _ given: Grid?) throws(USPError) -> Bool {
        let told = try toldGrid
        if let grid = given ?? told {
            let product = grid.height.multipliedReportingOverflow(by: grid.width)
            return product.overflow || product.partialValue != rows
        }
        if let decoder = sources["decoder_pos_embed"]?.shape, decoder.rank == 3 {
            return decoder[1] == rows
        }
        return (rows > 1 && Grid.square(rows - 1) != nil) || Grid.square(rows) == nil
    }

    /// What names and shapes tell of patches, blocks and their MLPs, over the layout's own values
    /// or those that the file says.
    ///
    /// - base: what the layout's code has
    /// - patches: the patch embedding's name
    func blocks(
        _ base: TransformerSizes, patches: String, _ options: LoadOptions
    ) throws(USPError) -> TransformerSizes {
        var sizes = toldTransformer ?? base
        let shape = try shape("\(patches).proj.weight")
        try require(
            shape.rank == 4 && shape[2] == shape[3] && shape.count > 0, .format,
            "\(path): \(patches).proj.weight is \(shape), not [D, C, P, P]")
        (sizes.width, sizes.channels, sizes.patch) = (shape[0], shape[1], shape[2])
        sizes.depth = depth("blocks")
        sizes.heads = try heads("heads", sizes.width, options)
        if let given = options.heads {
            try require(
                given == sizes.heads, .argument,
                "\(path): heads: \(given), but the file shows \(sizes.heads)")
        }
        func has(_ name: String) -> Bool { sources["blocks.0.\(name)"] != nil }
        sizes.rmsNorm = has("norm1.weight") && !has("norm1.bias")
        sizes.swiglu = has("mlp.w12.weight")
        sizes.queryKeyNorm = has("attn.q_norm.weight")
        sizes.layerScale = has("ls1.gamma")
        sizes.preNorm = sources["norm_pre.weight"] != nil
        sizes.rope = sources["feat_rope.freqs_cos"] != nil
        let registers = sources["register_tokens"]?.shape
        sizes.registers = registers.map { $0.rank == 3 ? $0[1] : 0 } ?? 0
        sizes.mlpRatio = mlpRatio(sizes)
        if toldTransformer == nil, let told = told("usp.activation") {
            sizes.activation = Activation(rawValue: told) ?? sizes.activation
        }
        if toldTransformer == nil { sizes.activation = folder?.activation ?? sizes.activation }
        sizes.activation = options.activation ?? sizes.activation
        sizes.epsilon = options.epsilon ?? sizes.epsilon
        return sizes
    }

    func depth(_ prefix: String) -> Int {
        var depth = 0
        while sources["\(prefix).\(depth).attn.qkv.weight"] != nil { depth += 1 }
        return depth
    }

    func mlpRatio(_ sizes: TransformerSizes, _ blocks: String = "blocks") -> Float {
        let last = sizes.swiglu ? "w3" : "fc2"
        guard let shape = sources["\(blocks).0.mlp.\(last).weight"]?.shape, shape.rank == 2,
            shape[1] != sizes.hidden
        else { return sizes.mlpRatio }
        // The whole of which a SwiGLU takes two thirds.
        let whole = sizes.swiglu ? (3 * shape[1] + 1) / 2 : shape[1]
        let ratio = Float(whole) / Float(sizes.width)
        // The quotient may lie just below the number that gives the hidden width again.
        return Int(Float(sizes.width) * ratio) < whole ? ratio.nextUp : ratio
    }

    /// Sizes of a vision transformer's encoder.
    func encoder(_ options: LoadOptions) throws(USPError) -> TransformerSizes {
        var base = TransformerSizes()
        if dialect.name == Dialect.clip.name {
            (base.activation, base.epsilon) = (.geluQuick, 1e-5)
        }
        var sizes = try blocks(base, patches: "patch_embed", options)
        if options.epsilon == nil, toldTransformer == nil, let epsilon = folder?.epsilon {
            sizes.epsilon = epsilon
        }
        sizes.classToken = sources["cls_token"] != nil
        sizes.affine = true
        guard let table = sources["pos_embed"]?.shape else {
            let told = try toldGrid
            guard let given = options.grid ?? told else {
                throw USPError(.argument, "\(path): no pos_embed in it; give the grid")
            }
            sizes.grid = given
            return sizes
        }
        try require(
            table.rank == 3 && table[0] == 1 && table[2] == sizes.width, .format,
            "\(path): pos_embed is \(table), not [1, T, \(sizes.width)]")
        if sizes.classToken { sizes.embedsClass = try embedsClass(table[1], options.grid) }
        sizes.grid = try grid(table[1] - sizes.leadingPositions, options.grid, "pos_embed")
        return sizes
    }
}
