// What diffusers and timm write beside a model's weights.

import USPBase
import USPFiles
import USPTensor

/// The keys of a folder's `config.json` that decide what a model computes. Every key is applied,
/// compared with the tensors, known to change nothing, or named.
struct FolderConfiguration: Sendable {
    /// Of the file itself, for messages.
    let place: String
    let json: JSON
    /// What is not applied, and why.
    var unapplied: [SkippedItem] = []

    var heads: Int?
    var sampleSize: Int?
    var groups: Int?
    var epsilon: Float?
    var normalization: LatentNormalization?
    var activation: Activation?
    /// Classes, where the label table has a row for none beside them.
    var classes: Int?
    var pool: ViT.Pool?

    /// nil without such a file.
    ///
    /// - Throws: `.format` naming it, if it is damaged or a value is none that it can be;
    ///   `.unsupported` for one that no model of ours has
    init?(beside path: String, _ dialect: Dialect) throws(USPError) {
        guard let json = try ModelFolder.configuration(beside: path) else { return nil }
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
        (self.json, place) = (json, folder + "config.json")
        guard let schema = dialect.schema, schema.describes(json) else {
            unapplied = [SkippedItem(name: place, reason: Self.stranger(json, dialect.schema))]
            return
        }
        try apply(json, schema)
    }

    private static func stranger(_ json: JSON, _ schema: ConfigurationSchema?) -> String {
        let owner =
            json["_class_name"]?.text ?? json["architecture"]?.text
            ?? json["model_type"]?.text
        return "nothing in it is applied: "
            + (owner.map { "it belongs to \($0)" } ?? "it does not say what it belongs to")
            + (schema.map { ", expected \($0.title)" } ?? "")
    }

    private mutating func apply(_ json: JSON, _ schema: ConfigurationSchema) throws(USPError) {
        for member in json.members ?? [] where !member.key.hasPrefix("_") {
            guard let use = schema.keys[member.key] else {
                if member.value != .null {
                    unapplied.append(
                        SkippedItem(
                            name: "\(place): \(member.key)",
                            reason: "\(shortened(member.value)) is not applied: a key that is not "
                                + "known of \(schema.title)"))
                }
                continue
            }
            switch use {
            case .without: break
            case .applied(let read): try read(&self, member.key)
            case .only(let values, let instead):
                guard member.value != .null, !values.contains(member.value) else { continue }
                throw USPError(
                    .unsupported,
                    "\(place): \(member.key) is \(shortened(member.value)), which is not supported"
                        + "; expected \(instead)")
            }
        }
        try schema.finish(&self)
    }

    func shortened(_ value: JSON) -> String {
        let text = value.compact
        return text.count > 60 ? String(text.prefix(57)) + "..." : text
    }

    /// - Throws: `.format` for what says something else than the tensors: then it is another model's
    func expect(_ key: String, _ values: [Int]) throws(USPError) {
        guard let value = json[key], value != .null else { return }
        let told = value.integer.map { [$0] } ?? value.elements?.map { $0.integer ?? -1 }
        guard told != values else { return }
        let shown = values.map(String.init).joined(separator: ", ")
        throw USPError(
            .format,
            "\(place): \(key) is \(shortened(value)), the tensors' shapes tell \(shown): it belongs "
                + "to another model; move it away, or the weights to their own")
    }

    func expect(_ key: String, _ isThere: Bool) throws(USPError) {
        guard let value = json[key], value != .null, value != .bool(isThere) else { return }
        throw USPError(
            .format,
            "\(place): \(key) is \(shortened(value)), the tensors' names tell \(isThere): it belongs to "
                + "another model; move it away, or the weights to their own")
    }
}

extension FolderConfiguration {
    func number(_ key: String) throws(USPError) -> Float? {
        guard let value = json[key], value != .null else { return nil }
        return try number(value, key)
    }

    private func number(_ value: JSON, _ key: String) throws(USPError) -> Float {
        switch value {
        case .number(let value): return Float(value)
        case .integer(let value): return Float(value)
        default:
            throw USPError(.format, "\(place): \(key) is \(value.compact), expected a number")
        }
    }

    func numbers(_ key: String) throws(USPError) -> [Float]? {
        guard let value = json[key], value != .null else { return nil }
        guard let elements = value.elements, !elements.isEmpty else {
            throw USPError(
                .format, "\(place): \(key) is \(value.compact), expected a list of numbers")
        }
        return try elements.map { element throws(USPError) in try number(element, key) }
    }

    func size(_ key: String) throws(USPError) -> Int? {
        guard let value = json[key], value != .null else { return nil }
        guard let number = value.integer, number > 0 else {
            throw USPError(
                .format,
                "\(place): \(key) is \(value.compact), expected a whole number above 0")
        }
        return number
    }

    /// One of these words.
    func word<Value>(_ key: String, _ known: [String: Value]) throws(USPError) -> Value? {
        guard let value = json[key], value != .null else { return nil }
        guard let found = value.text.flatMap({ known[$0] }) else {
            throw USPError(
                .unsupported,
                "\(place): \(key) is \(shortened(value)), which is not supported; expected "
                    + known.keys.sorted().joined(separator: " or "))
        }
        return found
    }
}
