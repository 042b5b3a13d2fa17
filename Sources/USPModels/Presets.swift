// Published names of models and the sizes they stand for.

import USPBase
import USPTensor

/// A model's family and sizes.
package enum ModelConfiguration: Sendable, Equatable {
    case maskedAutoencoder(MaskedAutoencoderConfiguration)
    case classifier(VisionTransformerConfiguration)
    case diffusion(DiTConfiguration)
}

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

    /// Every name that `find` knows, in order of family and size.
    package static let names: [String] = {
        var names: [String] = []
        for family in ["DiT", "SiT"] {
            for size in sizes where size.name != "H" {
                for patch in [2, 4, 8] {
                    let name = "\(family)-\(size.name)/\(patch)"
                    names += [name, "\(name)-VAE-simple"]
                }
            }
        }
        for family in ["MAE", "ViT"] {
            for size in sizes {
                names += inputs.keys.sorted().map { "\(family)-\(size.name)/\($0)" }
            }
        }
        return names
    }()

    /// What masked autoencoders and classifiers see by patch size: USP's latents of 224x224 images
    /// (f16 with patch 1, f8 with 2 and 4), or the pixels themselves (14, 16).
    private static let inputs: [Int: (side: Int, channels: Int)] = [
        1: (14, 16), 2: (28, 4), 4: (28, 4), 14: (224, 3), 16: (224, 3),
    ]

    /// The configuration of a published name.
    ///
    /// - `DiT-XL/2`, `SiT-B/4`: the originals on 32x32 latents of 4 channels (256x256 images);
    ///   `-VAE-simple` behind it is USP's variant with affine norms
    /// - `MAE-B/2`: USP's masked autoencoder on f8 latents, `/1` on f16 latents, `/16` on pixels
    /// - `ViT-L/2`: the classifier of the same sizes, pooling the class token
    /// - Throws: `.argument` for an unknown name, with the nearest known one
    package static func find(_ name: String) throws(USPError) -> ModelConfiguration {
        guard names.contains(name), let found = parse(name) else {
            let nearest = names.min { distance(name, $0) < distance(name, $1) } ?? ""
            throw USPError(.argument, "unknown model \(name); did you mean \(nearest)?")
        }
        return found
    }

    private static func parse(_ name: String) -> ModelConfiguration? {
        let affine = name.hasSuffix("-VAE-simple")
        let parts = name.split(whereSeparator: { $0 == "-" || $0 == "/" })
        guard parts.count >= 3, let patch = Int(parts[2]),
            let size = sizes.first(where: { $0.name == parts[1] })
        else { return nil }
        switch parts[0] {
        case "DiT": return .diffusion(diffusion(size, patch: patch, affine: affine))
        case "SiT":
            var configuration = diffusion(size, patch: patch, affine: affine)
            configuration.returnsSigma = false
            return .diffusion(configuration)
        default:
            guard let input = inputs[patch] else { return nil }
            let encoder = ViTConfiguration(
                grid: Grid(input.side / patch, input.side / patch), channels: input.channels,
                patch: patch, width: size.width, depth: size.depth, heads: size.heads)
            return parts[0] == "MAE"
                ? .maskedAutoencoder(MaskedAutoencoderConfiguration(encoder: encoder))
                : .classifier(
                    VisionTransformerConfiguration(
                        encoder: encoder, pool: .token, head: .linear, classes: 1000))
        }
    }

    private static func diffusion(_ size: Size, patch: Int, affine: Bool) -> DiTConfiguration {
        DiTConfiguration(
            grid: Grid(32 / patch, 32 / patch), patch: patch, width: size.width,
            depth: size.depth, heads: size.heads, affineNorms: affine)
    }

    /// Levenshtein's edit distance, letters' case ignored.
    private static func distance(_ a: String, _ b: String) -> Int {
        let (a, b) = (Array(a.lowercased()), Array(b.lowercased()))
        var row = Array(0...b.count)
        for (i, x) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, y) in b.enumerated() {
                let next = min(row[j], row[j + 1], diagonal - (x == y ? 1 : 0)) + 1
                diagonal = row[j + 1]
                row[j + 1] = next
            }
        }
        return row[b.count]
    }
}
