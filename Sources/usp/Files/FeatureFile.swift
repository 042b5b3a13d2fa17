// Files of features, of their statistics, and of logits.

import USPBase
import USPEvaluation
import USPFiles
import USPKit
import USPTensor

/// One side of an evaluation.
struct FeatureFile {
    private let path: String
    private let table: ArchiveTable
    private let featuresName: String

    init(_ path: String, features: String) throws(USPError) {
        self.path = path
        table = try Checkpoint.open(path).table
        featuresName = features
    }

    /// `[N, D]` f32; the only array of an npy file has no name of its own.
    func features() throws(USPError) -> Tensor? {
        let entry = table[featuresName] ?? table["array"]
        return try matrix(entry)
    }

    /// `[N, K]` f32
    func logits() throws(USPError) -> Tensor? { try matrix(table["logits"]) }

    /// From mu and sigma if they are there, else from features.
    func statistics() throws(USPError) -> FeatureStatistics? {
        if let stored = try stored("mu", "sigma") { return stored }
        return try computed(try features())
    }

    /// The same of features that know where in the image they are.
    func spatialStatistics() throws(USPError) -> FeatureStatistics? {
        if let stored = try stored("mu_s", "sigma_s") { return stored }
        return try computed(try matrix(table["spatial"]))
    }

    private func stored(_ mean: String, _ covariance: String) throws(USPError) -> FeatureStatistics?
    {
        guard let mu = table[mean], let sigma = table[covariance] else { return nil }
        return try locating(path) { () throws(USPError) in
            try FeatureStatistics(count: 0, mean: try mu.doubles(), covariance: try sigma.doubles())
        }
    }

    private func computed(_ features: Tensor?) throws(USPError) -> FeatureStatistics? {
        guard let features else { return nil }
        return try locating(path) { () throws(USPError) in
            var accumulator = try FeatureAccumulator(width: features.shape[1])
            try accumulator.add(features)
            return try accumulator.statistics()
        }
    }

    private func matrix(_ entry: ArchiveEntry?) throws(USPError) -> Tensor? {
        guard let entry else { return nil }
        try require(
            entry.shape.rank >= 2 && entry.dtype.isFloating, .shape,
            "\(path): \(entry.name): \(entry.dtype.name) \(entry.shape), expected real [N, D]")
        let rows = entry.shape[0]
        let width = rows == 0 ? 0 : entry.count / rows
        return try entry.tensor(as: .float32).reshaped([rows, width])
    }
}

/// Scores by name, in the order they were found.
struct Scores {
    private(set) var values: [(name: String, value: Double)] = []
    private(set) var warnings: [String] = []

    mutating func add(_ name: String, _ value: Double) { values.append((name, value)) }

    /// All that features or statistics of both sides allow.
    mutating func compare(
        _ samples: FeatureFile, _ reference: FeatureFile, neighbours: Int
    ) throws(USPError) {
        if let a = try samples.statistics(), let b = try reference.statistics() {
            let distance = try FrechetDistance.between(a, b)
            add("Fréchet distance", distance.value)
            warnings += distance.warnings
        }
        if let a = try samples.spatialStatistics(), let b = try reference.spatialStatistics() {
            add("spatial Fréchet distance", try FrechetDistance.between(a, b).value)
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
