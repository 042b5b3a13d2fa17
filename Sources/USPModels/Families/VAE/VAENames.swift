// Names of autoencoders: CompVis' (MAR and VA-VAE use them too), which are ours, and diffusers'
// with its two generations of attention.

import USPBase
import USPFiles

extension ModelKind {
    package static let autoencoder = ModelKind(
        "autoencoder",
        [
            .diffusersAutoencoder, .compVisAutoencoder, .diffusersTiny, .tinyEncoder, .tinyDecoder,
        ], tables: ["state_dict"],
        official: { file throws(USPError) in try file.officialAutoencoder() },
        diffusers: { file throws(USPError) in try file.diffusersAutoencoder() })
}

extension Dialect {
    private static let ignoredParts = [
        "loss": "the training loss's networks",
        "foundation_model": "the teacher that VA-VAE aligns to",
        "linear_proj": "VA-VAE's projection to its teacher", "model_ema": "LDM's averaged copies",
        "discriminator": "the training loss's networks",
    ]

    static let compVisAutoencoder = Dialect(
        name: "CompVis", anchors: ["encoder.conv_in.weight"], schema: .autoencoder,
        matches: { table in
            table.contains("encoder.conv_in.weight")
                && table.contains("encoder.down.0.block.0.conv1.weight")
        },
        meaning: { name, _ in
            let first = components(name)[0]
            if let reason = ignoredParts[first] { return .ignored(reason) }
            let isOurs = ["encoder", "decoder", "quant_conv", "post_quant_conv"].contains(first)
            return isOurs ? .parameter(name, reshapes: isAttentionMatrix(name)) : .unknown
        })

    static func isAttentionMatrix(_ name: String) -> Bool {
        let parts = components(name)
        let layer = parts.dropLast().last ?? ""
        return parts.last == "weight" && ["q", "k", "v", "proj_out"].contains(layer)
    }

    static let diffusersAutoencoder = Dialect(
        name: "diffusers autoencoder",
        anchors: ["encoder.down_blocks.0.resnets.0.conv1.weight"], schema: .autoencoder,
        matches: { $0.contains("encoder.down_blocks.0.resnets.0.conv1.weight") },
        meaning: { name, table in
            let parts = components(name)
            if ["quant_conv", "post_quant_conv"].contains(parts[0]) { return .parameter(name) }
            guard parts.count > 2, let own = layer(parts, table) else { return .unknown }
            return .parameter(own, reshapes: isAttentionMatrix(own))
        })

    /// Our name of a diffusers layer, part by part.
    private static func layer(_ parts: [String], _ table: ArchiveTable) -> String? {
        let rest = Array(parts[2...])
        switch parts[1] {
        case "conv_in", "conv_out": return parts.joined(separator: ".")
        case "conv_norm_out": return ([parts[0], "norm_out"] + rest).joined(separator: ".")
        case "mid_block": return inner(rest).map { "\(parts[0]).mid.\($0)" }
        case "down_blocks", "up_blocks":
            guard let index = rest.first.flatMap({ Int($0) }), rest.count > 2 else { return nil }
            let isDown = parts[1] == "down_blocks"
            let levels = countBlocks("decoder.up_blocks", table)
            let level = isDown ? index : levels - 1 - index
            guard level >= 0 else { return nil }
            return inner(Array(rest.dropFirst()), inLevel: true).map {
                "\(parts[0]).\(isDown ? "down" : "up").\(level).\($0)"
            }
        default: return nil
        }
    }

    private static let attentionParts = [
        "group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out": "proj_out",
        "query": "q", "key": "k", "value": "v", "proj_attn": "proj_out",
    ]

    /// diffusers' name, with its later names of attention, for one of ours.
    static func diffusersName(_ name: String, levels: Int) -> String {
        let parts = components(name)
        guard parts.count > 3 else {
            return parts.map { $0 == "norm_out" ? "conv_norm_out" : $0 }.joined(separator: ".")
        }
        if parts[1] == "mid" {
            let kind = parts[2].hasPrefix("attn") ? "attentions" : "resnets"
            let index = (parts[2].split(separator: "_").last.flatMap { Int($0) } ?? 1) - 1
            return joined([parts[0], "mid_block", kind, "\(index)"], layer: parts[3...])
        }
        let isDown = parts[1] == "down"
        let level = Int(parts[2]) ?? 0
        let block = [
            parts[0], isDown ? "down_blocks" : "up_blocks",
            "\(isDown ? level : levels - 1 - level)",
        ]
        switch parts[3] {
        case "downsample", "upsample":
            return joined(block + [parts[3] + "rs", "0"], layer: parts[4...])
        case "attn": return joined(block + ["attentions", parts[4]], layer: parts[5...])
        default: return joined(block + ["resnets", parts[4]], layer: parts[5...])
        }
    }

    private static let layersOfDiffusers = [
        "norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0",
        "nin_shortcut": "conv_shortcut",
    ]

    private static func joined(_ block: [String], layer: ArraySlice<String>) -> String {
        (block + layer.map { layersOfDiffusers[$0] ?? $0 }).joined(separator: ".")
    }

    /// `resnets.1.conv1.weight` and its like, inside a level or the middle.
    private static func inner(_ parts: [String], inLevel: Bool = false) -> String? {
        guard parts.count >= 4, let index = Int(parts[1]), index >= 0, index < 64,
            let kind = parts.last
        else { return nil }
        switch parts[0] {
        case "resnets":
            let layer = parts[2] == "conv_shortcut" ? "nin_shortcut" : parts[2]
            return "\(inLevel ? "block.\(index)" : "block_\(index + 1)").\(layer).\(kind)"
        case "attentions":
            guard let layer = attentionParts[parts[2]] else { return nil }
            return "\(inLevel ? "attn.\(index)" : "attn_\(index + 1)").\(layer).\(kind)"
        case "downsamplers": return inLevel ? "downsample.conv.\(kind)" : nil
        case "upsamplers": return inLevel ? "upsample.conv.\(kind)" : nil
        default: return nil
        }
    }
}

extension FileModel {
    /// CompVis' code has 1x1 convolutions where diffusers has matrices.
    func officialAutoencoder() throws(USPError) -> [WrittenArray] {
        try plainArrays().map { array in
            guard Dialect.isAttentionMatrix(array.name), array.shape.rank == 2 else { return array }
            return WrittenArray(
                name: array.name, shape: [array.shape[0], array.shape[1], 1, 1], parts: array.parts)
        }
    }

    func diffusersAutoencoder() throws(USPError) -> [WrittenArray] {
        // A tiny autoencoder has diffusers' names here.
        if isTinyAutoencoder { return try plainArrays() }
        if let sizes = try sizes() as? VAE.Configuration {
            try require(
                sizes.doublesLatent, .unsupported,
                "\(path): diffusers' AutoencoderKL gives mean and variance, this one a mean only "
                    + "(double_z no)")
        }
        let levels = count { "encoder.down.\($0).block.0.conv2.weight" }
        var result: [WrittenArray] = []
        for name in names {
            var shape = try shape(name)
            if Dialect.isAttentionMatrix(name) && shape.rank == 4 {
                shape = [shape[0], shape.count / max(shape[0], 1)]
            }
            result.append(
                WrittenArray(
                    name: Dialect.diffusersName(name, levels: levels), shape: shape,
                    parts: parts(name)))
        }
        return result
    }
}
