// Resizing 8-bit images exactly as Pillow before version 13 does (which may begin with the other
// axis): the originals' data went through it.

import CKernels
import USPBase
import USPFiles

/// Filters of Pillow's `resize`.
package enum ResamplingFilter: String, NamedChoice {
    case box
    case bilinear
    case bicubic

    package static let what = "resampling filter"

    /// Reach on each side, in source pixels when enlarging.
    var support: Double {
        switch self {
        case .box: 0.5
        case .bilinear: 1
        case .bicubic: 2
        }
    }

    func weight(_ x: Double) -> Double {
        switch self {
        case .box: x > -0.5 && x <= 0.5 ? 1 : 0
        case .bilinear: max(0, 1 - abs(x))
        case .bicubic: ResamplingFilter.cubic(abs(x))
        }
    }

    /// Keys' kernel with a = −0.5.
    private static func cubic(_ x: Double) -> Double {
        let a = -0.5
        if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
        if x < 2 { return (((x - 5) * x + 8) * x - 4) * a }
        return 0
    }
}

/// Source pixels and 22-bit fixed-point weights of each result pixel along one axis.
private struct ResamplingWeights {
    static let bits = 22
    private(set) var first: [Int32] = []
    private(set) var counts: [Int32] = []
    /// `most` to a result pixel.
    private(set) var weights: [Int32] = []
    let most: Int

    /// The filter widens with the scale when shrinking (antialiasing).
    init(_ filter: ResamplingFilter, from source: Int, to target: Int) throws(USPError) {
        let scale = Double(source) / Double(target)
        let widening = max(scale, 1)
        let support = filter.support * widening
        most = Int(support.rounded(.up)) * 2 + 1
        try SystemMemory.expect(try CheckedMath.multiply(most, target, "resize"), of: Int32.self)
        weights = [Int32](repeating: 0, count: most * target)
        for place in 0..<target {
            let centre = (Double(place) + 0.5) * scale
            let start = max(0, Int(centre - support + 0.5))
            let end = min(source, Int(centre + support + 0.5))
            let raw = (start..<end).map { filter.weight((Double($0) - centre + 0.5) / widening) }
            let total = raw.reduce(0, +)
            first.append(Int32(start))
            counts.append(Int32(end - start))
            for (tap, weight) in raw.enumerated() {
                let fixed = weight / total * Double(1 << ResamplingWeights.bits)
                weights[place * most + tap] = Int32(fixed + (fixed < 0 ? -0.5 : 0.5))
            }
        }
    }

    func withTaps(_ body: (UnsafePointer<uspi_taps>) -> Void) {
        first.withUnsafeBufferPointer { first in
            counts.withUnsafeBufferPointer { counts in
                weights.withUnsafeBufferPointer { weights in
                    var taps = uspi_taps(
                        first: first.baseAddress, count: counts.baseAddress,
                        weights: weights.baseAddress, most: most)
                    body(&taps)
                }
            }
        }
    }
}

extension PixelImage {
    /// Horizontally, then vertically, each rounded to 8 bits.
    ///
    /// - Throws: `.argument` unless both sides are 1 to 65536.
    package func resized(
        width newWidth: Int, height newHeight: Int, _ filter: ResamplingFilter
    ) throws(USPError) -> PixelImage {
        let sides = 1...65536
        try require(
            sides.contains(newWidth) && sides.contains(newHeight), .argument,
            "resize to \(newWidth) x \(newHeight): expected sides of 1 to 65536")
        var result = self
        if newWidth != width {
            let weights = try ResamplingWeights(filter, from: width, to: newWidth)
            result = try made(width: newWidth, height: height, channels: channels) { from, to in
                weights.withTaps {
                    uspi_resample_columns(from, $0, height, width, newWidth, channels, to)
                }
            }
        }
        if newHeight != height {
            let weights = try ResamplingWeights(filter, from: height, to: newHeight)
            result = try result.made(width: newWidth, height: newHeight, channels: channels) {
                from, to in
                weights.withTaps {
                    uspi_resample_rows(from, $0, newHeight, newWidth * channels, to)
                }
            }
        }
        return result
    }
}
