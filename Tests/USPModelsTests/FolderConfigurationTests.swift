// What `config.json` beside the weights says: every key is applied, compared, known to change nothing, or
// named.

import TestSupport
import Testing
import USPBase
import USPFiles
import USPModels
import USPTensor

private let golden = goldenFolder.path(percentEncoded: false)

private func error(_ body: () throws -> Void) -> USPError? {
    #expect(throws: USPError.self, performing: body)
}

/// A golden file's arrays in a folder with this configuration.
private func beside<Result>(
    _ config: String, _ file: String, _ body: (Archive) throws -> Result
) throws -> Result {
    try inFolder { folder in
        let written = try AtomicFile("\(folder)/config.json")
        try written.write(config)
        try written.commit()
        let source = try Archive.open("\(golden)/models/\(file)")
        return try body(
            Archive(
                path: "\(folder)/model.safetensors", format: .safetensors, tables: source.tables))
    }
}

private func members(_ class_: String, _ rest: String) -> String {
    #"{"_class_name": "\#(class_)", "_diffusers_version": "0.30.0"\#(rest.isEmpty ? "" : ", ")\#(rest)}"#
}

@Suite struct AutoencoderConfigurationTests {
    private func load(_ keys: String, class_: String = "AutoencoderKL") throws -> (VAE, LoadReport)
    {
        try beside(members(class_, keys), "vae_params.safetensors") { try VAE.load($0) }
    }

