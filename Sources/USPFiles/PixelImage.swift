// An image as its file holds it: 8-bit samples, rows from the top.

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

    /// Opens an image file; its content decides the format.
    ///
    /// The rule of orientations at every door: images are turned upright by the note of their
    /// camera (Exif, else XMP), as Pillow's `ImageOps.exif_transpose` does; `asStored` gives what
    /// `PIL.Image.open` gives, which is what the originals were trained on. (TIFF comes upright
    /// either way, as from Pillow.)
    /// - Throws: `.io`, `.format`, `.unsupported` with the path in front
    package static func open(
        _ path: String, asStored: Bool = false
    ) throws(USPError) -> PixelImage {
        let file = try ByteView.file(path)
        return try locating(path) { () throws(USPError) in
            try decode(file, asStored: asStored)
        }
    }

    /// The image in the bytes of a file, as `open`.
    package static func decode(
        _ bytes: ByteView, asStored: Bool = false
    ) throws(USPError) -> PixelImage {
        guard let format = ImageFormat.of(bytes) else {
            throw USPError(.format, ImageFormat.description(of: bytes))
        }
        try format.expectReadable()
        let (image, orientation) = try read(bytes, format)
        try bytes.expectUnchanged()
        return asStored && format != .tiff ? image : try image.turned(orientation)
    }

    private static func read(
        _ bytes: ByteView, _ format: ImageFormat
    ) throws(USPError) -> (PixelImage, orientation: Int) {
        switch format {
        case .png:
            let (image, orientation, _) = try PNG.read(bytes)
            return (image, orientation)
        case .jpeg: return (try JPEG.read(bytes), Exif.orientation(jpeg: bytes))
        case .webp: return try WebP.read(bytes)
        case .tiff: return try TIFF.read(bytes)
        case .gif: return (try GIF.read(bytes), 1)
        case .bmp: return (try BMP.read(bytes), 1)
        case .pnm: return (try PNM.read(bytes), 1)
        }
    }

    /// Pixels that C writes: `body` fills the buffer and says 0, or -1 with a reason in the
    /// message.
    ///
    /// - Throws: `.memory`; `.format` with the reason behind `what`
    static func pixels(
        _ count: Int, _ what: String,
        _ body: (UnsafeMutablePointer<UInt8>?, UnsafeMutablePointer<CChar>) -> Int32
    ) throws(USPError) -> [UInt8] {
        try SystemMemory.expect(count, of: UInt8.self)
        var message = [CChar](repeating: 0, count: 200)
        var status: Int32 = 0
        let result = [UInt8](unsafeUninitializedCapacity: count) { target, filled in
            // What a library leaves out is black, never somebody's memory.
            target.initialize(repeating: 0)
            status = message.withUnsafeMutableBufferPointer { text in
                guard let text = text.baseAddress else { return -1 }
                return body(target.baseAddress, text)
            }
            filled = count
        }
        guard status == 0 else { throw failure(what, message) }
        return result
    }

    static func failure(_ what: String, _ message: [CChar]) -> USPError {
        let text = message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return USPError(.format, "\(what): \(String(decoding: text, as: UTF8.self))")
    }

    /// Throws unless a file of this length can hold so many pixels.
    ///
    /// - most: pixels that a byte can stand for
    /// - always: pixels that any file may have, of formats where a few bytes can paint everything
    static func expectPlausible(
        _ width: Int, _ height: Int, from count: Int, most: Int, always: Int = 0, _ what: String
    ) throws(USPError) {
        let pixels = try CheckedMath.multiply(width, height, what)
        try require(
            width > 0 && height > 0 && (pixels <= always || pixels / most <= count), .format,
            "\(what): \(count) bytes cannot hold \(width) x \(height) pixels")
    }
}
