// A model's configuration in its file: written as text beside the tensors, read back before anything
// is inferred.

import USPBase
import USPFiles

extension ModelConfiguration {
    /// What a file keeps beside the parameters: the family, and the fields that differ from the
    /// family's defaults.
    public var metadata: [(key: String, value: String)] { metadata(untold: []) }

    /// - untold: fields that nothing told, and that a reader shall ask for
    package func metadata(untold: [String]) -> [(key: String, value: String)] {
        let base = (try? Family.named(family))?.defaults as? Self
        let text = text(differingFrom: base ?? Self())
        let asked = untold.isEmpty ? [] : [("usp.untold", untold.joined(separator: ","))]
        return [("usp.family", family), ("usp.config", text)] + plainMetadata + asked
    }
}

extension Array where Element == (name: String, value: String) {
    /// `width 384, depth 12`
    package var phrase: String { map { "\($0.name) \($0.value)" }.joined(separator: ", ") }
}

extension FileModel {
    /// A text beside the tensors.
    func told(_ key: String) -> String? { metadata.first { $0.key == key }?.value }

    /// What `usp.config` says, of the family that `usp.family` names.
    static func configuration(
        _ archive: Archive
    ) throws(USPError) -> (any ModelConfiguration)? {
        guard let text = archive.metadataValue("usp.config"),
            let family = archive.metadataValue("usp.family")
        else { return nil }
        return try locating("\(archive.path): usp.config") { () throws(USPError) in
            var configuration = try Family.named(family).defaults
            try configuration.apply(text)
            return configuration
        }
    }

    /// The told configuration, if it is of this type.
    func told<Configuration>(as type: Configuration.Type) -> Configuration? {
        configuration as? Configuration
    }
}

extension Family {
    /// The configuration of a file's model: what names and shapes tell, what the file says, and what
    /// the options give in their place.
    ///
    /// - Throws: `.format` where the file says something else than its names and shapes, naming the
    ///   field; `.argument` for what nothing tells
    package func configuration(
        _ file: FileModel, _ options: LoadOptions = LoadOptions()
    ) throws(USPError) -> any ModelConfiguration {
        let found = try infer(file, options)
        try locating(file.path) { () throws(USPError) in try found.check() }
        guard let told = file.configuration, type(of: told) == type(of: found) else { return found }
        let given =
            options.described(differingFrom: LoadOptions()).map(\.name)
            + (options.statistics == nil ? [] : ["scale", "shift"])
            + (file.told("usp.untold")?.split(separator: ",").map(String.init) ?? [])
        let values = found.described
        for (name, value) in told.described where !given.contains(name) {
            guard let own = values.first(where: { $0.name == name })?.value, own != value else {
                continue
            }
            throw USPError(
                .format,
                "\(file.path): usp.config says \(name) \(value), the tensors' names and shapes "
                    + own)
        }
        return found
    }
}
