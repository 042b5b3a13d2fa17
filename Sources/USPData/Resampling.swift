// Resizing 8-bit images exactly as Pillow before version 13 does (which may begin with the other
// axis): the originals' data went through it.

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
    let first: [Int]
    let weights: [[Int32]]

    /// The filter widens with the scale when shrinking (antialiasing).
    init(_ filter: ResamplingFilter, from source: Int, to target: Int) {
        let scale = Double(source) / Double(target)
        let widening = max(scale, 1)
        let support = filter.support * widening
        var (starts, all): ([Int], [[Int32]]) = ([], [])
        for place in 0..<target {
            let centre = (Double(place) + 0.5) * scale
            let start = max(0, Int(centre - support + 0.5))
            let end = min(source, Int(centre + support + 0.5))
            let raw = (start..<end).map { filter.weight((Double($0) - centre + 0.5) / widening) }
            let total = raw.reduce(0, +)
            starts.append(start)
            all.append(
                raw.map { weight in
                    let fixed = weight / total * Double(1 << ResamplingWeights.bits)
                    return Int32(fixed + (fixed < 0 ? -0.5 : 0.5))
                })
        }
        first = starts
        weights = all
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
        var values = pixels
        if newWidth != width {
            let weights = ResamplingWeights(filter, from: width, to: newWidth)
            values = try resample(
                values, weights, outer: height, source: width, target: newWidth, inner: channels)
        }
        if newHeight != height {
            let weights = ResamplingWeights(filter, from: height, to: newHeight)
            values = try resample(
                values, weights, outer: 1, source: height, target: newHeight,
                inner: newWidth * channels)
        }
        return try PixelImage(
            width: newWidth, height: newHeight, channels: channels, pixels: values)
    }

    /// Resamples the middle axis of `[outer, source, inner]`.
    private func resample(
        _ values: [UInt8], _ weights: ResamplingWeights, outer: Int, source: Int, target: Int,
        inner: Int
    ) throws(USPError) -> [UInt8] {
        try SystemMemory.expect(outer * target * inner, of: UInt8.self)
        return [UInt8](unsafeUninitializedCapacity: outer * target * inner) { result, count in
            values.withUnsafeBufferPointer { values in
                var sums = [Int32](repeating: 0, count: inner)
                for block in 0..<outer {
                    for place in 0..<target {
                        let half = Int32(1) << (ResamplingWeights.bits - 1)
                        for i in 0..<inner { sums[i] = half }
                        for (tap, weight) in weights.weights[place].enumerated() {
                            let from = (block * source + weights.first[place] + tap) * inner
                            for i in 0..<inner { sums[i] &+= Int32(values[from + i]) &* weight }
                        }
                        let to = (block * target + place) * inner
                        for i in 0..<inner {
                            let value = sums[i] >> ResamplingWeights.bits
                            result[to + i] = UInt8(truncatingIfNeeded: min(max(value, 0), 255))
                        }
                    }
                }
            }
            count = outer * target * inner
        }
    }
}
