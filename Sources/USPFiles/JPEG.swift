// JPEG, read by libjpeg.

import CFiles
import USPBase

package enum JPEG {
    /// A JPEG spends at least a bit on each block of 64 pixels and a scan's worth of headers.
    private static let mostPixelsPerByte = 1024

    /// Grey stays grey, everything else becomes RGB; CMYK as Pillow converts it.
    package static func read(_ bytes: ByteView) throws(USPError) -> PixelImage {
        let source = bytes.bytes.bindMemory(to: UInt8.self).baseAddress
        var message = [CChar](repeating: 0, count: 200)
        var (width, height, components) = (Int32(0), Int32(0), Int32(0))
        let status = uspi_jpeg_header(
            source, bytes.count, &width, &height, &components, &message)
        guard status == 0 else { throw PixelImage.failure("JPEG", message) }
        try PixelImage.expectPlausible(
            Int(width), Int(height), from: bytes.count, most: mostPixelsPerByte, "JPEG")
        let channels = components == 1 ? 1 : 3
        let pixels = try PixelImage.pixels(Int(width) * Int(height) * channels, "JPEG") {
            uspi_jpeg_decode(source, bytes.count, $0, width, height, Int32(channels), $1)
        }
        withExtendedLifetime(bytes.owner) {}
        return try PixelImage(
            width: Int(width), height: Int(height), channels: channels, pixels: pixels)
    }
}
