// Names of diffusion transformers: DiT's and SiT's releases and training files, REPA, diffusers,
// LightningDiT (refused).

import USPFiles

extension Dialect {
    private static let ours = [
        "pos_embed", "x_embedder", "t_embedder", "y_embedder", "blocks", "final_layer",
    ]

    static let dit = Dialect(
        name: "DiT", family: .diffusionTransformer,
        matches: {
            $0.contains("x_embedder.proj.weight") && $0.contains("t_embedder.mlp.0.weight")
        },
        meaning: { name, table in
            let parts = components(name)
            if parts.contains("q_norm") || parts.contains("k_norm") {
                return .unsupported("attention with normalised queries and keys")
            }
            // REPA's early files call the blocks behind its projection point decoder blocks.
            if parts[0] == "decoder_blocks", parts.count > 2, let index = Int(parts[1]) {
                let first = countBlocks("blocks", table)
                return .parameter(
                    (["blocks", String(index + first)] + parts[2...]).joined(separator: "."))
            }
            if parts[0] == "projectors" {
                return .ignored("REPA's projectors: used in training only")
            }
            return ours.contains(parts[0]) ? .parameter(name) : .unknown
        })

    static let lightningDiT = Dialect(
        name: "LightningDiT", family: .diffusionTransformer,
        matches: { table in
            table.contains("x_embedder.proj.weight")
                && (table.contains("blocks.0.mlp.w12.weight")
                    || table.contains("feat_rope.freqs_cos")
                    || table.contains("final_layer.norm_final.weight"))
        },
        meaning: { _, _ in
            .unsupported("LightningDiT's blocks (RMS norms, SwiGLU, rotary positions)")
        })

    private static let diffusersTop = [
        "pos_embed.proj": "x_embedder.proj", "proj_out_1": "final_layer.adaLN_modulation.1",
        "proj_out_2": "final_layer.linear",
    ]
    private static let diffusersEmbedders = [
        "norm1.emb.timestep_embedder.linear_1": "t_embedder.mlp.0",
        "norm1.emb.timestep_embedder.linear_2": "t_embedder.mlp.2",
        "norm1.emb.class_embedder.embedding_table": "y_embedder.embedding_table",
    ]
    private static let diffusersBlock = [
        "norm1.linear": "adaLN_modulation.1", "attn1.to_out.0": "attn.proj",
        "ff.net.0.proj": "mlp.fc1", "ff.net.2": "mlp.fc2",
    ]
    private static let queryKeyValue = ["attn1.to_q", "attn1.to_k", "attn1.to_v"]

    static let diffusersDiT = Dialect(
        name: "diffusers DiT", family: .diffusionTransformer,
        matches: { $0.contains("pos_embed.proj.weight") && $0.contains("proj_out_2.weight") },
        meaning: { name, _ in
            var parts = components(name)
            let kind = parts.removeLast()
            if let top = diffusersTop[parts.joined(separator: ".")] {
                return .parameter("\(top).\(kind)")
            }
            guard parts.count > 2, parts[0] == "transformer_blocks", let index = Int(parts[1])
            else {
                return name == "pos_embed.pos_embed" ? .parameter("pos_embed") : .unknown
            }
            let layer = parts[2...].joined(separator: ".")
            if let embedder = diffusersEmbedders[layer] {
                let target = "\(embedder).\(kind)"
                return index == 0 ? .parameter(target) : .duplicate(target)
            }
            if let part = queryKeyValue.firstIndex(of: layer) {
                return .parameter("blocks.\(index).attn.qkv.\(kind)", index: part, count: 3)
            }
            return diffusersBlock[layer].map { .parameter("blocks.\(index).\($0).\(kind)") }
                ?? .unknown
        })

    /// diffusers' names for one of DiT's, and whether they share its rows rather than repeat it:
    /// the embedders are in every block.
    static func diffusersTransformerNames(
        _ name: String, blocks: Int
    ) -> (names: [String], isStacked: Bool) {
        var parts = components(name)
        let kind = parts.removeLast()
        let layer = parts.joined(separator: ".")
        func key(_ table: [String: String], _ value: String) -> String? {
            table.first { $0.value == value }?.key
        }
        if let top = key(diffusersTop, layer) { return (["\(top).\(kind)"], false) }
        if let embedder = key(diffusersEmbedders, layer) {
            return ((0..<blocks).map { "transformer_blocks.\($0).\(embedder).\(kind)" }, false)
        }
        guard parts.count > 2, parts[0] == "blocks" else { return ([], false) }
        let (block, inner) = ("transformer_blocks.\(parts[1])", parts[2...].joined(separator: "."))
        if inner == "attn.qkv" { return (queryKeyValue.map { "\(block).\($0).\(kind)" }, true) }
        return (key(diffusersBlock, inner).map { ["\(block).\($0).\(kind)"] } ?? [], false)
    }
}

// Names of vision transformers: MAE's and USP's files, timm's models, DINOv2's releases.
extension Dialect {
    private static let encoder = [
        "cls_token", "pos_embed", "patch_embed", "blocks", "norm", "fc_norm", "head",
    ]
    private static let decoder = [
        "mask_token", "decoder_pos_embed", "decoder_embed", "decoder_blocks", "decoder_norm",
        "decoder_pred",
    ]

    static let vit = Dialect(
        name: "MAE and timm", family: .visionTransformer,
        matches: {
            $0.contains("patch_embed.proj.weight") && $0.contains("blocks.0.attn.qkv.weight")
        },
        meaning: { name, _ in transformerMeaning(name) })

    static let dinov2 = Dialect(
        name: "DINOv2", family: .visionTransformer,
        matches: { table in
            table.contains("patch_embed.proj.weight")
                && (table.contains("register_tokens") || table["mask_token"]?.shape.rank == 2)
        },
        meaning: { name, _ in
            name == "mask_token"
                ? .ignored("replaces masked patches in training only") : transformerMeaning(name)
        })

    private static func transformerMeaning(_ name: String) -> NameMeaning {
        let parts = components(name)
        switch parts[0] {
        case "register_tokens", "reg_token": return .unsupported("register tokens")
        case "dist_token", "head_dist": return .unsupported("a distillation token")
        default: break
        }
        if parts.contains("w12") || parts.contains("w3") { return .unsupported("a SwiGLU MLP") }
        if parts.contains("q_norm") || parts.contains("k_norm") {
            return .unsupported("attention with normalised queries and keys")
        }
        if parts.last == "num_batches_tracked" { return .ignored("a counter of batches") }
        if parts.count == 4, parts[0] == "blocks", parts[3] == "gamma" {
            let layer = ["ls1": "attn.proj", "ls2": "mlp.fc2"][parts[2]]
            let block = "blocks.\(parts[1])"
            return layer.map { .rowScale(["\(block).\($0).weight", "\(block).\($0).bias"]) }
                ?? .unknown
        }
        return encoder.contains(parts[0]) || decoder.contains(parts[0])
            ? .parameter(name) : .unknown
    }
}
