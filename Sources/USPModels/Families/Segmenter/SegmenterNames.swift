// Names of segmentation networks: mmsegmentation's files, BEiT's and implus', our own; and their sizes.

import USPBase
import USPFiles
import USPTensor

extension ModelKind {
    package static let segmenter = ModelKind(
        "segmentation network", [.mmseg, .beit, .segmenter], tables: ["state_dict"])
}

extension Dialect {
    static let mmseg = segmenter("mmsegmentation") {
        $0.contains("backbone.layers.0.ln1.weight")
    }
    static let beit = segmenter("BEiT and implus") {
        $0.contains("backbone.fpn1.0.weight") || $0.contains("backbone.blocks.0.gamma_1")
    }
    static let segmenter = segmenter("timm and mmsegmentation") {
        $0.contains("backbone.blocks.0.norm1.weight")
    }

    private static func segmenter(
        _ name: String, _ matches: @escaping @Sendable (ArchiveTable) -> Bool
    ) -> Dialect {
        Dialect(
            name: name, anchors: ["decode_head.conv_seg.weight"], parts: ["backbone"],
            matches: { $0.contains("decode_head.conv_seg.weight") && matches($0) },
            meaning: { name, _ in segmenterMeaning(name) })
    }

    /// Parts of the encoder's names that differ from timm's.
    private static let encoderParts = [
        "ln1": "norm1", "ln2": "norm2", "ffn.layers.0.0": "mlp.fc1", "ffn.layers.1": "mlp.fc2",
        "gamma_1": "ls1.gamma", "gamma_2": "ls2.gamma",
    ]
    private static let pyramid = [
        "fpn1": "upsample_4x", "fpn2": "upsample_2x",
    ]
    private static let heads = [
        "psp_modules", "bottleneck", "lateral_convs", "fpn_convs", "fpn_bottleneck", "conv_seg",
        "bn", "convs",
    ]

    private static func segmenterMeaning(_ name: String) -> NameMeaning {
        let parts = components(name)
        switch parts.last {
        case "num_batches_tracked": return .ignored("a counter of batches")
        case "relative_position_index": return .ignored("follows from the grid")
        default: break
        }
        switch parts[0] {
        case "backbone" where parts.count > 1: return encoderMeaning(Array(parts.dropFirst()))
        case "neck" where parts.count > 1:
            return pyramid.values.contains(parts[1])
                ? .parameter(name) : .unsupported("a neck other than the feature pyramid")
        case "decode_head", "auxiliary_head":
            return parts.count > 1 && heads.contains(parts[1]) ? .parameter(name) : .unknown
        default: return .unknown
        }
    }

    /// - parts: of a name behind `backbone.`
    private static func encoderMeaning(_ parts: [String]) -> NameMeaning {
        let rest = parts.dropFirst().joined(separator: ".")
        switch parts[0] {
        case "layers", "blocks": return blockMeaning(parts)
        case "fpn1", "fpn2":
            return .parameter("neck.\(pyramid[parts[0]] ?? "").\(rest)")
        case "patch_embed":
            let own = rest.replacingPrefix("projection.", by: "proj.")
            return .parameter("backbone.patch_embed.\(own)")
        case "ln1", "norm": return .parameter("backbone.norm.\(rest)")
        case "cls_token", "pos_embed", "register_tokens", "feat_rope":
            return .parameter((["backbone"] + parts).joined(separator: "."))
        case "rel_pos_bias": return .unsupported("one table of relative positions for all blocks")
        case "mask_token": return .ignored("of pretraining")
        default: return .unknown
        }
    }

    private static func blockMeaning(_ parts: [String]) -> NameMeaning {
        guard parts.count > 2, Int(parts[1]) != nil else { return .unknown }
        let block = "backbone.blocks.\(parts[1])"
        let rest = parts[2...].joined(separator: ".")
        switch rest {
        case "attn.q_bias": return .parameter("\(block).attn.qkv.bias", index: 0, count: 3)
        case "attn.v_bias": return .parameter("\(block).attn.qkv.bias", index: 2, count: 3)
        default: break
        }
        for (theirs, own) in encoderParts where rest == theirs || rest.hasPrefix(theirs + ".") {
            return .parameter("\(block).\(own)\(rest.dropFirst(theirs.count))")
        }
        return .parameter("\(block).\(rest)")
    }
}

