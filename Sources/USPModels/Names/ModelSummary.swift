// What model a file holds, in one sentence and as data: for people who look before they load.

import USPBase
import USPFiles

package struct ModelSummary: Sendable {
    package let family: String
    package let dialect: String
    /// The table that a reader of this family takes.
    package let table: String
    /// Sizes that names and shapes tell, in the order in which people say them.
    package let sizes: [(name: String, value: String)]
    package let tensors: Int
    /// Nil if no size is in doubt; else what the reader would have to be told.
    package let doubt: String?

    /// Nil if the file holds no model that we know.
    package init?(_ archive: Archive, table: String? = nil) {
        guard let file = try? FileModel(archive, table: table) else { return nil }
        family = file.dialect.family.rawValue
        dialect = file.dialect.name
        self.table = file.table
        tensors = file.names.count
        do throws(USPError) {
            sizes = try ModelSummary.sizes(file)
            doubt = nil
        } catch {
            sizes = []
            doubt = error.message
        }
    }

    private static func sizes(
        _ file: FileModel
    ) throws(USPError) -> [(name: String, value: String)] {
        switch file.dialect.family {
        case .autoencoder: return sizes(try file.autoencoderConfiguration())
        case .diffusionTransformer: return sizes(try file.diffusionConfiguration())
        case .inception:
            let shape = try file.shape("fc.weight")
            return [("outputs", String(shape.extents.first ?? 0))]
        case .visionTransformer:
            let encoder = try file.encoderConfiguration()
            var result = sizes(encoder)
            if let width = file.sources["decoder_embed.weight"]?.shape.extents.first {
                result.append(("decoder width", String(width)))
            }
            let head = file.sources["head.weight"] ?? file.sources["head.1.weight"]
            if let classes = head?.shape.extents.first {
                result.append(("classes", String(classes)))
            }
            return result
        }
    }

    private static func sizes(_ sizes: ViTConfiguration) -> [(name: String, value: String)] {
        [
            ("width", String(sizes.width)), ("blocks", String(sizes.depth)),
            ("heads", String(sizes.heads)), ("patch", String(sizes.patch)),
            ("channels", String(sizes.channels)), ("grid", sizes.grid.description),
            (
                "class token",
                !sizes.classToken ? "no" : sizes.embedsClass ? "yes" : "without a position"
            ),
        ]
    }

    private static func sizes(_ sizes: DiTConfiguration) -> [(name: String, value: String)] {
        [
            ("width", String(sizes.width)), ("blocks", String(sizes.depth)),
            ("heads", String(sizes.heads)), ("patch", String(sizes.patch)),
            ("channels", String(sizes.channels)), ("grid", sizes.grid.description),
            ("classes", String(sizes.classes)),
            ("learns sigma", sizes.learnsSigma ? "yes" : "no"),
            ("affine norms", sizes.affineNorms ? "yes" : "no"),
        ]
    }

    private static func sizes(
        _ sizes: KLAutoencoderConfiguration
    ) -> [(name: String, value: String)] {
        [
            ("factor", String(sizes.factor)), ("latent channels", String(sizes.latentChannels)),
            ("width", String(sizes.baseWidth)),
            ("levels", sizes.multipliers.map(String.init).joined(separator: ",")),
            ("latent scale", sizes.normalization.scale.map { "\($0)" }.joined(separator: ",")),
        ]
    }

    /// `diffusion transformer (names of DiT, table ema): width 1152, 28 blocks, …`
    package var text: String {
        let place = table.isEmpty ? "" : ", table \(table)"
        let told = sizes.map { "\($0.name) \($0.value)" }.joined(separator: ", ")
        return "\(family) (names of \(dialect)\(place)): \(doubt ?? told)"
    }

    package var json: JSON {
        .object([
            .init("family", .string(family)), .init("dialect", .string(dialect)),
            .init("table", .string(table)), .init("tensors", .integer(tensors)),
            .init("sizes", .object(sizes.map { .init($0.name, .string($0.value)) })),
            .init("doubt", doubt.map(JSON.string) ?? .null),
        ])
    }
}
