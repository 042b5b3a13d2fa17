// Published names of models and the sizes they stand for.

import USPBase
import USPTensor

package enum Presets {
    /// Width, depth and heads of a published size.
    package struct Size: Sendable, Equatable {
        package let name: String
        package let width: Int
        package let depth: Int
        package let heads: Int
    }

    /// S, B, L, XL and H, as DiT, SiT, MAE and USP use them.
    package static let sizes = [
        Size(name: "S", width: 384, depth: 12, heads: 6),
        Size(name: "B", width: 768, depth: 12, heads: 12),
        Size(name: "L", width: 1024, depth: 24, heads: 16),
        Size(name: "XL", width: 1152, depth: 28, heads: 16),
        Size(name: "H", width: 1280, depth: 32, heads: 16),
    ]

    /// The published head count for a width (192 is the tiny, 512 the decoders', 1536 DINOv2's
    /// giant); nil for other widths, whose files do not tell.
    package static func heads(width: Int) -> Int? {
        if let size = sizes.first(where: { $0.width == width }) { return size.heads }
        return [192: 3, 512: 16, 1536: 24][width]
    }

    /// What masked autoencoders and classifiers see by patch size: USP's latents of 224x224 images
    /// (f16 with patch 1, f8 with 2 and 4), or the pixels themselves (14, 16).
    private static let inputs: [Int: (side: Int, channels: Int)] = [
        1: (14, 16), 2: (28, 4), 4: (28, 4), 14: (224, 3), 16: (224, 3),
    ]

    /// `MAE-B/2`: USP's sizes on f8 latents, `/1` on f16 latents, `/16` on pixels.
    static func vision(
        _ family: String, _ configuration: (TransformerSizes) -> any ModelConfiguration
    ) -> [Preset] {
        sizes.flatMap { size in
            inputs.keys.sorted().compactMap { patch in
                guard let input = inputs[patch] else { return nil }
                let encoder = TransformerSizes(
                    grid: Grid(input.side / patch, input.side / patch), channels: input.channels,
                    patch: patch, width: size.width, depth: size.depth, heads: size.heads)
                return Preset(
                    name: "\(family)-\(size.name)/\(patch)", configuration: configuration(encoder))
            }
        }
    }

    /// `DiT-XL/2`, `SiT-B/4`: the originals on 32x32 latents of 4 channels (256x256 images);
    /// `-VAE-simple` behind it is USP's variant with affine norms.
    static func diffusion(_ family: String, returnsSigma: Bool) -> [Preset] {
        sizes.filter { $0.name != "H" }.flatMap { size in
            [2, 4, 8].flatMap { patch in
                ["", "-VAE-simple"].map { ending in
                    Preset(
                        name: "\(family)-\(size.name)/\(patch)\(ending)",
                        configuration: DiT.Configuration(
                            grid: Grid(32 / patch, 32 / patch), patch: patch, width: size.width,
                            depth: size.depth, heads: size.heads, returnsSigma: returnsSigma,
                            affine: !ending.isEmpty))
                }
            }
        }
    }
}
