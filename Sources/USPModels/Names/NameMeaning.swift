// What a name in a file means to us: the vocabulary of the tables of dialects.

import USPBase
import USPFiles

/// The kinds of models that files hold.
package enum ModelFamily: String, Sendable {
    case autoencoder
    /// Masked autoencoders, classifiers and plain encoders share one set of names.
    case visionTransformer = "vision transformer"
    case diffusionTransformer = "diffusion transformer"
    /// The network whose features published FID values are measured with.
    case inception = "Inception network"
}

/// What one name of a file stands for.
package enum NameMeaning: Sendable, Equatable {
    /// Rows of a parameter of ours: part `index` of `count`, stacked along the first axis.
    case parameter(String, index: Int = 0, count: Int = 1, reshapes: Bool = false)
    /// Factors for the rows of these parameters (LayerScale).
    case rowScale([String])
    /// The same values as this parameter once more.
    case duplicate(String)
    /// Of no use here, for this reason.
    case ignored(String)
    /// Something that our models have not, told in words.
    case unsupported(String)
    case unknown
}

/// How a family's tensors are named in some kind of file.
package struct Dialect: Sendable {
    package let name: String
    package let family: ModelFamily
    /// Whether files in this dialect look like this; decided by names only.
    let matches: @Sendable (ArchiveTable) -> Bool
    let meaning: @Sendable (String, ArchiveTable) -> NameMeaning

    /// Every dialect, most telling first.
    package static let all: [Dialect] = [
        .lightningDiT, .diffusersDiT, .dit, .diffusersAutoencoder, .compVisAutoencoder, .dinov2,
        .vit, .inception,
    ]

    /// The dialect of a table, if its names are in one that we know.
    package static func identify(_ table: ArchiveTable) -> Dialect? {
        all.first { $0.matches(table) }
    }
}

/// The parts of a name between dots.
func components(_ name: String) -> [String] {
    name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
}

/// One more than the largest number after `prefix.` in the table's names.
func countBlocks(_ prefix: String, _ table: ArchiveTable) -> Int {
    let start = prefix + "."
    var count = 0
    for entry in table.entries where entry.name.hasPrefix(start) {
        let rest = entry.name.dropFirst(start.count).prefix { $0 != "." }
        if let index = Int(rest), index >= 0, index < 4096 { count = max(count, index + 1) }
    }
    return count
}