    /// diffusers' pipelines: (z − shift)·scale, or (z − mean)·scale/deviation.
    @Test func statisticsOfLatentsAreApplied() throws {
        let channels = try load("").0.configuration.latentChannels
        let mean = (0..<channels).map { Float($0) / 2 - 1 }
        let deviation = (0..<channels).map { Float($0 + 1) }
        let (model, report) = try load(
            #""latents_mean": \#(mean), "latents_std": \#(deviation), "scaling_factor": 0.5"#)
        #expect(model.configuration.normalization.shift == mean)
        #expect(model.configuration.normalization.scale == deviation.map { 0.5 / $0 })
        #expect(report.assumed.isEmpty && report.unapplied.isEmpty)
        let shifted = try load(#""scaling_factor": 0.3611, "shift_factor": 0.1159"#).0
        #expect(
            shifted.configuration.normalization
                == LatentNormalization(shift: [0.1159], scale: [0.3611]))
        // The class's own default is told, not assumed.
        let plain = try load(#""latents_mean": null, "latents_std": null"#)
        #expect(plain.0.configuration.normalization.scale == [0.18215] && plain.1.assumed.isEmpty)
        for keys in [
            #""latents_mean": [0, 0, 0, 0]"#, #""latents_mean": [0], "latents_std": [1, 1]"#,
            #""latents_mean": [0, 0, 0, 0], "latents_std": [1, 1, 1, 0]"#,
            #""latents_mean": 0, "latents_std": 1"#,
            #""latents_mean": [0, 0, 0, 0], "latents_std": [1, 1, 1, 1], "shift_factor": 0.5"#,
        ] {
            let told = error { _ = try load(keys) }
            #expect(
                told?.kind == .format && told?.message.contains("config.json: ") == true, "\(keys)")
        }
    }

    /// What no autoencoder of ours computes is refused in words.
    @Test(arguments: [
        (#""act_fn": "relu""#, #"act_fn is "relu", which is not supported; expected silu"#),
        (#""act_fn": "gelu""#, "act_fn"), (#""act_fn": "mish""#, "act_fn"),
        (#""down_block_types": ["DownEncoderBlock2D", "DownBlock2D"]"#, "DownBlock2D"),
        (#""up_block_types": ["UpBlock2D"]"#, "expected UpDecoderBlock2D"),
    ]) func otherLayersAreRefused(_ keys: String, _ words: String) throws {
        let told = error { _ = try load(keys) }
        #expect(told?.kind == .unsupported && told?.message.contains(words) == true)
    }

    /// Of another model's file nothing is believed.
    @Test(arguments: [
        #""latent_channels": 16"#, #""in_channels": 1"#, #""block_out_channels": [128, 256]"#,
        #""layers_per_block": 7"#, #""out_channels": 6"#, #""mid_block_add_attention": false"#,
        #""use_quant_conv": false"#, #""use_post_quant_conv": false"#,
    ]) func sizesAreCompared(_ keys: String) throws {
        let told = error { _ = try load(keys) }
        #expect(told?.kind == .format && told?.message.contains("belongs to another model") == true)
    }

    @Test(arguments: [
        "UNet2DConditionModel", "VQModel", "AutoencoderTiny", "DiTTransformer2DModel",
    ])
    func anotherClassIsNotBelieved(_ class_: String) throws {
        let (model, report) = try load(
            #""scaling_factor": 0.5, "norm_num_groups": 16"#, class_: class_)
        #expect(model.configuration.normalization.scale == [0.18215])
        #expect(
            report.unapplied.first?.reason.contains("it belongs to \(class_), expected") == true)
        #expect(report.notes.contains { $0.contains("nothing in it is applied") })
        #expect(report.assumed.count == 1)
    }

    /// A key that nobody knows may change everything.
    @Test(arguments: [
        #""latent_rotation": true"#, #""scaling_factors": [0.5]"#, #""pad_mode": "reflect""#,
    ])
    func unknownKeysAreNamed(_ keys: String) throws {
        let (model, report) = try load(keys)
        let name = keys.split(separator: "\"")[0]
        #expect(report.unapplied.count == 1)
        #expect(report.unapplied[0].name.hasSuffix("config.json: \(name)"))
        #expect(report.text.contains("setting  ") && !model.weights.notes.isEmpty)
        #expect(report.json["settings"]?.elements?.count == 1)
    }

    @Test func keysWithoutAPartAreQuiet() throws {
        let (_, report) = try load(
            #""sample_size": 512, "force_upcast": true, "use_quant_conv": true, "act_fn": "silu", "#
                + #""mid_block_add_attention": true, "unknown": null, "norm_num_groups": 32"#)
        #expect(report.unapplied.isEmpty)
    }

    /// A damaged file is an error at the model's door, with its line: never another scale.
    @Test(arguments: [
        #"{"_class_name": "AutoencoderKL", "scaling_factor": 0.5,}"#,
        "{\n// sizes\n\"_class_name\": \"AutoencoderKL\", \"scaling_factor\": 0.5}",
        #"{"_class_name": "AutoencoderKL", "scaling_factor": NaN}"#,
        #"{"_class_name": "AutoencoderKL", "scaling_factor": Infinity}"#,
        #"{"_class_name": "AutoencoderKL", "scaling_fac"#,
        #"{"_class_name": "AutoencoderKL", "scaling_factor": 0.5, "scaling_factor": 0.6}"#,
        #"{"_class_name": "AutoencoderKL", "scaling_factor": "0.5"}"#,
        #"{"_class_name": "AutoencoderKL", "scaling_factor": 0.5} x"#,
        #"{"_class_name": "AutoencoderKL", "scaling_factor": [0.5]}"#,
        #"{"_class_name": "AutoencoderKL", "scaling_factor": 0,5}"#,
        #"{'_class_name': 'AutoencoderKL', 'scaling_factor': 0.5}"#, "", "{",
    ]) func damageIsAnError(_ config: String) throws {
        try beside(config, "vae_params.safetensors") { archive in
            let told = error { _ = try VAE.load(archive) }
            #expect(
                told?.kind == .format && told?.message.contains("config.json") == true, "\(config)")
        }
    }

    /// Editors on Windows write a mark in front.
    @Test func aByteOrderMarkIsNoDamage() throws {
        let config = "\u{FEFF}" + members("AutoencoderKL", #""scaling_factor": 0.5"#)
        let model = try beside(config, "vae_params.safetensors") { try VAE.load($0).model }
        #expect(model.configuration.normalization.scale == [0.5])
    }
}

@Suite struct TransformerConfigurationTests {
    private func load(_ keys: String, _ change: (inout LoadOptions) -> Void = { _ in }) throws -> (
        DiT, LoadReport
    ) {
        var options = LoadOptions()
        change(&options)
        let rest = #""num_attention_heads": 3, "sample_size": 16, "# + keys
        return try beside(
            members("DiTTransformer2DModel", rest), "dit_diffusers_params.safetensors"
        ) { try DiT.load($0, options) }
    }

    /// diffusers' names of activations, and what its code computes by them.
    @Test(arguments: [
        ("gelu-approximate", Activation.geluTanh), ("gelu", .geluErf),
        ("geglu-approximate", .geluQuick), ("linear-silu", .silu),
    ]) func activationsAreApplied(_ name: String, _ expected: Activation) throws {
        #expect(try load(#""activation_fn": "\#(name)""#).0.configuration.activation == expected)
    }

    @Test(arguments: [
        #""activation_fn": "geglu""#, #""activation_fn": "swiglu""#, #""norm_type": "layer_norm""#,
        #""dropout": 0.1"#, #""cross_attention_dim": 768"#, #""double_self_attention": true"#,
        #""caption_channels": 4096"#, #""attention_type": "gated""#,
    ]) func otherBlocksAreRefused(_ keys: String) throws {
        #expect(error { _ = try load(keys) }?.kind == .unsupported)
    }

    @Test(arguments: [
        #""patch_size": 4"#, #""in_channels": 16"#, #""num_layers": 28"#,
        #""attention_head_dim": 72"#,
        #""out_channels": 3"#,
    ]) func sizesAreCompared(_ keys: String) throws {
        #expect(error { _ = try load(keys) }?.message.contains("belongs to another model") == true)
    }

    /// `norm_eps` is of the MLP's norm; the one in front of attention has 1e-6 in diffusers' code.
    @Test func theEpsilonIsOfTheMLPsNorm() throws {
        let model = try load(#""norm_eps": 0.1"#).0
        #expect(model.configuration.epsilon == 0.1 && model.configuration.attentionEpsilon == 1e-6)
        let block = model.blocks[0]
        #expect(block.norm1.epsilon == 1e-6 && block.norm2.epsilon == 0.1)
        let x = try randomTensor(model.inputShape(batch: 1), "x")
        func output(_ model: DiT) throws -> [Float] {
            try model.forward(x, t: [500], y: [1], in: Context()).values
        }
        // Both with one, and the usual values, are other models; ones saved and loaded are the same.
        let both = try load(#""norm_eps": 0.1"#) { $0.epsilon = 0.1 }.0
        #expect(both.configuration.attentionEpsilon == nil && both.blocks[0].norm1.epsilon == 0.1)
        let usual = try load("\"norm_num_groups\": 32").0
        #expect(usual.configuration.epsilon == 1e-5)
        let results = try [both, usual].map { try relativeError(output($0), output(model)) }
        #expect(results.allSatisfy { $0 > 1e-3 }, "\(results)")
        let again = try DiT.load(model.checkpoint())
        #expect(try output(again) == output(model))
    }

    /// Classes with a row for none beside them.
    @Test func theNumberOfClassesIsTold() throws {
        let (model, report) = try load(#""num_embeds_ada_norm": 10"#)
        #expect(model.configuration.classes == 10 && model.configuration.hasNullClass)
        #expect(report.assumed.isEmpty)
        let bare = try load(#""num_embeds_ada_norm": 11"#).0.configuration
        #expect(bare.classes == 11 && !bare.hasNullClass)
    }
}

@Suite struct NullClassTests {
    private func load(
        _ rows: Int, _ nullClass: Bool? = nil, config: String? = nil
    ) throws -> (DiT.Configuration, LoadReport) {
        let archive = try Archive.open("\(golden)/models/dit_affine_params.safetensors")
        let bytes = try ByteBuffer([UInt8](repeating: 0, count: rows * 48 * 4)).view
        let name = "y_embedder.embedding_table.weight"
        let table = ArchiveEntry(name, .float32, [rows, 48], bytes: bytes)
        let texts = config.map {
            [(key: "usp.family", value: "DiT"), (key: "usp.config", value: $0)]
        }
        let changed = Archive(
            path: "test", format: .safetensors,
            tables: [try ArchiveTable("", archive.entries.filter { $0.name != name } + [table])],
            metadata: texts ?? [])
        var options = LoadOptions()
        (options.heads, options.nullClass) = (3, nullClass)
        let (model, report) = try DiT.load(changed, options)
        return (model.configuration, report)
    }

    /// Numbers of classes are round; ImageNet's table with a null class has 1001 rows.
    @Test(arguments: [
        (1001, 1000, true, false), (11, 10, true, true), (101, 100, true, true),
        (201, 200, true, true), (366, 365, true, true), (10, 10, false, true),
        (100, 100, false, true), (1000, 1000, false, true), (200, 200, false, true),
        (1, 1, false, false), (2, 1, true, true),
    ]) func roundTablesHaveNone(
        _ rows: Int, _ classes: Int, _ hasNull: Bool, _ isAssumed: Bool
    ) throws {
        let (sizes, report) = try load(rows)
        #expect(sizes.classes == classes && sizes.hasNullClass == hasNull)
        #expect(report.assumed.isEmpty == !isAssumed)
        #expect(!isAssumed || report.assumed[0].reason.contains("give null_class"))
    }

    @Test func whoKnowsIsBelieved() throws {
        let (nine, report) = try load(10, true)
        #expect(nine.classes == 9 && nine.hasNullClass && report.assumed.isEmpty)
        #expect(try load(11, false).0.classes == 11)
        let archive = try Archive.open("\(golden)/models/dit_affine_params.safetensors")
        var options = LoadOptions()
        options.heads = 3
        var sizes = try DiT.load(archive, options).model.configuration
        sizes.classes = 9
        let (found, silent) = try load(10, config: sizes.text)
        #expect(found.classes == 9 && silent.assumed.isEmpty)
    }
}

@Suite struct TimmConfigurationTests {
    private func load(
        _ config: String, _ change: (inout LoadOptions) -> Void = { _ in }
    ) throws -> (ViT, LoadReport) {
        var options = LoadOptions()
        change(&options)
        return try beside(config, "mae_params.safetensors") { archive in
            let plain = archive.entries.filter {
                !$0.name.hasPrefix("decoder") && $0.name != "mask_token"
            }
            return try ViT.load(
                Archive(
                    path: archive.path, format: .safetensors,
                    tables: [try ArchiveTable("", plain)]), options)
        }
    }

    @Test func poolingHeadsAndActivationAreApplied() throws {
        let (model, report) = try load(
            #"{"architecture": "vit_tiny_patch2_8", "num_classes": 0, "global_pool": "token", "#
                + #""model_args": {"num_heads": 4, "act_layer": "gelu_tanh", "img_size": 8}, "#
                + #""pretrained_cfg": {"tag": "x"}}"#)
        #expect(model.configuration.heads == 4 && model.configuration.activation == .geluTanh)
        #expect(model.configuration.pool == .token && report.unapplied.isEmpty)
        let quick = try load(
            #"{"architecture": "vit_base_patch16_clip_quickgelu_224", "model_args": {"num_heads": 3}}"#
        )
        #expect(quick.0.configuration.activation == .geluQuick)
        let averaged = try load(
            #"{"architecture": "vit_x", "global_pool": "avg", "model_args": {"num_heads": 3}}"#)
        #expect(averaged.0.configuration.pool == .avg)
        let given = try load(
            #"{"architecture": "vit_x", "global_pool": "avg", "model_args": {"num_heads": 3}}"#
        ) { $0.pool = .token }
        #expect(given.0.configuration.pool == .token)
    }

    @Test func whatIsNotAppliedIsNamedOrRefused() throws {
        let (_, report) = try load(
            #"{"architecture": "vit_x", "model_args": {"num_heads": 3, "rope_theta": 100}, "teacher": 1}"#
        )
        #expect(
            report.unapplied.map { $0.name.split(separator: " ").last }
                == ["model_args.rope_theta", "teacher"])
        for pool in ["map", "max", "avgmax"] {
            let told = error {
                _ = try load(#"{"architecture": "vit_x", "global_pool": "\#(pool)"}"#)
            }
            #expect(told?.kind == .unsupported && told?.message.contains("global_pool") == true)
        }
        let stranger = try load(#"{"model_type": "vit", "hidden_size": 48}"#) { $0.heads = 3 }.1
        #expect(
            stranger.unapplied.first?.reason.contains("it belongs to vit, expected timm's") == true)
    }
}
