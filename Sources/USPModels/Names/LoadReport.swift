// What became of every tensor when a model was loaded: for people and for programs.

import USPBase
import USPFiles

package struct LoadReport: Sendable {
    /// A parameter that came from the file.
    package struct Loaded: Sendable {
        package let parameter: String
        package let shape: Shape
        /// Names in the file.
        package let sources: [String]
        package let dtype: DType
        /// `viewed` in place, `copied`, or `converted` from another type.
        package let action: String

        package var isRenamed: Bool { sources != [parameter] }
    }

    package let path: String
    package let table: String
    package let dialect: String
    package let family: String
    /// Names and values of all fields of the configuration.
    package internal(set) var configuration: [(name: String, value: String)] = []
    package internal(set) var loaded: [Loaded] = []
    package internal(set) var ignored: [SkippedItem] = []
    /// Parameters that the file has not and that started by their rule, with the reason.
    package internal(set) var initialized: [SkippedItem] = []
    /// What the file does not tell and an option can: the value taken, and where it is from.
    package internal(set) var assumed: [SkippedItem] = []
    /// An autoencoder's latents should be normalised, and nothing tells how.
    package internal(set) var lacksStatistics = false
    package internal(set) var missing: [String] = []
    package internal(set) var mismatched: [SkippedItem] = []
    package internal(set) var unexpected: [String] = []
    /// Which weights were taken, and why, where the file has others.
    package internal(set) var choice: String?
    /// What of the file is no part of the model.
    package internal(set) var beside: [SkippedItem] = []
    /// What of the folder's configuration was not applied, and why.
    package internal(set) var unapplied: [SkippedItem] = []

    static let asAsked = "left aside, as asked"

    /// What a user has to know, a sentence each: what was chosen, assumed, not applied or does not
    /// fit.
    package var notes: [String] {
        var notes = choice.map { ["takes \($0)"] } ?? []
        notes += assumed.map { "assumes \($0.name): \($0.reason)" }
        notes += unapplied.map { "\($0.name): \($0.reason)" }
        notes += initialized.filter { $0.reason.hasPrefix(Self.asAsked) }.map {
            "\($0.name): \($0.reason)"
        }
        if !fits { notes.append("does not fit, and was loaded all the same: \(problems)") }
        return notes.map { "\(path): \($0)" }
    }

    package var fits: Bool { missing.isEmpty && mismatched.isEmpty && unexpected.isEmpty }

    /// One error with everything that does not fit.
    var error: USPError {
        USPError(
            missing.isEmpty ? .shape : .missingWeight,
            "\(path) (\(dialect)): does not fit; \(problems); ignore leaves arrays or parameters "
                + "aside by name, strict off all of them")
    }

    private var problems: String {
        var problems: [String] = []
        if !missing.isEmpty { problems.append("missing \(missing.count): \(list(missing))") }
        if !mismatched.isEmpty {
            problems.append(
                "of another shape \(mismatched.count): "
                    + "\(list(mismatched.map { "\($0.name) \($0.reason)" }))")
        }
        if !unexpected.isEmpty {
            problems.append("unexpected \(unexpected.count): \(list(unexpected))")
        }
        return problems.joined(separator: "; ")
    }

    private func list(_ names: [String]) -> String {
        let shown = names.prefix(200).joined(separator: ", ")
        return names.count > 200 ? "\(shown) and \(names.count - 200) more" : shown
    }

    /// Lines for people.
    package var text: String {
        let place = table.isEmpty ? "" : ", table \(table)"
        var lines = ["\(path): \(family), names of \(dialect)\(place)"]
        let renamed = loaded.filter(\.isRenamed)
        let parameters = loaded.reduce(0) { $0 + $1.shape.count }
        let actions = ["viewed", "copied", "converted"].compactMap { action in
            let count = loaded.count { $0.action == action }
            return count > 0 ? "\(count) \(action)" : nil
        }
        lines.append(
            "loaded \(loaded.count) tensors, \(parameters) parameters "
                + "(\(actions.joined(separator: ", "))), \(renamed.count) under other names")
        for item in renamed {
            lines.append("  renamed  \(item.sources.joined(separator: " + ")) -> \(item.parameter)")
        }
        if let choice { lines.append("  choice   \(choice)") }
        if !configuration.isEmpty { lines.append("  with     \(configuration.phrase)") }
        for item in initialized { lines.append("  started  \(item.name): \(item.reason)") }
        for item in assumed { lines.append("  assumed  \(item.name): \(item.reason)") }
        for item in unapplied { lines.append("  setting  \(item.name): \(item.reason)") }
        for item in ignored { lines.append("  ignored  \(item.name): \(item.reason)") }
        for item in beside { lines.append("  beside   \(item.name): \(item.reason)") }
        for name in missing { lines.append("  missing  \(name)") }
        for item in mismatched { lines.append("  shape    \(item.name): \(item.reason)") }
        for name in unexpected { lines.append("  unknown  \(name)") }
        return lines.joined(separator: "\n")
    }

    /// The same for programs.
    package var json: JSON {
        func skipped(_ items: [SkippedItem]) -> JSON {
            .array(
                items.map {
                    .object([.init("name", .string($0.name)), .init("reason", .string($0.reason))])
                })
        }
        func texts(_ items: [String]) -> JSON { .array(items.map(JSON.string)) }
        return .object([
            .init("path", .string(path)), .init("table", .string(table)),
            .init("dialect", .string(dialect)), .init("family", .string(family)),
            .init("config", .object(configuration.map { .init($0.name, .string($0.value)) })),
            .init(
                "loaded",
                .array(
                    loaded.map {
                        .object([
                            .init("parameter", .string($0.parameter)),
                            .init("sources", texts($0.sources)),
                            .init("shape", .array($0.shape.extents.map(JSON.integer))),
                            .init("dtype", .string($0.dtype.name)),
                            .init("action", .string($0.action)),
                        ])
                    })),
            .init("choice", choice.map(JSON.string) ?? .null),
            .init("beside", skipped(beside)), .init("settings", skipped(unapplied)),
            .init("ignored", skipped(ignored)), .init("initialized", skipped(initialized)),
            .init("assumed", skipped(assumed)),
            .init("missing", texts(missing)), .init("mismatched", skipped(mismatched)),
            .init("unexpected", texts(unexpected)),
            .init("lacks_statistics", .bool(lacksStatistics)),
        ])
    }
}
