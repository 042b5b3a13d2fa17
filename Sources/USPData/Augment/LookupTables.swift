// Operations that change each value by itself: a table of 256 for each channel.

import CKernels
import USPBase
import USPFiles

extension PixelImage {
    /// `[3, 256]`: what an operation makes of each value of each channel.
    func lookupTables(_ operation: AugmentOperation, _ argument: Double) -> [UInt8] {
        switch operation {
        case .autoContrast: histograms().flatMap(stretched)
        case .equalize: histograms().flatMap(equalized)
        case .invert: repeated { 255 - $0 }
        case .posterize: repeated { $0 & ~(1 << (8 - Int(argument)) - 1) }
        case .solarize: repeated { Double($0) < argument ? $0 : 255 - $0 }
        case .solarizeAdd: repeated { $0 < 128 ? min(255, $0 + Int(argument)) : $0 }
        default: repeated { $0 }
        }
    }

    /// How often each channel has each value.
    func histograms() -> [[Int64]] {
        var counts = [Int64](repeating: 0, count: 256 * channels)
        uspi_histogram(pixels, width * height, channels, &counts)
        return (0..<channels).map { Array(counts[256 * $0..<256 * ($0 + 1)]) }
    }

    /// The mean luminance, rounded.
    func meanLuminance() throws(USPError) -> UInt8 {
        let count = width * height
        try SystemMemory.expect(count, of: UInt8.self)
        let grey = [UInt8](unsafeUninitializedCapacity: count) { target, initialised in
            uspi_luminance(pixels, count, target.baseAddress)
            initialised = count
        }
        var counts = [Int64](repeating: 0, count: 256)
        uspi_histogram(grey, count, 1, &counts)
        let sum = counts.enumerated().reduce(0) { $0 + $1.offset * Int($1.element) }
        return UInt8(Double(sum) / Double(count) + 0.5)
    }
}

/// One table for all three channels.
private func repeated(_ value: (Int) -> Int) -> [UInt8] {
    let table = (0..<256).map { UInt8(clamping: value($0)) }
    return table + table + table
}

/// Pillow's `autocontrast`: the lowest value becomes 0 and the highest 255.
private func stretched(_ counts: [Int64]) -> [UInt8] {
    guard let low = counts.firstIndex(where: { $0 > 0 }),
        let high = counts.lastIndex(where: { $0 > 0 }), high > low
    else { return (0...255).map { $0 } }
    let scale = 255 / Double(high - low)
    let offset = -Double(low) * scale
    return (0..<256).map { UInt8(min(max(Double($0) * scale + offset, 0), 255)) }
}

/// Pillow's `equalize`: values are where they stand in the image's order, in steps of 1/255 of all
/// but the pixels of the highest value.
private func equalized(_ counts: [Int64]) -> [UInt8] {
    let present = counts.filter { $0 > 0 }
    let step = (counts.reduce(0, +) - (present.last ?? 0)) / 255
    guard present.count > 1, step > 0 else { return (0...255).map { $0 } }
    var below = step / 2
    return counts.map { count in
        defer { below += count }
        return UInt8(clamping: below / step)
    }
}
