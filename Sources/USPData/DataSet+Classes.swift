// Labels by what their classes are called, where two sides number them differently.

import USPBase

/// The classes of a set in the order of another list.
struct ClassNumbers: Sendable {
    let names: [String]
    /// The place in it of each class of the set.
    let places: [Int]
    /// The place of samples that have no label, or whose label does not count.
    var all: Int?

    func labels(_ labels: [Int]?, _ count: Int) -> [Int]? {
        if let all { return [Int](repeating: all, count: count) }
        return labels.map { labels in labels.map { places[$0] } }
    }
}

extension [String] {
    /// The first twelve of these names, for messages.
    package var someText: String {
        prefix(12).joined(separator: ", ") + (count > 12 ? ", …" : "")
    }
}

extension DataSet {
    /// The same samples, with labels that count in these names.
    ///
    /// - names: all of the data's among them; where either side has none, the labels stay as they are
    /// - Throws: `.argument` naming a class that is not among them, or is there more than once
    package func numbered(as names: [String]) throws(USPError) -> DataSet {
        let own = classNames
        guard !names.isEmpty, !own.isEmpty, names != own else { return self }
        var places: [Int] = []
        for name in own {
            let found = names.indices.filter { names[$0] == name }
            try require(
                found.count == 1, .argument,
                "\(place): the class \(name) is \(found.isEmpty ? "none" : "more than one") of the "
                    + "expected: \(names.someText)")
            places += found
        }
        return try DataSet(
            source, options, among: chosen, notes: notes,
            numbers: ClassNumbers(
                names: names, places: numbers?.places.map { places[$0] } ?? places,
                all: numbers?.all.map { places[$0] }))
    }

    /// What the class of samples without classes is called.
    package static let oneClass = "image"

    /// The same samples, all of one class.
    package func inOneClass() throws(USPError) -> DataSet {
        try DataSet(
            source, options, among: chosen, notes: notes,
            numbers: ClassNumbers(
                names: [Self.oneClass], places: [Int](repeating: 0, count: classes), all: 0)
        )
    }
}
