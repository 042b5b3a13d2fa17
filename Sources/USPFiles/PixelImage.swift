// An image as its file holds it: 8-bit samples, rows from the top.

import CFiles
import USPBase

/// 8-bit pixels, `[H, W, C]` row-major.
package struct PixelImage: Sendable, Equatable {
    package let width: Int
    package let height: Int
    /// 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.
    package let channels: Int
    package let pixels: [UInt8]

    /// - Throws: `.shape` if the pixels are not as many as the sizes say
    package init(width: Int, height: Int, channels: Int, pixels: [UInt8]) throws(USPError) {
        let shape = try Shape.checked([height, width, channels], dtype: .uint8, "image")
        try require(
            shape.count == pixels.count && (1...4).contains(channels) && shape.count > 0, .shape,
            "image: \(pixels.count) samples for \(width) x \(height) x \(channels)")
        self.width = width
        self.height = height
        self.channels = channels
        self.pixels = pixels
    }

    /// Three channels: grey is repeated, alpha is dropped.
    package func rgb() throws(USPError) -> PixelImage {
        guard channels != 3 else { return self }
        let isGrey = channels < 3
        let step = channels
        try SystemMemory.expect(width * height * 3, of: UInt8.self)
        let result = [UInt8](unsafeUninitializedCapacity: width * height * 3) { target, count in
            for pixel in 0..<width * height {
                for channel in 0..<3 {
                    target[pixel * 3 + channel] = pixels[pixel * step + (isGrey ? 0 : channel)]
                }
            }
            count = width * height * 3
        }
        return try PixelImage(width: width, height: height, channels: 3, pixels: result)
    }

    /// Opens a PNG or JPEG file; its content decides which.
    ///
    /// - asStored: leaves it as the camera stored it, however that was held
    /// - Throws: `.io`, `.format` with the path in front
    package static func open(
        _ path: String, asStored: Bool = false
    ) throws(USPError) -> PixelImage {
        let file = try MappedFile(path)
        return try locating(path) { () throws(USPError) in
            try decode(file.view, asStored: asStored)
        }
    }

    /// The image in the bytes of a PNG or JPEG file, upright by its Exif data.
    package static func decode(
        _ bytes: ByteView, asStored: Bool = false
    ) throws(USPError) -> PixelImage {
        if PNG.recognises(bytes) {
            let (image, orientation, _) = try PNG.read(bytes)
            return asStored ? image : try image.turned(orientation)
        }
        if bytes.starts(with: [0xFF, 0xD8, 0xFF]) {
            let image = try JPEG.read(bytes)
            return asStored ? image : try image.turned(Exif.orientation(jpeg: bytes))
        }
        try require(bytes.count > 0, .format, "an empty file, expected a PNG or JPEG image")
        throw USPError(.format, "neither a PNG nor a JPEG image")
    }
}

/// JPEG, read by libjpeg.
package enum JPEG {
    /// A JPEG spends at least a bit on each block of 64 pixels and a scan's worth of headers.
    private static let mostPixelsPerByte = 1024

    /// Grey stays grey, everything else becomes RGB.
    package static func read(_ bytes: ByteView) throws(USPError) -> PixelImage {
        let source = bytes.bytes.bindMemory(to: UInt8.self).baseAddress
        var message = [CChar](repeating: 0, count: 200)
        var width: Int32 = 0
        var height: Int32 = 0
        var components: Int32 = 0
        var status = uspi_jpeg_header(
            source, bytes.count, &width, &height, &components, &message)
        guard status == 0 else { throw failure(message) }
        let pixels = Int(width) * Int(height)
        try require(
            pixels / mostPixelsPerByte <= bytes.count, .format,
            "JPEG: \(bytes.count) bytes cannot hold \(width) x \(height) pixels")
        let channels = components == 1 ? 1 : 3
        try SystemMemory.expect(pixels * channels, of: UInt8.self)
        let result = [UInt8](unsafeUninitializedCapacity: pixels * channels) { target, count in
            status = uspi_jpeg_decode(
                source, bytes.count, target.baseAddress, Int32(channels), &message)
            count = status == 0 ? pixels * channels : 0
        }
        withExtendedLifetime(bytes.owner) {}
        guard status == 0 else { throw failure(message) }
        return try PixelImage(
            width: Int(width), height: Int(height), channels: channels, pixels: result)
    }

    private static func failure(_ message: [CChar]) -> USPError {
        let text = message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return USPError(.format, "JPEG: \(String(decoding: text, as: UTF8.self))")
    }
}
