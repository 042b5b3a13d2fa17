// GIF, read by giflib where that is installed.

import CFiles
import USPBase

enum GIF {
    /// A code of 12 bits can stand for a run of some thousand pixels.
    private static let mostPixelsPerByte = 1 << 13

    /// The first image, RGB (grey without a palette); around a smaller one stands its transparent
    /// colour, else the palette's first, as in Pillow.
    static func read(_ bytes: ByteView) throws(USPError) -> PixelImage {
        let source = bytes.bytes.bindMemory(to: UInt8.self).baseAddress
        var message = [CChar](repeating: 0, count: 200)
        var gif = uspi_gif()
        let status = uspi_gif_header(source, bytes.count, &gif, &message)
        guard status == 0 else { throw PixelImage.failure("GIF", message) }
        // Programs write images that reach beyond the canvas; it grows, as in Pillow.
        let width = max(Int(gif.width), Int(gif.left) + Int(gif.frame_width))
        let height = max(Int(gif.height), Int(gif.top) + Int(gif.frame_height))
        try PixelImage.expectPlausible(
            width, height, from: bytes.count, most: mostPixelsPerByte, "GIF")
        try require(
            gif.frame_width > 0 && gif.frame_height > 0 && gif.left >= 0 && gif.top >= 0, .format,
            "GIF: the first image has \(gif.frame_width) x \(gif.frame_height) pixels")
        let indices = try PixelImage.pixels(Int(gif.frame_width) * Int(gif.frame_height), "GIF") {
            uspi_gif_decode(source, bytes.count, &gif, $0, $1)
        }
        withExtendedLifetime(bytes.owner) {}
        return try colours(indices, gif, width, height)
    }

    private static func colours(
        _ indices: [UInt8], _ gif: uspi_gif, _ width: Int, _ height: Int
    ) throws(USPError) -> PixelImage {
        let hasColours = gif.colours > 0
        let channels = hasColours ? 3 : 1
        let palette = withUnsafeBytes(of: gif.palette) { Array($0) }
        let around = gif.transparent >= 0 ? Int(gif.transparent) & 0xFF : 0
        try SystemMemory.expect(width * height * channels, of: UInt8.self)
        var pixels = [UInt8](repeating: 0, count: width * height * channels)
        let (left, top) = (Int(gif.left), Int(gif.top))
        let (columns, rows) = (Int(gif.frame_width), Int(gif.frame_height))
        for y in 0..<height {
            for x in 0..<width {
                let isInside = x >= left && x < left + columns && y >= top && y < top + rows
                let index = isInside ? Int(indices[(y - top) * columns + x - left]) : around
                for channel in 0..<channels {
                    pixels[(y * width + x) * channels + channel] =
                        hasColours ? palette[3 * index + channel] : UInt8(index)
                }
            }
        }
        return try PixelImage(width: width, height: height, channels: channels, pixels: pixels)
    }
}
