// What an evaluation finds, for people and for programs.

import USPBase
import USPFiles
import USPKit

/// Scores by name, in the order they were found.
struct Scores {
    private(set) var values: [(name: String, value: Double)] = []
    private(set) var warnings: [String] = []

    mutating func warn(_ text: String) { warnings.append(text) }

    mutating func add(_ name: String, _ value: Double) { values.append((name, value)) }

    /// All that features or statistics of both sides allow.
    mutating func compare(
        _ samples: FeatureFile, _ reference: FeatureFile, neighbours: Int,
        names: (frechet: String, spatial: String) = ("Fréchet distance", "spatial Fréchet distance")
    ) throws(USPError) {
        if let a = try samples.statistics(), let b = try reference.statistics() {
            let distance = try FrechetDistance.between(a, b)
            add(names.frechet, distance.value)
            warnings += distance.warnings
        }
        if let a = try samples.spatialStatistics(), let b = try reference.spatialStatistics() {
            add(names.spatial, try FrechetDistance.between(a, b).value)
        }
        if let a = try samples.features(), let b = try reference.features() {
            let scores = try PrecisionRecall.of(reference: b, samples: a, neighbours: neighbours)
            add("precision", scores.precision)
            add("recall", scores.recall)
        }
    }

    var text: String {
        var table = TextTable([("", .left), ("", .right)])
        for score in values { table.add([score.name, fixed(score.value, 4)]) }
        return table.text
    }

    /// Keys are the names, with `_` for spaces and without accents.
    var json: JSON {
        .object(
            values.map { score in
                let key = score.name.lowercased().map { $0 == " " ? "_" : $0 == "é" ? "e" : $0 }
                return JSON.Member(String(key), .number(score.value))
            })
    }
}
