// The tables of families' sizes: what files leave out, and what no row says.

import TestSupport
import Testing
import USPBase
import USPModels

/// Files keep what differs from these: a default that changes changes what files say, so it does not
/// change.
@Test(arguments: Family.all.map(\.name)) func defaultsStay(_ family: String) throws {
    let told = [
        "VAE":
            "image_channels=3 base_width=128 multipliers=1,2,4,4 blocks_per_level=2 "
            + "latent_channels=4 groups=32 encoder_attention=\"\" decoder_attention=\"\" "
            + "mid_attention=yes double_z=yes quant_conv=yes scale=1 shift=0 tiny=no "
            + "encoder_blocks=\"\" decoder_blocks=\"\" decoder_widths=\"\" strided_stem=no "
            + "pooled_blocks=no",
        "MAE":
            "grid=14x14 channels=4 patch=2 width=384 depth=12 heads=6 mlp_ratio=4 "
            + "activation=gelu_erf epsilon=1e-06 class_token=yes class_position=yes "
            + "rms_norm=no swiglu=no rope=no qk_norm=no registers=0 layer_scale=no "
            + "attention_epsilon=none decoder_width=512 decoder_depth=8 decoder_heads=16",
        "ViT":
            "grid=14x14 channels=4 patch=2 width=384 depth=12 heads=6 mlp_ratio=4 "
            + "activation=gelu_erf epsilon=1e-06 class_token=yes class_position=yes "
            + "rms_norm=no swiglu=no rope=no qk_norm=no registers=0 layer_scale=no "
            + "attention_epsilon=none pre_norm=no classes=1000 pool=token head=linear fc_norm=none "
            + "positions=bicubic",
        "DiT":
            "grid=16x16 channels=4 patch=2 width=384 depth=12 heads=6 mlp_ratio=4 "
            + "activation=gelu_tanh epsilon=1e-06 affine=no rms_norm=no swiglu=no rope=no qk_norm=no "
            + "shift=yes registers=0 layer_scale=no attention_epsilon=none "
            + "classes=1000 "
            + "null_class=yes learn_sigma=yes frequencies=256 frequency_shift=0 noise_at=none "
            + "projections=\"\" projector=2048 encoder_depth=8",
        "SiT":
            "grid=16x16 channels=4 patch=2 width=384 depth=12 heads=6 mlp_ratio=4 "
            + "activation=gelu_tanh epsilon=1e-06 affine=no rms_norm=no swiglu=no rope=no qk_norm=no "
            + "shift=yes registers=0 layer_scale=no attention_epsilon=none "
            + "classes=1000 "
            + "null_class=yes learn_sigma=yes frequencies=256 frequency_shift=0 noise_at=none "
            + "projections=\"\" projector=2048 encoder_depth=8",
        "LightningDiT":
            "grid=16x16 channels=32 patch=1 width=384 depth=12 heads=6 mlp_ratio=4 "
            + "activation=gelu_tanh epsilon=1e-06 affine=no rms_norm=yes swiglu=yes rope=yes qk_norm=no "
            + "shift=yes registers=0 layer_scale=no attention_epsilon=none "
            + "classes=1000 "
            + "null_class=yes learn_sigma=no frequencies=256 frequency_shift=0 noise_at=none "
            + "projections=\"\" projector=2048 encoder_depth=8",
        "MAR":
            "grid=16x16 channels=16 patch=1 width=768 depth=12 heads=12 mlp_ratio=4 "
            + "activation=gelu_erf epsilon=1e-06 decoder_width=768 decoder_depth=12 "
            + "decoder_heads=12 buffer=64 classes=1000 head_width=1024 head_depth=6",
        "Segmenter":
            "grid=32x32 channels=4 patch=2 width=768 depth=12 heads=12 mlp_ratio=4 "
            + "activation=gelu_erf epsilon=1e-06 class_token=yes class_position=yes rms_norm=no "
            + "swiglu=no rope=no qk_norm=no registers=0 layer_scale=no attention_epsilon=none "
            + "relative_positions=no "
            + "classes=150 head=upernet "
            + "head_channels=none auxiliary_channels=256 out_indices=\"\" absolute_positions=yes",
        "Inception": "",
    ]
    #expect(try Family.named(family).defaults.text == told[family])
}

/// Every stored property of a configuration is in its table, or a file would not keep it.
@Test(arguments: Family.all.map(\.name)) func noPropertyIsOutsideOfTheTable(_ family: String) throws
{
    // Training's own, the family's name, and what these blocks have not.
    let others = [
        "MAR": [
            "affine", "classToken", "embedsClass", "rmsNorm", "swiglu", "rope", "queryKeyNorm",
            "shift", "registers", "layerScale", "relativePositions", "attentionEpsilon", "preNorm",
        ],
        "DiT": ["variant", "classToken", "embedsClass", "relativePositions", "preNorm"],
        "SiT": ["variant", "classToken", "embedsClass", "relativePositions", "preNorm"],
        "LightningDiT": ["variant", "classToken", "embedsClass", "relativePositions", "preNorm"],
        "ViT": ["dropPath", "headDeviation", "affine", "shift", "relativePositions"],
        "MAE": ["affine", "shift", "relativePositions", "preNorm"],
        "Segmenter": ["dropPath", "dropout", "affine", "shift", "preNorm"],
        // in the table, and varied in test_tiny.py
        "VAE": [
            "isTiny", "encoderBlocks", "decoderBlocks", "decoderWidths", "hasStridedStem",
            "hasPooledBlocks",
        ],
    ]
    func values(_ value: Any, _ label: String = "") -> [String: String] {
        let children = Mirror(reflecting: value).children
        let isStruct =
            value is any ModelConfiguration || value is TransformerSizes
            || value is LatentNormalization
        guard isStruct else { return [label: "\(value)"] }
        return children.reduce(into: [:]) { found, child in
            found.merge(values(child.value, child.label ?? "")) { first, _ in first }
        }
    }
    let all = try variants(Family.named(family).defaults).map { values($0.sizes) }
    let plain = try #require(all.first)
    let fixed = plain.keys.filter { key in all.allSatisfy { $0[key] == plain[key] } }
    #expect(Set(fixed) == Set(others[family] ?? []))
}
