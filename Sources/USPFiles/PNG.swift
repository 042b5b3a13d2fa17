// PNG: signature, chunks and text. Source: the PNG specification, third edition (W3C, 2023).

import USPBase

package enum PNG {
    static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]

    static func recognises(_ file: ByteView) -> Bool { file.starts(with: signature) }

    /// The image, and its `tEXt` chunks.
    ///
    /// Palettes become RGB, 1, 2 and 4 bits become 8, 16 bits keep their upper 8; colour spaces are
    /// not converted. Checksums of chunks are checked.
    ///
    /// - orientation: as `Exif` numbers them; the image is as it is stored
    /// - Throws: `.format`
    package static func read(
        _ file: ByteView
    ) throws(USPError) -> (
        image: PixelImage, orientation: Int, texts: [(key: String, value: String)]
    ) {
        try require(recognises(file), .format, "PNG: no signature")
        var reader = ByteReader(file, at: signature.count, "PNG")
        var header: PNGHeader?
        var palette: [UInt8] = []
        var transparency: [UInt8] = []
        var data: [ByteView] = []
        var orientation = 1
        var texts: [(key: String, value: String)] = []
        while true {
            let chunk = try Chunk(&reader)
            switch chunk.name {
            case "IHDR": header = try PNGHeader(chunk.content)
            case "PLTE": palette = Array(chunk.content.bytes)
            case "tRNS": transparency = Array(chunk.content.bytes)
            case "IDAT": data.append(chunk.content)
            case "eXIf": orientation = Exif.orientation(tiff: chunk.content)
            case "tEXt": texts.append(try text(chunk.content))
            case "IEND":
                guard let header else { throw USPError(.format, "PNG: no header") }
                let decoder = PNGDecoder(header, palette: palette, transparency: transparency)
                return (try decoder.image(try joined(data)), orientation, texts)
            default: break
            }
        }
    }

    private static func joined(_ parts: [ByteView]) throws(USPError) -> ByteView {
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

    /// Whether the file is a PNG that says it is made of several images, such as a grid; a file that
    /// cannot be read is not.
    package static func isComposed(_ path: String) -> Bool {
        guard let file = try? MappedFile(path), recognises(file.view) else { return false }
        var reader = ByteReader(file.view, at: signature.count, "PNG")
        // Ours has it directly behind the header.
        for _ in 0..<2 {
            guard let chunk = try? Chunk(&reader) else { return false }
            if chunk.name == "tEXt", let text = try? text(chunk.content) {
                return text.key == composedKey
            }
        }
        return false
    }

    /// Keyword, zero, text; both in Latin-1.
    private static func text(
        _ content: ByteView
    ) throws(USPError) -> (key: String, value: String) {
        try SystemMemory.expect(3 * content.count, of: Unicode.Scalar.self)
        let parts = content.bytes.split(
            separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
        let texts = parts.map { part in
            String(String.UnicodeScalarView(part.map { Unicode.Scalar($0) }))
        }
        return (texts[0], texts.count > 1 ? texts[1] : "")
    }

    private struct Chunk {
        let name: String
        let content: ByteView

        init(_ reader: inout ByteReader) throws(USPError) {
            let end = reader.view.count
            try require(
                reader.remaining >= 8, .format,
                "PNG: ends at byte \(end), expected another chunk at byte \(reader.offset): there "
                    + "was no IEND")
            let length = Int(UInt32(bigEndian: try reader.integer(UInt32.self)))
            let start = reader.offset
            name = try reader.bytes(4).text
            try require(
                reader.remaining >= length + 4, .format,
                "PNG: ends at byte \(end), expected the chunk \(name) of byte \(start - 4) to "
                    + "reach to byte \(start + 8 + length)")
            content = try reader.bytes(length)
            let covered = try reader.view.part(start, 4 + length, "PNG")
            let checksum = UInt32(bigEndian: try reader.integer(UInt32.self))
            try require(
                Inflate.checksum(covered.bytes) == checksum, .format,
                "PNG: the chunk \(name) at byte \(start) is damaged (checksum)")
        }
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
    package static func encode(
        _ image: PixelImage, texts: [(key: String, value: String)] = []
    ) throws(USPError) -> [UInt8] {
        let colour: UInt8 = [0, 4, 2, 6][image.channels - 1]
        var result = signature
        let sizes = bigEndian(UInt32(image.width)) + bigEndian(UInt32(image.height))
        append("IHDR", sizes + [8, colour, 0, 0, 0], to: &result)
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

/// The chunk IHDR.
struct PNGHeader {
    let width: Int
    let height: Int
    let depth: Int
    let colour: UInt8
    let isInterlaced: Bool

    init(_ content: ByteView) throws(USPError) {
        try require(
            content.count == 13, .format,
            "PNG: the chunk IHDR has \(content.count) bytes, expected 13")
        var reader = ByteReader(content, "PNG header")
        width = Int(UInt32(bigEndian: try reader.integer(UInt32.self)))
        height = Int(UInt32(bigEndian: try reader.integer(UInt32.self)))
        depth = Int(try reader.byte())
        colour = try reader.byte()
        let compression = try reader.byte()
        let filter = try reader.byte()
        let interlace = try reader.byte()
        isInterlaced = interlace == 1
        let depths: [UInt8: [Int]] = [
            0: [1, 2, 4, 8, 16], 2: [8, 16], 3: [1, 2, 4, 8], 4: [8, 16], 6: [8, 16],
        ]
        try require(
            depths[colour]?.contains(depth) == true && compression == 0 && filter == 0
                && interlace <= 1 && width > 0 && height > 0 && width <= 1 << 30
                && height <= 1 << 30, .format,
            "PNG: impossible header (\(width) x \(height), \(depth) bits, colour type \(colour))")
    }

    /// Samples to a pixel in the file.
    var samples: Int {
        switch colour {
        case 2: 3
        case 4: 2
        case 6: 4
        default: 1
        }
    }

    var bitsPerPixel: Int { samples * depth }

    /// Bytes of a filtered row of so many pixels, its filter type included.
    func rowBytes(_ width: Int) -> Int { 1 + (width * bitsPerPixel + 7) / 8 }
}
