// WebP, read by libwebp where that is installed. Source: RFC 9649, for the chunks of a file.

import CFiles
import USPBase

enum WebP {
    /// What one byte of lossless data can stand for is not bounded; this is beyond real pictures.
    private static let mostPixelsPerByte = 1 << 12

    /// RGB; alpha is dropped. Of an animation the first image, on black where it does not reach.
    static func read(_ bytes: ByteView) throws(USPError) -> (PixelImage, orientation: Int) {
        let chunks = try chunks(bytes.part(12, bytes.count - 12, "WebP"))
        let orientation = Exif.orientation(
            tiff: chunks.first { $0.name == "EXIF" }.flatMap { withoutName($0.content) },
            xmp: chunks.first { $0.name == "XMP " }?.content)
        guard let frame = chunks.first(where: { $0.name == "ANMF" }) else {
            return (try still(bytes), orientation)
        }
        let canvas = try header(bytes)
        return (try animated(frame.content, canvas.width, canvas.height), orientation)
    }

    private static func withoutName(_ exif: ByteView) -> ByteView? {
        let name: [UInt8] = Array("Exif".utf8) + [0, 0]
        guard exif.starts(with: name) else { return exif }
        return try? exif.part(name.count, exif.count - name.count, "Exif")
    }

    private static func header(_ bytes: ByteView) throws(USPError) -> (width: Int, height: Int) {
        let source = bytes.bytes.bindMemory(to: UInt8.self).baseAddress
        var message = [CChar](repeating: 0, count: 200)
        var (width, height) = (Int32(0), Int32(0))
        let status = uspi_webp_header(source, bytes.count, &width, &height, &message)
        withExtendedLifetime(bytes.owner) {}
        guard status == 0 else { throw PixelImage.failure("WebP", message) }
        try PixelImage.expectPlausible(
            Int(width), Int(height), from: bytes.count, most: mostPixelsPerByte,
            always: 1 << 24, "WebP")
        return (Int(width), Int(height))
    }

    private static func still(_ bytes: ByteView) throws(USPError) -> PixelImage {
        let (width, height) = try header(bytes)
        let source = bytes.bytes.bindMemory(to: UInt8.self).baseAddress
        let pixels = try PixelImage.pixels(width * height * 3, "WebP") {
            uspi_webp_decode(source, bytes.count, $0, Int32(width), Int32(height), $1)
        }
        withExtendedLifetime(bytes.owner) {}
        return try PixelImage(width: width, height: height, channels: 3, pixels: pixels)
    }

    /// The chunks of a file or of a frame; what is cut short ends them.
    private static func chunks(
        _ bytes: ByteView
    ) throws(USPError) -> [(name: String, content: ByteView)] {
        var result: [(name: String, content: ByteView)] = []
        var reader = ByteReader(bytes, "WebP")
        while reader.remaining >= 8, result.count < 4096 {
            let name = try reader.bytes(4).text
            let length = try reader.size(UInt32.self)
            guard length <= reader.remaining else { break }
            result.append((name, try reader.bytes(length)))
            if length % 2 == 1 && reader.remaining > 0 { try reader.skip(1) }
        }
        return result
    }

    /// The frame's image, which stands in chunks of its own behind 16 bytes, on the canvas.
    private static func animated(
        _ frame: ByteView, _ width: Int, _ height: Int
    ) throws(USPError) -> PixelImage {
        func number(_ at: Int) throws(USPError) -> Int {
            let part = try frame.part(at, 3, "WebP").array
            return Int(part[0]) | Int(part[1]) << 8 | Int(part[2]) << 16
        }
        let (left, top) = (try number(0) * 2, try number(3) * 2)
        let image = try still(file(of: try frame.part(16, frame.count - 16, "WebP")))
        try require(
            left + image.width <= width && top + image.height <= height, .format,
            "WebP: the first image reaches beyond the canvas of \(width) x \(height)")
        return try PixelImage.placing(image, left: left, top: top, width: width, height: height)
    }

    /// A file of its own from the chunks of a frame.
    private static func file(of content: ByteView) throws(USPError) -> ByteView {
        let hasAlpha = content.starts(with: Array("ALPH".utf8))
        var head: [UInt8] = Array("WEBP".utf8)
        if hasAlpha {
            // Alpha stands in extended files only, whose header has the image's sizes.
            guard let data = try chunks(content).first(where: { $0.name == "VP8 " })?.content else {
                throw USPError(.format, "WebP: alpha without an image")
            }
            let sizes = try data.part(6, 4, "WebP").array
            let width = (Int(sizes[0]) | Int(sizes[1]) << 8) & 0x3FFF
            let height = (Int(sizes[2]) | Int(sizes[3]) << 8) & 0x3FFF
            head += Array("VP8X".utf8) + littleEndian(UInt32(10)) + [0x10, 0, 0, 0]
            head += littleEndian(UInt32(max(width, 1) - 1))[..<3]
            head += littleEndian(UInt32(max(height, 1) - 1))[..<3]
        }
        let size = head.count + content.count
        let prefix = Array("RIFF".utf8) + littleEndian(UInt32(truncatingIfNeeded: size)) + head
        let buffer = try ByteBuffer(count: prefix.count + content.count)
        buffer.bytes.copyBytes(from: prefix)
        if content.count > 0 {
            (buffer.base + prefix.count).copyMemory(from: content.base, byteCount: content.count)
        }
        withExtendedLifetime(content.owner) {}
        return buffer.view
    }
}

extension PixelImage {
    /// The image somewhere on a black canvas that it fits on.
    static func placing(
        _ image: PixelImage, left: Int, top: Int, width: Int, height: Int
    ) throws(USPError) -> PixelImage {
        if image.width == width && image.height == height { return image }
        try SystemMemory.expect(width * height * image.channels, of: UInt8.self)
        var pixels = [UInt8](repeating: 0, count: width * height * image.channels)
        let line = image.width * image.channels
        for y in 0..<image.height {
            let start = ((top + y) * width + left) * image.channels
            pixels.replaceSubrange(
                start..<start + line, with: image.pixels[y * line..<(y + 1) * line])
        }
        return try PixelImage(
            width: width, height: height, channels: image.channels, pixels: pixels)
    }
}
