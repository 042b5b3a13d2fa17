// What stands in diffusers' and timm's `config.json`, and what becomes of each key.

import USPBase
import USPFiles
import USPTensor

/// The keys of one kind of `config.json`.
struct ConfigurationSchema: Sendable {
    /// What it belongs to, for messages.
    let title: String
    let describes: @Sendable (JSON) -> Bool
    let keys: [String: KeyUse]
    var finish: @Sendable (inout FolderConfiguration) throws(USPError) -> Void = { _ in }
}

/// What becomes of a key.
enum KeyUse: Sendable {
    /// Without a part in what the model computes, or told by the tensors as well.
    case without
    case applied(@Sendable (inout FolderConfiguration, String) throws(USPError) -> Void)
    /// Only with these values is the model ours; in words what they are.
    case only([JSON], String)
}

extension ConfigurationSchema {
    private static func diffusers(_ names: [String]) -> @Sendable (JSON) -> Bool {
        { json in json["_class_name"]?.text.map(names.contains) ?? false }
    }

    private static func setting(
        _ path: any WritableKeyPath<FolderConfiguration, Int?> & Sendable
    ) -> KeyUse {
        .applied { own, key throws(USPError) in own[keyPath: path] = try own.size(key) }
    }

    private static let no = KeyUse.only([.bool(false)], "false")

    static let autoencoder = ConfigurationSchema(
        title: "AutoencoderKL", describes: diffusers(["AutoencoderKL"]),
        keys: [
            "in_channels": .without, "out_channels": .without, "latent_channels": .without,
            "block_out_channels": .without, "layers_per_block": .without,
            "down_block_types": blocks(["DownEncoderBlock2D", "AttnDownEncoderBlock2D"]),
            "up_block_types": blocks(["UpDecoderBlock2D", "AttnUpDecoderBlock2D"]),
            "act_fn": .only([.string("silu"), .string("swish")], "silu"),
            "norm_num_groups": setting(\.groups),
            // Its pipelines' size and precision, and what names of tensors tell.
            "sample_size": .without, "force_upcast": .without, "use_quant_conv": .without,
            "use_post_quant_conv": .without, "mid_block_add_attention": .without,
            "scaling_factor": .without, "shift_factor": .without, "latents_mean": .without,
            "latents_std": .without,
        ],
        finish: { own throws(USPError) in own.normalization = try own.latentNormalization() })

    static let tinyAutoencoder = ConfigurationSchema(
        title: "AutoencoderTiny", describes: diffusers(["AutoencoderTiny"]),
        keys: [
            "in_channels": .without, "out_channels": .without, "latent_channels": .without,
            "block_out_channels": .without, "encoder_block_out_channels": .without,
            "decoder_block_out_channels": .without, "num_encoder_blocks": .without,
            "num_decoder_blocks": .without,
            "act_fn": .only([.string("relu")], "relu"),
            "upsample_fn": .only([.string("nearest")], "nearest"),
            "upsampling_scaling_factor": .only([.integer(2)], "2"),
            // How latents become bytes, which are none here.
            "latent_magnitude": .without, "latent_shift": .without, "force_upcast": .without,
            "scaling_factor": .without, "shift_factor": .without,
        ],
        finish: { own throws(USPError) in
            own.normalization = LatentNormalization(
                shift: [try own.number("shift_factor") ?? 0],
                scale: [try own.number("scaling_factor") ?? 1])
        })

    private static func blocks(_ known: [String]) -> KeyUse {
        .applied { own, key throws(USPError) in
            let words = own.texts(key)
            for word in words where !known.contains(word) {
                throw USPError(
                    .unsupported,
                    "\(own.place): \(key) has \(word), which is not supported; expected "
                        + known.joined(separator: " or "))
            }
        }
    }

    static let diffusionTransformer = ConfigurationSchema(
        title: "DiTTransformer2DModel",
        describes: diffusers(["DiTTransformer2DModel", "Transformer2DModel"]),
        keys: [
            "num_attention_heads": setting(\.heads), "sample_size": setting(\.sampleSize),
            "norm_eps": .applied { own, key throws(USPError) in
                own.epsilon = try own.number(key)
            },
            "activation_fn": .applied { own, key throws(USPError) in
                own.activation = try own.word(
                    key,
                    [
                        "gelu": .geluErf, "gelu-approximate": .geluTanh,
                        "geglu-approximate": .geluQuick, "linear-silu": .silu,
                    ])
            },
            "num_embeds_ada_norm": setting(\.classes),
            "attention_head_dim": .without, "in_channels": .without, "out_channels": .without,
            "num_layers": .without, "patch_size": .without, "attention_bias": .without,
            "norm_elementwise_affine": .without,
            // Of other inputs than patches; products and norms are in f32 anyway.
            "norm_num_groups": .without, "upcast_attention": .without,
            "use_linear_projection": .without, "interpolation_scale": .without,
            "dropout": .only([.integer(0), .number(0)], "0"),
            "norm_type": .only([.string("ada_norm_zero")], "ada_norm_zero"),
            "attention_type": .only([.string("default")], "default"),
            "double_self_attention": no, "only_cross_attention": no,
            "use_additional_conditions": no,
            "cross_attention_dim": .only([], "null"), "caption_channels": .only([], "null"),
            "num_vector_embeds": .only([], "null"),
        ])

