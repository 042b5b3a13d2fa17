// Generated from the tables of fields by scripts/generate_doors.py: do not edit.
// swift-format-ignore-file

import ArgumentParser
import USPBase
import USPKit

/// Options of LoadOptions that have a part in some run.
struct FittingSettings: ParsableArguments {
    @Option(
        name: .customLong("table"),
        help: "Nested table of the file; without it what the family's readers take.")
    var table: String?

    @Option(
        name: .customLong("ignore"),
        help: "Arrays of the file and parameters of the model, by their names or the start of these, with commas between, that need not fit: the former are left aside, the latter start by their rule. Default: none.")
    var ignore: String?

    @Flag(
        name: .customLong("strict"), inversion: .prefixedNo,
        help: "Anything else that does not fit is an error; off, it is told in the report, and missing parameters start by their rule. Default: yes.")
    var strict: Bool?

    /// Names of what was said.
    var said: [String] {
        [
            table == nil ? nil : "table",
            ignore == nil ? nil : "ignore",
            strict == nil ? nil : "strict",
        ].compactMap(\.self)
    }

    /// Changes what was said.
    func apply(to options: inout LoadOptions) throws(USPError) {
        if let table { try options.set("table", table) }
        if let ignore { try options.set("ignore", ignore) }
        if let strict { try options.set("strict", strict ? "yes" : "no") }
    }
}
