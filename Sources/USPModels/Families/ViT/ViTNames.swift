// Names of vision transformers: MAE's and USP's files, timm's models, DINOv2's releases. Masked
// autoencoders, classifiers and plain encoders share them.

import USPFiles

extension ModelKind {
    package static let visionTransformer = ModelKind(
        "vision transformer", [.dinov2, .moco, .clip, .vit], tables: ["model"])
}

extension Dialect {
    private static let encoder = [
        "cls_token", "register_tokens", "pos_embed", "patch_embed", "norm_pre", "blocks", "norm",
        "fc_norm",
        "head", "feat_rope",
    ]
    private static let decoder = [
        "mask_token", "decoder_pos_embed", "decoder_embed", "decoder_blocks", "decoder_norm",
        "decoder_pred", "decoder_feat_rope",
    ]

    static let vit = Dialect(
        name: "MAE and timm", anchors: ["patch_embed.proj.weight"], schema: .timm,
        matches: {
            $0.contains("patch_embed.proj.weight") && $0.contains("blocks.0.attn.qkv.weight")
        },
        meaning: { name, _ in transformerMeaning(name) })

    static let dinov2 = Dialect(
        name: "DINOv2", anchors: ["patch_embed.proj.weight"], schema: .timm,
        matches: { table in
            table.contains("patch_embed.proj.weight") && table["mask_token"]?.shape.rank == 2
        },
        meaning: { name, _ in
            if name == "mask_token" {
                return .ignored("replaces masked patches in training only")
            }
            // Training files have the blocks in chunks: blocks.CHUNK.INDEX.
            var parts = components(name)
            if parts[0] == "blocks", parts.count > 3, Int(parts[2]) != nil { parts.remove(at: 1) }
            return transformerMeaning(parts.joined(separator: "."))
        })

    /// The encoder in MoCo v3's training files, whose head is an MLP and which misname some layers.
    static let moco = Dialect(
        name: "MoCo v3", anchors: ["patch_embed.proj.weight"], schema: .timm,
        matches: { table in
            table.contains("patch_embed.proj.weight") && table["head.3.weight"]?.shape.rank == 2
        },
        meaning: { name, _ in
            var parts = components(name)
            if ["head", "fc"].contains(parts[0]) {
                return .ignored("the projection of pretraining")
            }
            if parts[0] == "blocks", parts.count > 3,
                let own = slips["\(parts[1]).\(parts[parts.count - 2])"]
            {
                parts[parts.count - 2] = own
            }
            return transformerMeaning(parts.joined(separator: "."))
        })
    private static let slips = [
        "13.norm13": "norm1", "13.fc13": "fc1", "14.norm14": "norm2", "14.fc14": "fc2",
    ]

    /// The picture half of CLIP's and OpenCLIP's files, beside which its text half may lie.
    static let clip = Dialect(
        name: "CLIP", anchors: ["conv1.weight"],
        matches: { table in
            table["conv1.weight"]?.shape.rank == 4
                && table.contains("transformer.resblocks.0.attn.in_proj_weight")
        },
        meaning: { name, _ in
            switch name {
            case "class_embedding": return .parameter("cls_token", leading: 2)
            case "positional_embedding": return .parameter("pos_embed", leading: 1)
            case "proj": return .ignored("the projection beside texts")
            default: break
            }
            var parts = components(name)
            if parts.starts(with: ["transformer", "resblocks"]), parts.count > 4 {
                parts.replaceSubrange(..<2, with: ["blocks"])
                guard let own = layersOfCLIP[parts[2...].joined(separator: ".")] else {
                    return .unknown
                }
                return .parameter((parts[..<2] + [own]).joined(separator: "."))
            }
            let own = ["conv1": "patch_embed.proj", "ln_pre": "norm_pre", "ln_post": "norm"][
                parts[0]]
            return own.map { .parameter(([$0] + parts.dropFirst()).joined(separator: ".")) }
                ?? .unknown
        })
    private static let layersOfCLIP = [
        "ln_1": "norm1", "ln_2": "norm2", "attn.in_proj": "attn.qkv", "attn.out_proj": "attn.proj",
        "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2",
    ].reduce(into: [String: String]()) { names, layer in
        for part in ["weight", "bias"] {
            // PyTorch's attention names its first product so.
            let dot = layer.key == "attn.in_proj" ? "_" : "."
            names["\(layer.key)\(dot)\(part)"] = "\(layer.value).\(part)"
        }
    }

    private static func transformerMeaning(_ name: String) -> NameMeaning {
        let parts = components(name)
        switch parts[0] {
        case "reg_token": return .parameter("register_tokens")
        case "dist_token", "head_dist": return .unsupported("a distillation token")
        default: break
        }
        if parts.last == "num_batches_tracked" { return .ignored("a counter of batches") }
        return encoder.contains(parts[0]) || decoder.contains(parts[0])
            ? .parameter(name) : .unknown
    }
}
