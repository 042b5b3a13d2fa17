// Choices that callers make by name: an unknown name is told with the known ones and the nearest.

/// An enumeration whose raw values are the names that callers use.
package protocol NamedChoice: RawRepresentable, CaseIterable, Sendable where RawValue == String {
    /// What is chosen, for messages: "beta schedule", "solver".
    static var what: String { get }

    /// Other spellings (of the original systems) and what they mean.
    static var aliases: [String: Self] { get }
}

extension NamedChoice {
    package static var aliases: [String: Self] { [:] }

    /// The choice of this name, letter case aside.
    ///
    /// - Throws: `.argument` that lists the known names, the nearest first suggested.
    package static func named(_ name: String) throws(USPError) -> Self {
        let wanted = name.lowercased()
        for choice in allCases where choice.rawValue.lowercased() == wanted { return choice }
        for (alias, choice) in aliases where alias.lowercased() == wanted { return choice }
        throw unknownName(name, what: what, known: allCases.map(\.rawValue))
    }
}

/// The error for a name that is not among the known ones.
package func unknownName(_ name: String, what: String, known: [String]) -> USPError {
    let list = known.joined(separator: ", ")
    let nearest = known.min {
        editDistance(name.lowercased(), $0.lowercased())
            < editDistance(name.lowercased(), $1.lowercased())
    }
    let hint = nearest.map { "; did you mean \"\($0)\"?" } ?? ""
    return USPError(.argument, "unknown \(what) \"\(name)\", known are \(list)\(hint)")
}

/// Levenshtein's distance.
package func editDistance(_ a: String, _ b: String) -> Int {
    let (a, b) = (Array(a.utf8), Array(b.utf8))
    var row = Array(0...b.count)
    for (i, left) in a.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, right) in b.enumerated() {
            let substituted = diagonal + (left == right ? 0 : 1)
            diagonal = row[j + 1]
            row[j + 1] = min(substituted, row[j] + 1, row[j + 1] + 1)
        }
    }
    return row[b.count]
}

/// Throws `.argument` for the first option that is set and has no part in the family.
package func expectPart(
    in family: String, _ options: [(name: String, isSet: Bool, families: [String])]
) throws(USPError) {
    for option in options where option.isSet {
        try require(
            option.families.contains(family), .argument,
            "\(option.name): has no part in a \(family), only in "
                + option.families.joined(separator: ", "))
    }
}
