// The chunks of a PNG file and what they say.

import USPBase

/// A chunk, its checksum checked where one counts.
struct PNGChunk {
    let name: String
    let content: ByteView
    /// Whether the file ends here, or what is left cannot be read.
    let isLast: Bool

    /// - mayEnd: whether pixels have been read, so that the file may end or be damaged from here on
    /// - Throws: `.format`
    init(_ reader: inout ByteReader, mayEnd: Bool) throws(USPError) {
        let end = reader.view.count
        guard reader.remaining >= 8 else {
            try require(
                mayEnd, .format,
                "PNG: ends at byte \(end), expected another chunk at byte \(reader.offset): there "
                    + "were no pixels")
            self.init("", try reader.bytes(0), isLast: true)
            return
        }
        let length = Int(UInt32(bigEndian: try reader.integer(UInt32.self)))
        let start = reader.offset
        let name = try reader.bytes(4).text
        guard reader.remaining >= length + 4 else {
            // Of pixels that are cut short all rows may be there; the decoder sees to that.
            try require(
                mayEnd || name == "IDAT", .format,
                "PNG: ends at byte \(end), expected the chunk \(name) of byte \(start - 4) to "
                    + "reach to byte \(start + 8 + length)")
            self.init(name, try reader.bytes(min(length, reader.remaining)), isLast: true)
            return
        }
        let content = try reader.bytes(length)
        let covered = try reader.view.part(start, 4 + length, "PNG")
        let checksum = UInt32(bigEndian: try reader.integer(UInt32.self))
        let isIntact = Inflate.checksum(covered.bytes) == checksum
        try require(
            isIntact || mayEnd && name != "IDAT", .format,
            "PNG: the chunk \(name) at byte \(start) is damaged (checksum)")
        self.init(isIntact || name == "IEND" ? name : "", content, isLast: name == "IEND")
    }

    private init(_ name: String, _ content: ByteView, isLast: Bool) {
        self.name = name
        self.content = content
        self.isLast = isLast
    }
}

/// What the chunks of a file say.
struct PNGParts {
    private(set) var header: PNGHeader?
    private(set) var palette: [UInt8] = []
    private(set) var transparency: [UInt8] = []
    private(set) var data: [ByteView] = []
    private(set) var exif: ByteView?
    private(set) var xmp: ByteView?
    private(set) var texts: [(key: String, value: String)] = []

    var hasPixels: Bool { !data.isEmpty }

    /// False after the last chunk.
    mutating func add(_ chunk: PNGChunk) throws(USPError) -> Bool {
        switch chunk.name {
        case "IHDR": header = try PNGHeader(chunk.content)
        case "PLTE": palette = Array(chunk.content.bytes)
        case "tRNS": transparency = Array(chunk.content.bytes)
        case "IDAT": data.append(chunk.content)
        case "eXIf": exif = chunk.content
        case "iTXt": try addInternational(chunk.content)
        case "tEXt": texts.append(try text(chunk.content))
        case "IEND" where data.isEmpty: throw USPError(.format, "PNG: no pixels")
        default: break
        }
        return !chunk.isLast
    }

    /// Keyword, zero, text; both in Latin-1.
    private func text(_ content: ByteView) throws(USPError) -> (key: String, value: String) {
        try SystemMemory.expect(3 * content.count, of: Unicode.Scalar.self)
        let parts = content.bytes.split(
            separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
        let texts = parts.map { part in
            String(String.UnicodeScalarView(part.map { Unicode.Scalar($0) }))
        }
        return (texts[0], texts.count > 1 ? texts[1] : "")
    }

    /// Adobe's XMP stands in such a text, plain by its specification.
    private mutating func addInternational(_ content: ByteView) throws(USPError) {
        let name = Array("XML:com.adobe.xmp".utf8) + [0, 0]
        if content.starts(with: name) {
            xmp = try content.part(name.count, content.count - name.count, "PNG")
        }
    }
}

/// The chunk IHDR.
struct PNGHeader {
    let width: Int
    let height: Int
    let depth: Int
    let colour: UInt8
    let isInterlaced: Bool

    /// In words.
    var colourName: String {
        [0: "grey", 2: "RGB", 3: "a palette", 4: "grey and alpha", 6: "RGB and alpha"][colour]
            ?? "colour type \(colour)"
    }

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
