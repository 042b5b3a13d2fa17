// A file's model under the names and shapes of another layout, its values untouched, and what a
// reader of that layout would take it for.

import USPBase
import USPFiles

/// Layouts that models are written in.
package enum WrittenDialect: String, Sendable, CaseIterable {
    /// CompVis', MAE's, DiT's own names.
    case official
    /// The same, nested as the family's training scripts save it.
    case training
    case diffusers
}

/// One array of a layout: arrays of the file, one after another.
package struct WrittenArray {
    package let name: String
    package let shape: Shape
    package let parts: [ArchiveEntry]
}

/// A field of a configuration that a reader of names and shapes would take for something else.
package struct UntoldField: Sendable, Equatable {
    package let name: String
    package let value: String
    /// What a reader takes; empty if it cannot know.
    package let taken: String

    /// `frequency_shift 1 (readers take 0)`
    package var phrase: String {
        taken.isEmpty ? "\(name) \(value)" : "\(name) \(value) (readers take \(taken))"
    }
}

extension FileModel {
    /// The model's arrays in another layout; what the file has beside them stays behind.
    ///
    /// - Throws: `.unsupported` for what the layout cannot say, naming it
    package func written(as wanted: WrittenDialect) throws(USPError) -> [WrittenArray] {
        try require(
            unexpected.isEmpty, .unsupported,
            "\(path): no name in another layout for "
                + unexpected.prefix(8).joined(separator: ", "))
        guard wanted == .diffusers else { return try kind.official(self) }
        guard let diffusers = kind.diffusers else {
            let known = Family.all.filter { $0.kind.diffusers == nil }.map(\.name)
            throw USPError(
                .unsupported,
                "\(path): diffusers has no layout of \(known.joined(separator: ", "))")
        }
        return try diffusers(self)
    }

    /// The texts of another layout's file: the source's own, with the configuration.
    package func carried() throws(USPError) -> [(key: String, value: String)] {
        let (sizes, untold) = try carriedSizes()
        let texts = sizes.metadata(untold: untold)
        let replaced = texts.map(\.key) + FileModel.formerTexts
        return metadata.filter { $0.key.hasPrefix("usp.") && !replaced.contains($0.key) } + texts
    }

    /// The configuration as far as it is known, and the fields of it that nothing tells.
    private func carriedSizes() throws(USPError) -> (
        sizes: any ModelConfiguration, untold: [String]
    ) {
        var options = LoadOptions()
        options.needsHeads = false
        let sizes = try sizes(options)
        guard let transformer = sizes as? any TransformerConfiguration else { return (sizes, []) }
        return (sizes, untoldHeads(transformer, options))
    }

    /// What `usp.config` has taken the place of.
    private static let formerTexts = [
        "heads", "decoder_heads", "grid", "activation", "groups", "scale", "shift", "untold",
    ].map { "usp.\($0)" }

    /// Fields of the file's model that arrays of a layout would not give again.
    package func untold(
        by arrays: [(name: String, shape: Shape)]
    ) throws(USPError) -> [UntoldField] {
        let (sizes, unknown) = try carriedSizes()
        return try FileModel.untold(sizes, by: arrays).filter { !unknown.contains($0.name) }
    }

    /// The configuration that a model loaded from the file has.
    package func sizes(
        _ options: LoadOptions = LoadOptions()
    ) throws(USPError) -> any ModelConfiguration {
        try Family.of(self).configuration(self, options)
    }

    /// For a file that keeps no texts.
    ///
    /// - Throws: `.unsupported` if the archive holds a model that is not read as the same one from
    ///   names and shapes alone, naming the fields
    package static func expectNothingUntold(
        _ archive: Archive, _ path: String
    ) throws(USPError) {
        guard archive.metadata.contains(where: { $0.key.hasPrefix("usp.") }),
            let file = try? FileModel(archive)
        else { return }
        let arrays = archive.entries.map { (name: $0.name, shape: $0.shape) }
        let untold = try file.untold(by: arrays)
        try require(
            untold.isEmpty, .unsupported,
            "\(path): has no place for the model's "
                + untold.map(\.phrase).joined(separator: ", ")
                + "; write .safetensors or .pt, which keep its configuration")
    }

    /// Fields of a configuration that arrays of these names and shapes would not give again, if
    /// there were no texts beside them.
    package static func untold(
        _ configuration: any ModelConfiguration, by arrays: [(name: String, shape: Shape)]
    ) throws(USPError) -> [UntoldField] {
        let entries = try arrays.map { name, shape throws(USPError) in
            ArchiveEntry(describing: name, .float32, shape)
        }
        let archive = Archive(
            path: "arrays", format: .safetensors, tables: [try ArchiveTable("", entries)])
        let family = try Family.named(configuration.family)
        let file = try FileModel(archive, family.kind)
        // What a reader has to be told is told, one after another.
        var (options, untold) = (LoadOptions(), [UntoldField]())
        func problem(_ options: LoadOptions) -> String? {
            do throws(USPError) {
                _ = try family.configuration(file, options)
                return nil
            } catch {
                return error.message
            }
        }
        var last = problem(options)
        let fields = configuration.askable
        // One answer may lead to the next question.
        for (name, value) in fields.flatMap({ _ in fields }) where last != nil {
            var tried = options
            guard (try? tried.set(name, value)) != nil else { continue }
            let next = problem(tried)
            guard next != last else { continue }
            untold.append(UntoldField(name: name, value: value, taken: ""))
            (options, last) = (tried, next)
        }
        let found = try family.configuration(file, options).described
        let other = configuration.described.compactMap { name, value in
            let taken = found.first { $0.name == name }?.value ?? ""
            return taken == value ? nil : UntoldField(name: name, value: value, taken: taken)
        }
        let isOwn = try Family.of(file).name == family.name
        let name = isOwn ? [] : [UntoldField(name: "family", value: family.name, taken: "")]
        return name + untold + other
    }

    func parts(_ name: String) -> [ArchiveEntry] { sources[name]?.parts ?? [] }

    /// The arrays under their own names, as they are.
    func plainArrays() throws(USPError) -> [WrittenArray] {
        try names.map { name throws(USPError) in
            WrittenArray(name: name, shape: try shape(name), parts: parts(name))
        }
    }
}

extension ModelConfiguration {
    /// Fields that a reader can be told where it asks for them.
    fileprivate var askable: [(name: String, value: String)] {
        let options = Set(LoadOptions.fields.map(\.name))
        return described.filter { options.contains($0.name) }
    }
}