extension String {
    fileprivate func replacingPrefix(_ prefix: String, by other: String) -> String {
        hasPrefix(prefix) ? other + dropFirst(prefix.count) : self
    }
}

extension Family {
    static let segmenter = Family(
        "Segmenter", Segmenter.self, .segmenter, stream: "segmenter",
        presets: Presets.sizes.filter { ["B", "L"].contains($0.name) }.map { size in
            Preset(
                name: "Segmenter-\(size.name)/2",
                configuration: Segmenter.Configuration(
                    TransformerSizes(
                        grid: Grid(32, 32), width: size.width, depth: size.depth,
                        heads: size.heads)))
        },
        rules: { sizes in
            var rules = LoadRules()
            if sizes.head == .upernet {
                rules.tolerated = [
                    Tolerance(
                        prefix: "backbone.norm.", reason: "UperNet reads tokens before the norm")
                ]
            }
            return rules
        },
        infer: { file, options throws(USPError) in try file.segmenterConfiguration(options) })
}

extension FileModel {
    /// Sizes of a segmentation network: its head by the head's tensors; the blocks that it reads are
    /// an option's, else the file's own word, else as published.
    func segmenterConfiguration(
        _ options: LoadOptions
    ) throws(USPError) -> Segmenter.Configuration {
        let told = told(as: Segmenter.Configuration.self)
        let table = sources["backbone.blocks.0.attn.relative_position_bias_table"]?.shape
        let backbone = without("backbone.")
        var options = options
        if let table { try readRelative(table, &options) }
        var sizes = Segmenter.Configuration(try backbone.encoder(options))
        sizes.relativePositions = table != nil
        sizes.absolutePositions = sources["backbone.pos_embed"] != nil
        sizes.classes = try shape("decode_head.conv_seg.weight").extents.first ?? 0
        let plain = try toldIndices
        let given = options.outIndices ?? told?.outIndices ?? plain
        if let norm = sources["decode_head.bn.weight"]?.shape {
            sizes.head = .linear
            let count = norm.count / max(sizes.width, 1)
            sizes.outIndices =
                given ?? Array(max(sizes.depth - count, 0)..<sizes.depth)
            try require(
                count == sizes.outIndices.count && norm.count % sizes.width == 0, .argument,
                "\(path): decode_head.bn is of \(norm.count) channels, but blocks "
                    + "\(sizes.outIndices) of \(sizes.width) each")
        } else {
            sizes.outIndices = given ?? []
            sizes.headChannels = sources["decode_head.bottleneck.conv.weight"]?.shape.extents.first
            let auxiliary = sources["auxiliary_head.convs.0.conv.weight"]?.shape
            sizes.auxiliaryChannels = auxiliary?.extents.first ?? 0
        }
        return sizes.resolved
    }

    /// What a table of relative positions tells: heads, and the grid of a square.
    private func readRelative(_ table: Shape, _ options: inout LoadOptions) throws(USPError) {
        try require(
            table.rank == 2 && table[0] > 3, .format,
            "\(path): a table of relative positions of \(table), expected [rows, heads]")
        try require(
            options.heads == nil || options.heads == table[1], .argument,
            "\(path): heads: \(options.heads ?? 0), but the file's relative positions are of "
                + "\(table[1])")
        options.heads = table[1]
        guard sources["backbone.pos_embed"] == nil else { return }
        if options.grid == nil, try toldGrid == nil, let square = Grid.square(table[0] - 3) {
            options.grid = Grid((square.height + 1) / 2, (square.width + 1) / 2)
        }
    }

    /// `usp.out_indices`, beside `usp.heads` and `usp.grid`.
    private var toldIndices: [Int]? {
        get throws(USPError) { try toldNumbers("usp.out_indices", ",", "2,3,5,7") }
    }
}
