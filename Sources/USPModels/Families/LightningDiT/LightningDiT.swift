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
        presets: [
            ("B", 768, 12, 12, [1, 2]), ("L", 1024, 24, 16, [2]), ("XL", 1152, 28, 16, [1, 2]),
            ("1p0B", 1536, 24, 24, [1, 2]), ("1p6B", 1792, 28, 28, [1, 2]),
        ].flatMap { name, width, depth, heads, patches in
            patches.map { patch in
                Preset(
                    name: "LightningDiT-\(name)/\(patch)",
                    configuration: DiT.Configuration.lightning(
                        patch: patch, width: width, depth: depth, heads: heads))
            }
        },
        claims: { $0.dialect.name == Dialect.lightningDiT.name },
        infer: { file, options throws(USPError) in
            try file.diffusionConfiguration(options, .lightningDiT)
        })
}
