// The families of models, a row each. Loading, creating, names in messages, summaries, layouts,
// transfers and presets read this list.

import USPBase
import USPFiles
import USPTensor

/// What is known of a family; the functions are in its folder.
public struct Family: Sendable {
    /// As `usp.family` in files and all doors say it, such as `SiT`.
    public let name: String
    /// The names that its files have, which it may share with other families.
    package let kind: ModelKind
    /// A configuration without any size given.
    package let defaults: any ModelConfiguration
    /// The random stream that its parameters start from.
    package let stream: String
    /// Published names and what they stand for.
    package let presets: [Preset]
    /// Whether a file of the kind's names is this family's, if the file itself does not say.
    let claims: @Sendable (FileModel) -> Bool
    /// The configuration that a file's names and shapes tell; what they do not tell is as our own
    /// writer told it, else as the layout's code has it.
    let infer: Inference<any ModelConfiguration>
    let rules: @Sendable (any ModelConfiguration) -> LoadRules
    package let make: Making

    typealias Inference<Configuration> =
        @Sendable (FileModel, LoadOptions) throws(USPError) -> Configuration
    package typealias Making =
        @Sendable (any ModelConfiguration, ModelWeights, Arithmetic) throws(USPError) -> any Model

    /// - rules: what of a file or a model may be left aside
    init<Made: Model>(
        _ name: String, _ type: Made.Type, _ kind: ModelKind, stream: String,
        defaults: Made.Configuration = Made.Configuration(), presets: [Preset] = [],
        claims: @escaping @Sendable (FileModel) -> Bool = { _ in true },
        rules: @escaping @Sendable (Made.Configuration) -> LoadRules = { _ in LoadRules() },
        infer: @escaping Inference<Made.Configuration>
    ) {
        (self.name, self.kind, self.defaults, self.stream) = (name, kind, defaults, stream)
        (self.presets, self.claims) = (presets, claims)
        self.infer = { file, options throws(USPError) in try infer(file, options) }
        self.rules = { ($0 as? Made.Configuration).map(rules) ?? LoadRules() }
        make = { configuration, weights, arithmetic throws(USPError) in
            guard let own = configuration as? Made.Configuration else {
                throw USPError(.internal, "a configuration of \(configuration.family) as \(name)")
            }
            return try Made(own, weights, arithmetic)
        }
    }

    /// In the order in which people read of them; of those that share a kind of names the first
    /// that claims a file gets it.
    public static let all: [Family] = [
        .vae, .mae, .vit, .segmenter, .lightningDiT, .dit, .sit, .mar, .inception,
    ]

    /// - Throws: `.argument` with the known names and the nearest.
    public static func named(_ name: String) throws(USPError) -> Family {
        if let family = all.first(where: { $0.name == name }) { return family }
        throw unknownName(name, what: "family", known: all.map(\.name))
    }

    /// Names of the families whose configuration has this field.
    package static func having(_ field: String) -> [String] {
        all.filter { $0.defaults.described.contains { $0.name == field } }.map(\.name)
    }

    /// Names of the families whose transformers are so.
    package static func transformers(
        _ isSo: (any TransformerConfiguration) -> Bool = { _ in true }
    ) -> [String] {
        all.filter { ($0.defaults as? any TransformerConfiguration).map(isSo) ?? false }.map(\.name)
    }

    /// Names of the diffusion transformers that are flows, which a transport is around.
    package static let flows = transformers { ($0 as? DiT.Configuration)?.isFlow == true }

    /// The family of a file: what it says, else what names tell.
    package static func of(_ file: FileModel) throws(USPError) -> Family {
        if let told = file.told("usp.family") {
            return try locating(file.path) { () throws(USPError) in try named(told) }
        }
        guard let family = all.first(where: { $0.kind == file.kind && $0.claims(file) })
        else {
            throw USPError(.internal, "\(file.path): no family of \(file.kind.title)")
        }
        return family
    }

    /// A family of this kind that a configuration found in the file shall be of: the one that is
    /// asked for, else the file's own.
    static func choose(
        _ file: FileModel, among families: [Family], _ wanted: String?
    ) throws(USPError) -> Family {
        if let wanted {
            if let family = families.first(where: { $0.name == wanted }) { return family }
            throw unknownName(wanted, what: "family", known: families.map(\.name))
        }
        let told = file.told("usp.family")
        return families.first { $0.name == told } ?? families.first { $0.claims(file) }
            ?? families[0]
    }
}

/// A published name and the configuration that it stands for.
package struct Preset: Sendable {
    package let name: String
    package let configuration: any ModelConfiguration
}

extension Family {
    /// Published names of all families, in order of family and size.
    public static let presetNames: [String] = all.flatMap(\.presets).map(\.name)

    /// The configuration of a published name, or a family's defaults for its name.
    ///
    /// - Throws: `.argument` for an unknown name, with the nearest known one
    public static func configuration(
        named name: String
    ) throws(USPError) -> any ModelConfiguration {
        if let family = all.first(where: { $0.name == name }) { return family.defaults }
        let presets = all.lazy.flatMap(\.presets)
        if let preset = presets.first(where: { $0.name == name }) { return preset.configuration }
        let known = presetNames + all.map(\.name)
        let distance = { (known: String) in editDistance(known.lowercased(), name.lowercased()) }
        let nearest = known.min { distance($0) < distance($1) } ?? ""
        throw USPError(.argument, "unknown model \(name); did you mean \(nearest)?")
    }
}
