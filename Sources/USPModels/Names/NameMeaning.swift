// What a name in a file means to us: the vocabulary of the tables of dialects.

import USPBase
import USPFiles

/// What files of one set of names hold: one family's models, or those of some that share them.
package struct ModelKind: Sendable, Equatable {
    /// In words, such as `diffusion transformer`.
    package let title: String
    /// How its files name their tensors, most telling first.
    let dialects: [Dialect]
    /// The keys that a training file nests the model under.
    package let tables: [String]
    /// What the originals' code needs beside the parameters in the file.
    let official: @Sendable (FileModel) throws(USPError) -> [WrittenArray]
    /// diffusers' layout of the model; nil: it has none.
    let diffusers: (@Sendable (FileModel) throws(USPError) -> [WrittenArray])?

    init(
        _ title: String, _ dialects: [Dialect], tables: [String] = [],
        official: @escaping @Sendable (FileModel) throws(USPError) -> [WrittenArray] = {
            file throws(USPError) in try file.plainArrays()
        },
        diffusers: (@Sendable (FileModel) throws(USPError) -> [WrittenArray])? = nil
    ) {
        (self.title, self.dialects, self.tables) = (title, dialects, tables)
        (self.official, self.diffusers) = (official, diffusers)
    }

    package static func == (a: ModelKind, b: ModelKind) -> Bool { a.title == b.title }

    /// The kinds of all families, each once.
    static let all: [ModelKind] = Family.all.reduce(into: []) { kinds, family in
        if !kinds.contains(family.kind) { kinds.append(family.kind) }
    }
}

/// What one name of a file stands for.
package enum NameMeaning: Sendable, Equatable {
    /// Rows of a parameter of ours: part `index` of `count`, stacked along the first axis. In the file it
    /// lacks `leading` axes of length 1 in front.
    case parameter(
        String, index: Int = 0, count: Int = 1, reshapes: Bool = false, leading: Int = 0)
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
    /// Arrays of which every file of it has one: a model lies wherever that one does. Without any it
    /// is looked for where no name is in front of the layers'.
    let anchors: [String]
    /// Parts of the model that alone would be one of another kind, such as `backbone`.
    let parts: [String]
    /// What can stand in `config.json` beside its files.
    let schema: ConfigurationSchema?
    /// Whether files in this dialect look like this; decided by names only.
    let matches: @Sendable (ArchiveTable) -> Bool
    let meaning: @Sendable (String, ArchiveTable) -> NameMeaning

    init(
        name: String, anchors: [String] = [], parts: [String] = [],
        schema: ConfigurationSchema? = nil,
        matches: @escaping @Sendable (ArchiveTable) -> Bool,
        meaning: @escaping @Sendable (String, ArchiveTable) -> NameMeaning
    ) {
        (self.name, self.anchors, self.parts, self.schema) = (name, anchors, parts, schema)
        (self.matches, self.meaning) = (matches, meaning)
    }

    /// The dialect of a table and the kind of model in it, if its names are in one that we know.
    static func identify(_ table: ArchiveTable) -> (dialect: Dialect, kind: ModelKind)? {
        for kind in ModelKind.all {
            if let dialect = kind.dialects.first(where: { $0.matches(table) }) {
                return (dialect, kind)
            }
        }
        return nil
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
