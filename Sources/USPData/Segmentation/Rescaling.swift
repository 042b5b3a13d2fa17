// Resizing of images and label maps as OpenCV does it, which segmentation's published pipelines use.

import CKernels
import USPBase
import USPFiles

/// Height and width.
public struct ImageSize: Sendable, Equatable {
    public var height: Int
    public var width: Int

    public init(_ height: Int, _ width: Int) {
        (self.height, self.width) = (height, width)
    }

    /// The largest size of the same shape whose shorter side is at most `short` and whose longer is
    /// at most `long`; each side is rounded.
    ///
    /// - Throws: `.argument` unless all four are 1 to 65536
    /// - Source: mmcv `rescale_size`
    public func rescaled(short: Int, long: Int) throws(USPError) -> ImageSize {
        let named = [("height", height), ("width", width), ("short", short), ("long", long)]
        for (name, side) in named {
            try require(
                (1...65536).contains(side), .argument, "\(name): \(side), expected 1 to 65536")
        }
        let scale = min(
            Double(max(short, long)) / Double(max(height, width)),
            Double(min(short, long)) / Double(min(height, width)))
        return ImageSize(
            max(1, Int(Double(height) * scale + 0.5)), max(1, Int(Double(width) * scale + 0.5)))
    }
}

/// Where the pixels of a result lie along one axis, in OpenCV's fixed point.
private struct FixedPositions {
    private(set) var low: [Int32] = []
    private(set) var high: [Int32] = []
    private(set) var weights: [Int16] = []

    /// - clampsWeights: at the ends one pixel has all the weight, as along rows; else both of its
    ///   copies have their own, as along columns
    init(from source: Int, to target: Int, clampsWeights: Bool) {
        let scale = 1 / (Double(target) / Double(source))
        for i in 0..<target {
            let place = Float((Double(i) + 0.5) * scale - 0.5)
            let start = Int(place.rounded(.down))
            var fraction = place - Float(start)
            if clampsWeights && (start < 0 || start >= source - 1) { fraction = 0 }
            low.append(Int32(min(max(start, 0), source - 1)))
            high.append(Int32(min(max(start + 1, 0), source - 1)))
            weights.append(Int16(((1 - fraction) * 2048).rounded(.toNearestOrEven)))
            weights.append(Int16((fraction * 2048).rounded(.toNearestOrEven)))
        }
    }

    func withPositions(_ body: (UnsafePointer<uspi_fixed_positions>) -> Void) {
        low.withUnsafeBufferPointer { low in
            high.withUnsafeBufferPointer { high in
                weights.withUnsafeBufferPointer { weights in
                    var positions = uspi_fixed_positions(
                        low: low.baseAddress, high: high.baseAddress, weights: weights.baseAddress,
                        count: low.count)
                    body(&positions)
                }
            }
        }
    }
}

extension PixelImage {
    /// Bilinearly, half-pixel centres, without antialiasing: the bytes of OpenCV's `resize`.
    ///
    /// - Throws: `.argument` unless both sides are 1 to 65536
    package func rescaled(to size: ImageSize) throws(USPError) -> PixelImage {
        try check(size)
        let rows = FixedPositions(from: height, to: size.height, clampsWeights: false)
        let columns = FixedPositions(from: width, to: size.width, clampsWeights: true)
        let count = 2 * size.width * channels
        try SystemMemory.expect(count, of: Int32.self)
        var scratch = [Int32](repeating: 0, count: count)
        return try made(width: size.width, height: size.height, channels: channels) { from, to in
            rows.withPositions { rows in
                columns.withPositions {
                    uspi_resize_fixed(from, width, channels, rows, $0, &scratch, to)
                }
            }
        }
    }

    /// A label map (one channel) of another size: each label is one of the old map's.
    ///
    /// - Throws: `.argument` unless both sides are 1 to 65536
    package func rescaledNearest(to size: ImageSize) throws(USPError) -> PixelImage {
        try check(size)
        try require(channels == 1, .shape, "label map: \(channels) channels, expected 1")
        return try made(width: size.width, height: size.height, channels: 1) {
            uspi_resize_nearest($0, height, width, 1, size.height, size.width, $1)
        }
    }

    private func check(_ size: ImageSize) throws(USPError) {
        let sides = 1...65536
        try require(
            sides.contains(size.height) && sides.contains(size.width), .argument,
            "resize to \(size.height) x \(size.width): expected sides of 1 to 65536")
    }

    /// A label map in which one label is 255, none.
    package func without(label: Int) throws(USPError) -> PixelImage {
        guard (0..<255).contains(label) else { return self }
        var table = (0...255).map { UInt8($0) }
        table[label] = 255
        return try mapped { uspi_lookup($0, width * height, 1, table, $1) }
    }

    /// ADE20K's rule: label 0 is "other" and ignored, the rest move down by one, 255 stays.
    package func zeroLabelReduced() throws(USPError) -> PixelImage {
        let table: [UInt8] = [255] + Array(0..<254) + [255]
        try require(channels == 1, .shape, "label map: \(channels) channels, expected 1")
        return try mapped { uspi_lookup($0, width * height, 1, table, $1) }
    }
}
