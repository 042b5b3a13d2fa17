// Intersection over union of predicted and true class maps, over a whole set.

import CKernels
import USPBase
import USPTensor

/// How often pixels of each true class were predicted as each class.
package struct Confusion: Sendable {
    package let classes: Int
    /// True labels of this value are not counted.
    package let ignored: Int
    /// `[true, predicted]`
    package private(set) var matrix: [Int64]

    package init(classes: Int, ignored: Int = 255) throws(USPError) {
        try require(
            (1...4096).contains(classes), .argument, "classes: expected 1 to 4096, got \(classes)")
        self.classes = classes
        self.ignored = ignored
        matrix = [Int64](repeating: 0, count: classes * classes)
    }

    /// Adds one map: predictions 0 ..< classes and true labels, u8 or i64 each, pixel by pixel.
    ///
    /// - Throws: `.shape` for maps of different sizes; `.dtype`; `.argument` for a class out of
    ///   range
    package mutating func add(predicted: Tensor, target: Tensor) throws(USPError) {
        for (name, map) in [("predicted", predicted), ("target", target)] {
            try require(
                map.dtype == .uint8 || map.dtype == .int64, .dtype,
                "\(name): dtype \(map.dtype.name), expected u8 or i64")
        }
        try require(
            predicted.shape == target.shape, .shape,
            "predicted: shape \(predicted.shape), expected \(target.shape) as target")
        let place = uspi_confusion(
            predicted.raw, predicted.dtype.size, target.raw, target.dtype.size, target.count,
            Int64(classes), Int64(ignored), &matrix)
        guard place >= 0 else { return }
        throw USPError(
            .argument,
            "pixel \(place): label \(target.integer(place)), prediction "
                + "\(predicted.integer(place)), expected \(classes) classes, 0 to \(classes - 1)"
                + (target.integer(place) == ignored ? "" : ", or the label \(ignored) to ignore"))
    }
}

extension Tensor {
    /// One element of u8 or i64.
    fileprivate func integer(_ index: Int) -> Int {
        dtype == .uint8
            ? Int(raw.assumingMemoryBound(to: UInt8.self)[index])
            : Int(raw.assumingMemoryBound(to: Int64.self)[index])
    }
}

/// The scores that are read from a confusion matrix.
///
/// - Source: mmseg `iou_metric.py`
package struct SegmentationScore: Sendable {
    package let classes: Int
    private let right: [Int64]
    private let labelled: [Int64]
    private let predicted: [Int64]

    /// - matrix: `[true, predicted]`
    /// - Throws: `.shape` unless it is a square, `.argument` for a negative count or a sum that
    ///   does not fit
    package init(_ matrix: [Int64], classes: Int) throws(USPError) {
        try require(
            classes > 0 && matrix.count == classes * classes, .shape,
            "confusion: \(matrix.count) counts, expected \(classes) x \(classes)")
        var total: Int64 = 0
        for (place, count) in matrix.enumerated() {
            let (sum, overflows) = total.addingReportingOverflow(count)
            try require(
                count >= 0 && !overflows, .argument,
                "confusion: [\(place / classes), \(place % classes)] is \(count), expected counts "
                    + "whose sum fits in 64 bits")
            total = sum
        }
        self.classes = classes
        right = (0..<classes).map { matrix[$0 * classes + $0] }
        labelled = (0..<classes).map { matrix[$0 * classes..<($0 + 1) * classes].reduce(0, +) }
        predicted = (0..<classes).map { column in
            (0..<classes).reduce(0) { $0 + matrix[$1 * classes + column] }
        }
    }

    package init(_ confusion: Confusion) throws(USPError) {
        try self.init(confusion.matrix, classes: confusion.classes)
    }

    /// Intersection over union of each class; nil for one that is neither there nor predicted.
    package var intersectionOverUnion: [Double?] {
        (0..<classes).map { ratio(right[$0], labelled[$0] + predicted[$0] - right[$0]) }
    }

    /// Share of each class's pixels that is right; nil for one that is not there.
    package var classAccuracy: [Double?] { (0..<classes).map { ratio(right[$0], labelled[$0]) } }

    /// Mean over the classes that occur; nil before any does.
    package var meanIntersectionOverUnion: Double? { mean(intersectionOverUnion) }

    /// Mean over the labelled classes.
    package var meanAccuracy: Double? { mean(classAccuracy) }

    /// Share of all counted pixels that is right.
    package var pixelAccuracy: Double? { ratio(right.reduce(0, +), labelled.reduce(0, +)) }

    private func ratio(_ part: Int64, _ whole: Int64) -> Double? {
        whole > 0 ? Double(part) / Double(whole) : nil
    }

    private func mean(_ values: [Double?]) -> Double? {
        let present = values.compactMap { $0 }
        return present.isEmpty ? nil : present.reduce(0, +) / Double(present.count)
    }
}
