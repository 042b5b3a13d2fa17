// TIFF, read by libtiff where that is installed; colours become RGB here, as in Pillow.

import CFiles
import USPBase

enum TIFF {
    /// Runs of white in a fax stand for many pixels a byte; this is beyond real pictures.
    private static let mostPixelsPerByte = 1 << 12

    static func recognises(_ file: ByteView) -> Bool {
        file.starts(with: [0x49, 0x49, 0x2A, 0]) || file.starts(with: [0x4D, 0x4D, 0, 0x2A])
            || file.starts(with: [0x49, 0x49, 0x2B, 0]) || file.starts(with: [0x4D, 0x4D, 0, 0x2B])
    }

    /// The first page: grey, or RGB; samples of 16 bits keep their upper 8.
    static func read(_ bytes: ByteView) throws(USPError) -> (PixelImage, orientation: Int) {
        let source = bytes.bytes.bindMemory(to: UInt8.self).baseAddress
        var message = [CChar](repeating: 0, count: 200)
        var tiff = uspi_tiff()
        let status = uspi_tiff_header(source, bytes.count, &tiff, &message)
        guard status == 0 else { throw PixelImage.failure("TIFF", message) }
        let (width, height) = (Int(tiff.width), Int(tiff.height))
        try PixelImage.expectPlausible(
            width, height, from: bytes.count, most: mostPixelsPerByte, always: 1 << 24, "TIFF")
        let samples = Int(tiff.samples)
        let values = try PixelImage.pixels(width * height * samples, "TIFF") {
            uspi_tiff_decode(source, bytes.count, &tiff, $0, $1)
        }
        withExtendedLifetime(bytes.owner) {}
        let isGrey = tiff.is_rendered == 0 && tiff.photometric <= 1
        let channels = isGrey ? 1 : 3
        try SystemMemory.expect(width * height * channels, of: UInt8.self)
        let palette = withUnsafeBytes(of: tiff.palette) { Array($0) }
        let pixels = [UInt8](unsafeUninitializedCapacity: width * height * channels) {
            target, count in
            for pixel in 0..<width * height {
                colour(
                    values, pixel * samples, tiff, palette, into: target, pixel * channels)
            }
            count = width * height * channels
        }
        return (
            try PixelImage(width: width, height: height, channels: channels, pixels: pixels),
            Int(tiff.orientation)
        )
    }

    private static func colour(
        _ values: [UInt8], _ from: Int, _ tiff: uspi_tiff, _ palette: [UInt8],
        into target: UnsafeMutableBufferPointer<UInt8>, _ to: Int
    ) {
        if tiff.is_rendered != 0 {
            for channel in 0..<3 { target[to + channel] = values[from + channel] }
            return
        }
        switch tiff.photometric {
        case 0, 1:
            let value =
                tiff.bits < 8
                ? UInt8(Int(values[from]) * 255 / (1 << Int(tiff.bits) - 1)) : values[from]
            target[to] = tiff.photometric == 0 ? 255 - value : value
        case 3:
            for channel in 0..<3 { target[to + channel] = palette[3 * Int(values[from]) + channel] }
        case 5:
            // As Pillow: what black leaves, less the colour's share of it.
            let light = 255 - Int(values[from + 3])
            for channel in 0..<3 {
                let product = Int(values[from + channel]) * light + 128
                target[to + channel] = UInt8(light - (product + product >> 8) >> 8)
            }
        default:
            let alpha = tiff.samples == 4 && tiff.alpha == 1 ? Int(values[from + 3]) : 255
            for channel in 0..<3 {
                let value = Int(values[from + channel])
                target[to + channel] =
                    alpha == 0 || alpha == 255 ? UInt8(value) : UInt8(min(255, 255 * value / alpha))
            }
        }
    }
}
