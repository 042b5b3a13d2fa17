// Top-k accuracy of a classifier, gathered batch by batch.

import USPBase
import USPTensor

/// Shares of samples whose label is among the k largest logits. Samples count alike, whatever batch
/// they came in.
package struct TopAccuracy: Sendable {
    /// The k's, as given.
    package let ks: [Int]
    package private(set) var count = 0
    private var hits: [Int]

    /// - Throws: `.argument` unless every k is above 0.
    package init(_ ks: [Int] = [1, 5]) throws(USPError) {
        try require(ks.allSatisfy { $0 > 0 }, .argument, "top-k: expected k above 0, got \(ks)")
        self.ks = ks
        hits = [Int](repeating: 0, count: ks.count)
    }

    /// Adds a batch: logits `[B, K]` f32, labels 0 ..< K. Equal logits before the label count
    /// against it. Infinite logits are numbers like others: −∞ takes a class out.
    ///
    /// - Throws: `.shape`, also for no samples; `.argument` for a label out of range and for NaN.
    package mutating func add(_ logits: Tensor, labels: [Int]) throws(USPError) {
        try require(
            logits.dtype == .float32 && logits.shape.rank == 2 && logits.shape[0] == labels.count,
            .shape, "logits: expected f32 [\(labels.count), K], got \(logits.shape)")
        try require(
            logits.count > 0, .shape, "logits: shape \(logits.shape), expected at least one sample")
        let classes = logits.shape[1]
        for (row, label) in labels.enumerated() {
            try require(
                (0..<classes).contains(label), .argument,
                "label \(label) of sample \(row): expected 0 to \(classes - 1)")
            let values = logits.floats + row * classes
            let own = values[label]
            var rank = 0
            for k in 0..<classes {
                try require(
                    !values[k].isNaN, .argument,
                    "logits: row \(row) has NaN for class \(k), expected a number")
                if values[k] > own || (values[k] == own && k < label) { rank += 1 }
            }
            for (index, k) in ks.enumerated() where rank < k { hits[index] += 1 }
        }
        count += labels.count
    }

    /// What all ranks have added.
    package mutating func sum(over ranks: Ranks) throws(USPError) {
        for (rank, other) in try ranks.gather(values: hits + [count]).enumerated()
        where rank != ranks.rank {
            for index in hits.indices { hits[index] += other[index] }
            count += other[hits.count]
        }
    }

    /// One share in 0 … 1 for each k; 0 before anything is added.
    package var shares: [Double] { hits.map { count > 0 ? Double($0) / Double(count) : 0 } }
}
