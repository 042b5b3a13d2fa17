// PNG: signature, chunks and text. Source: the PNG specification, third edition (W3C, 2023).

import USPBase

package enum PNG {
    static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]

    static func recognises(_ file: ByteView) -> Bool { file.starts(with: signature) }

    /// The image, and its `tEXt` chunks.
    ///
    /// Palettes become RGB, 1, 2 and 4 bits become 8, 16 bits keep their upper 8; colour spaces are
    /// not converted. Checksums of chunks are checked up to the last row: as in Pillow, what
    /// follows the pixels may be damaged or missing.
    ///
    /// - orientation: as `Exif` numbers them; the image is as it is stored
    /// - Throws: `.format`
    package static func read(
        _ file: ByteView
    ) throws(USPError) -> (
        image: PixelImage, orientation: Int, texts: [(key: String, value: String)]
    ) {
        let parts = try parts(of: file)
        guard let header = parts.header else { throw USPError(.format, "PNG: no header") }
        let decoder = PNGDecoder(
            header, palette: parts.palette, transparency: parts.transparency)
        let orientation = Exif.orientation(tiff: parts.exif, xmp: parts.xmp)
        return (try decoder.image(try joined(parts.data)), orientation, parts.texts)
    }

    /// All chunks.
    static func parts(of file: ByteView) throws(USPError) -> PNGParts {
        try require(recognises(file), .format, "PNG: no signature")
        var reader = ByteReader(file, at: signature.count, "PNG")
        var parts = PNGParts()
        while try parts.add(try PNGChunk(&reader, mayEnd: parts.hasPixels)) {}
        return parts
    }

    static func joined(_ parts: [ByteView]) throws(USPError) -> ByteView {
        if parts.count == 1 { return parts[0] }
        let buffer = try ByteBuffer(count: parts.reduce(0) { $0 + $1.count })
        var at = 0
        for part in parts where part.count > 0 {
            (buffer.base + at).copyMemory(from: part.base, byteCount: part.count)
            at += part.count
        }
        return buffer.view
    }

    /// The keyword of the text by which a picture made of several images is known.
    package static let composedKey = "usp.composed"

    /// Whether the file is a PNG that says it is made of several images, such as a grid; a file
    /// that cannot be read is not.
    package static func isComposed(_ path: String) -> Bool {
        (try? ByteView.file(path)).map(isComposed) ?? false
    }

    /// The same of the bytes of a file.
    package static func isComposed(_ file: ByteView) -> Bool {
        guard recognises(file) else { return false }
        var reader = ByteReader(file, at: signature.count, "PNG")
        var parts = PNGParts()
        // Ours has it directly behind the header.
        for _ in 0..<2 where parts.texts.isEmpty {
            guard let chunk = try? PNGChunk(&reader, mayEnd: false),
                (try? parts.add(chunk)) == true
            else { return false }
        }
        return parts.texts.first?.key == composedKey
    }

    /// Writes an image with texts (Latin-1) beside it, atomically.
    ///
    /// - Throws: `.io`
    package static func write(
        _ path: String, _ image: PixelImage, texts: [(key: String, value: String)] = []
    ) throws(USPError) {
        let file = try AtomicFile(path)
        try file.write(try encode(image, texts: texts))
        try file.commit()
    }

    /// The bytes of a PNG file.
    ///
    /// - palette: RGB of each value of an image of one channel; empty: it is grey
    package static func encode(
        _ image: PixelImage, texts: [(key: String, value: String)] = [], palette: [UInt8] = []
    ) throws(USPError) -> [UInt8] {
        let colour: UInt8 = palette.isEmpty ? [0, 4, 2, 6][image.channels - 1] : 3
        var result = signature
        let sizes = bigEndian(UInt32(image.width)) + bigEndian(UInt32(image.height))
        append("IHDR", sizes + [8, colour, 0, 0, 0], to: &result)
        if !palette.isEmpty { append("PLTE", palette, to: &result) }
        for text in texts {
            let latin = { (text: String) in
                text.unicodeScalars.map { UInt8(exactly: $0.value) ?? 0x3F }
            }
            append("tEXt", latin(text.key) + [0] + latin(text.value), to: &result)
        }
        try SystemMemory.expect(image.pixels.count + image.height, of: UInt8.self)
        let filtered = PNGFilter.encode(image)
        let compressed = try withRawBytes(of: filtered) { (raw) throws(USPError) in
            try Inflate.compress(raw, level: 6)
        }
        append("IDAT", compressed, to: &result)
        append("IEND", [], to: &result)
        return result
    }

    private static func append(_ name: String, _ content: [UInt8], to result: inout [UInt8]) {
        let covered = Array(name.utf8) + content
        result += bigEndian(UInt32(content.count)) + covered
        result += bigEndian(covered.withUnsafeBytes { Inflate.checksum($0) })
    }

    private static func bigEndian(_ value: UInt32) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }
}
