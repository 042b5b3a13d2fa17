// LightningDiT (Yao et al. 2025): the network of DiT with other blocks, on a flow as SiT's. Its row,
// presets and names; sizes, forward pass and inference are DiT's.

import USPBase
import USPFiles

extension Dialect {
    static let lightningDiT = Dialect(
        name: "LightningDiT", anchors: ["x_embedder.proj.weight"],
        matches: { table in
            table.contains("x_embedder.proj.weight")
                && (table.contains("blocks.0.mlp.w12.weight")
                    || table.contains("feat_rope.freqs_cos")
                    || table.contains("final_layer.norm_final.weight"))
        },
        meaning: dit.meaning)
}

extension DiT.Configuration {
    /// RMS norms, SwiGLU and rotary positions on 16x16 latents of 32 channels, as published.
    static func lightning(
        patch: Int = 1, width: Int = 384, depth: Int = 12, heads: Int = 6
    ) -> DiT.Configuration {
        var sizes = DiT.Configuration(
            grid: Grid(16 / patch, 16 / patch), channels: 32, patch: patch, width: width,
            depth: depth, heads: heads, learnsSigma: false)
        sizes.variant = .lightningDiT
        (sizes.rmsNorm, sizes.swiglu, sizes.rope) = (true, true, true)
        return sizes
    }
}

extension Family {
    static let lightningDiT = Family(
        "LightningDiT", DiT.self, .diffusionTransformer, stream: "dit",
        defaults: .lightning(),
        presets: Presets.lightning,
        claims: { $0.dialect.name == Dialect.lightningDiT.name },
        infer: { file, options throws(USPError) in
            try file.diffusionConfiguration(options, .lightningDiT)
        })
}

extension Presets {
    /// The published sizes, for latents of 16x16 and 32 channels.
    static let lightning: [Preset] = [
        ("B", 768, 12, 12, [1, 2]), ("L", 1024, 24, 16, [2]), ("XL", 1152, 28, 16, [1, 2]),
        ("1p0B", 1536, 24, 24, [1, 2]), ("1p6B", 1792, 28, 28, [1, 2]),
    ].flatMap { name, width, depth, heads, patches in
        patches.map { patch in
            Preset(
                name: "LightningDiT-\(name)/\(patch)",
                configuration: DiT.Configuration.lightning(
                    patch: patch, width: width, depth: depth, heads: heads))
        }
    }

    /// Masked autoencoders whose encoders have the blocks and sizes of these, which then take all of
    /// their weights; on the latents of the images of 224x224 that USP pretrains on.
    static let beforeLightning: [Preset] = lightning.compactMap { preset in
        guard let sizes = preset.configuration as? DiT.Configuration else { return nil }
        var encoder = TransformerSizes(
            grid: Grid(14 / sizes.patch, 14 / sizes.patch), channels: sizes.channels,
            patch: sizes.patch, width: sizes.width, depth: sizes.depth, heads: sizes.heads)
        (encoder.rmsNorm, encoder.swiglu, encoder.rope) = (sizes.rmsNorm, sizes.swiglu, sizes.rope)
        let size = preset.name.split(separator: "-", maxSplits: 1)[1]
        return Preset(
            name: "MAE-\(size)-LightningDiT",
            configuration: MaskedAutoencoder.Configuration(encoder))
    }
}
