// Intersection over union of predicted and true class maps, over a whole set.

import USPBase

/// A confusion matrix over pixels, and the scores that are read from it.
package struct SegmentationScore: Sendable {
    package let classes: Int
    /// True labels of this value are not counted.
    package let ignored: Int
    /// ADE20K's rule: label 0 is "other" and ignored, the rest move down by one.
    package let reducesZeroLabel: Bool
    /// `[true, predicted]`
    private var confusion: [Int]

    package init(
        classes: Int, ignored: Int = 255, reducesZeroLabel: Bool = false
    ) throws(USPError) {
        try require(
            (1...4096).contains(classes), .argument, "classes: expected 1 to 4096, got \(classes)")
        self.classes = classes
        self.ignored = ignored
        self.reducesZeroLabel = reducesZeroLabel
        confusion = [Int](repeating: 0, count: classes * classes)
    }

    /// Adds one map: predictions 0 ..< classes and true labels, pixel by pixel.
    ///
    /// - Throws: `.shape` for maps of different sizes; `.argument` for a class out of range.
    package mutating func add(predicted: [Int], labels: [Int]) throws(USPError) {
        try require(
            predicted.count == labels.count, .shape,
            "class maps of \(predicted.count) and \(labels.count) pixels")
        for (pixel, raw) in labels.enumerated() {
            guard raw != ignored, !(reducesZeroLabel && raw == 0) else { continue }
            let label = reducesZeroLabel ? raw - 1 : raw
            let guess = predicted[pixel]
            try require(
                (0..<classes).contains(label) && (0..<classes).contains(guess), .argument,
                "pixel \(pixel): label \(raw), prediction \(guess), expected \(classes) classes")
            confusion[label * classes + guess] += 1
        }
    }

    private func labelled(_ index: Int) -> Int {
        confusion[index * classes..<(index + 1) * classes].reduce(0, +)
    }

    private func predicted(_ index: Int) -> Int {
        (0..<classes).reduce(0) { $0 + confusion[$1 * classes + index] }
    }

    /// Intersection over union of each class; nil for one that is neither there nor predicted.
    package var intersectionOverUnion: [Double?] {
        (0..<classes).map { index in
            let both = confusion[index * classes + index]
            let union = labelled(index) + predicted(index) - both
            return union > 0 ? Double(both) / Double(union) : nil
        }
    }

    /// Mean over the classes that occur; nil before any does.
    package var meanIntersectionOverUnion: Double? { mean(intersectionOverUnion) }

    /// Mean over the labelled classes of the share of their pixels that is right.
    package var meanAccuracy: Double? {
        mean(
            (0..<classes).map { index in
                let total = labelled(index)
                return total > 0 ? Double(confusion[index * classes + index]) / Double(total) : nil
            })
    }

    /// Share of all counted pixels that is right.
    package var pixelAccuracy: Double? {
        let total = confusion.reduce(0, +)
        let right = (0..<classes).reduce(0) { $0 + confusion[$1 * classes + $1] }
        return total > 0 ? Double(right) / Double(total) : nil
    }

    private func mean(_ values: [Double?]) -> Double? {
        let present = values.compactMap { $0 }
        return present.isEmpty ? nil : present.reduce(0, +) / Double(present.count)
    }
}