    /// timm's, where a hub's file has one beside it.
    static let timm = ConfigurationSchema(
        title: "timm's vision transformers",
        describes: { $0["architecture"]?.text?.hasPrefix("vit_") ?? false },
        keys: [
            "architecture": .applied { own, key throws(USPError) in
                let words = own.texts(key).flatMap { $0.split(separator: "_") }
                if words.contains("quickgelu") { own.activation = .geluQuick }
                // What timm's code has for these alone.
                if words.contains("clip") { own.epsilon = 1e-5 }
            },
            "global_pool": .applied { own, key throws(USPError) in
                let pool = try own.word(
                    key, ["avg": ViT.Pool.avg, "token": .token, "": nil] as [String: ViT.Pool?])
                own.pool = pool ?? nil
            },
            // Told by the tensors; how images are prepared, and where it is from.
            "num_classes": .without, "num_features": .without, "pretrained_cfg": .without,
            "model_args": .applied { own, _ throws(USPError) in try own.applyArguments() },
        ])
}

extension FolderConfiguration {
    /// A text, or the texts of a list.
    func texts(_ key: String) -> [String] {
        json[key]?.text.map { [$0] } ?? json[key]?.elements?.compactMap(\.text) ?? []
    }

    /// diffusers' pipelines take (z − shift)·scale, or (z − mean)·scale/deviation.
    func latentNormalization() throws(USPError) -> LatentNormalization {
        let (scale, shift) = (try number("scaling_factor"), try number("shift_factor"))
        let (mean, deviation) = (try numbers("latents_mean"), try numbers("latents_std"))
        guard mean != nil || deviation != nil else {
            return LatentNormalization(shift: [shift ?? 0], scale: [scale ?? Self.defaultScale])
        }
        guard let mean, let deviation, mean.count == deviation.count else {
            throw USPError(
                .format, "\(place): latents_mean and latents_std, expected both, of one length")
        }
        try require(
            shift == nil || shift == 0, .format,
            "\(place): shift_factor beside latents_mean, expected one of the two")
        try require(
            deviation.allSatisfy { $0 > 0 }, .format,
            "\(place): latents_std has values that are not above 0")
        return LatentNormalization(
            mean: mean, deviation: deviation, multiplier: scale ?? Self.defaultScale)
    }

    /// Of diffusers' class, for any number of channels.
    private static let defaultScale: Float = 0.18215

    /// Arguments of timm's constructor, beside what its architecture is called for.
    mutating func applyArguments() throws(USPError) {
        for member in json["model_args"]?.members ?? [] {
            let key = "model_args.\(member.key)"
            switch (member.key, member.value) {
            case ("num_heads", .integer(let value)) where value > 0: heads = value
            case ("global_pool", .string("avg")): pool = .avg
            case ("global_pool", .string("token")): pool = .token
            case ("act_layer", .string("gelu")): activation = .geluErf
            case ("act_layer", .string("gelu_tanh")): activation = .geluTanh
            case ("act_layer", .string("quick_gelu")): activation = .geluQuick
            case ("norm_layer", .string("rmsnorm")), ("norm_layer", .string("layernorm")): break
            case ("norm_eps", .number(let value)) where value > 0: epsilon = Float(value)
            case (let name, _) where Self.toldByTensors.contains(name): break
            case (_, .null): break
            default:
                unapplied.append(
                    SkippedItem(
                        name: "\(place): \(key)",
                        reason: "\(shortened(member.value)) is not applied"))
            }
        }
    }

    private static let toldByTensors: Set<String> = [
        "img_size", "patch_size", "embed_dim", "depth", "mlp_ratio", "num_classes", "in_chans",
        "class_token", "no_embed_class", "fc_norm", "qkv_bias", "init_values", "reg_tokens",
        "qk_norm", "dynamic_img_size", "dynamic_img_pad", "weight_init", "pre_norm", "final_norm",
        "drop_path_rate", "drop_rate", "attn_drop_rate", "proj_drop_rate", "pos_drop_rate",
        "patch_drop_rate", "strict_img_size",
    ]
}
