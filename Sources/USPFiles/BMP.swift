// BMP. Source: Microsoft's "Bitmap Storage" (BITMAPCOREHEADER to BITMAPV5HEADER).

import USPBase

enum BMP {
    /// Runs of one colour have at most 255 pixels in two bytes.
    private static let mostPixelsPerByte = 1 << 12

    static func recognises(_ file: ByteView) -> Bool {
        guard file.starts(with: Array("BM".utf8)), let size = try? file.part(14, 4, "BMP").array
        else { return false }
        return [12, 16, 40, 52, 56, 64, 108, 124].contains(Int(size[0])) && size[1...] == [0, 0, 0]
    }

    /// Palettes become RGB, a grey one grey; alpha is dropped.
    static func read(_ file: ByteView) throws(USPError) -> PixelImage {
        let header = try BMPHeader(file)
        try PixelImage.expectPlausible(
            header.width, header.height, from: file.count, most: mostPixelsPerByte, "BMP")
        try SystemMemory.expect(header.width * header.height * 4, of: UInt8.self)
        let data = try file.part(header.start, file.count - header.start, "BMP")
        let pixels =
            header.compression == 1 || header.compression == 2
            ? try palette(try BMPRuns(header).indices(data), header)
            : header.bits <= 8
                ? try palette(try indices(data, header), header) : try colours(data, header)
        return try PixelImage(
            width: header.width, height: header.height, channels: 3, pixels: pixels)
    }

    /// Rows of a number of whole bits, each padded to four bytes.
    private static func rows(
        _ data: ByteView, _ header: BMPHeader, _ body: (_ row: Int, ByteView) -> Void
    ) throws(USPError) {
        let length = (header.width * header.bits + 31) / 32 * 4
        let needed = (header.width * header.bits + 7) / 8
        for row in 0..<header.height {
            // The last row may lack its padding.
            let line = try data.part(row * length, needed, "BMP")
            body(header.isTopDown ? row : header.height - 1 - row, line)
        }
    }

    private static func indices(
        _ data: ByteView, _ header: BMPHeader
    ) throws(USPError) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: header.width * header.height)
        let (bits, width) = (header.bits, header.width)
        try rows(data, header) { row, line in
            let bytes = line.bytes
            for x in 0..<width {
                let shift = 8 - bits - x * bits % 8
                result[row * width + x] = bytes[x * bits / 8] >> UInt8(shift) & UInt8(1 << bits - 1)
            }
        }
        return result
    }

    private static func palette(
        _ indices: [UInt8], _ header: BMPHeader
    ) throws(USPError) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: indices.count * 3)
        for (pixel, index) in indices.enumerated() {
            // Beyond the palette is black.
            guard Int(index) < header.palette.count else { continue }
            let colour = header.palette[Int(index)]
            (result[3 * pixel], result[3 * pixel + 1], result[3 * pixel + 2]) = colour
        }
        return result
    }

    /// 16, 24 or 32 bits a pixel: a mask for each colour.
    private static func colours(
        _ data: ByteView, _ header: BMPHeader
    ) throws(USPError) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: header.width * header.height * 3)
        let (size, width) = (header.bits / 8, header.width)
        let fields = header.masks.map { mask in
            (mask: mask, shift: UInt32(mask == 0 ? 0 : mask.trailingZeroBitCount))
        }
        try rows(data, header) { row, line in
            let bytes = line.bytes
            for x in 0..<width {
                var word: UInt32 = 0
                for byte in 0..<size { word |= UInt32(bytes[x * size + byte]) << UInt32(8 * byte) }
                for (channel, field) in fields.enumerated() {
                    let highest = UInt64(field.mask >> field.shift)
                    let value = UInt64((word & field.mask) >> field.shift)
                    result[(row * width + x) * 3 + channel] =
                        highest == 0 ? 0 : UInt8(value * 255 / highest)
                }
            }
        }
        return result
    }
}

/// Sizes, palette and masks.
struct BMPHeader {
    let width: Int
    let height: Int
    let bits: Int
    /// 0 none, 1 and 2 runs of 8 and 4 bits, 3 masks.
    let compression: Int
    let isTopDown: Bool
    /// Where the pixels start.
    let start: Int
    private(set) var palette: [(UInt8, UInt8, UInt8)] = []
    /// Of red, green and blue.
    private(set) var masks: [UInt32] = [0xFF_0000, 0xFF00, 0xFF]

    init(_ file: ByteView) throws(USPError) {
        var reader = ByteReader(file, at: 10, "BMP")
        start = try reader.size(UInt32.self)
        let size = try reader.size(UInt32.self)
        let isOld = size == 12
        width = isOld ? try reader.size(UInt16.self) : Int(try reader.integer(Int32.self))
        let rows = isOld ? try reader.size(UInt16.self) : Int(try reader.integer(Int32.self))
        (height, isTopDown) = (abs(rows), rows < 0)
        try reader.skip(2)
        bits = try reader.size(UInt16.self)
        compression = isOld || size < 20 ? 0 : try reader.size(UInt32.self)
        var colours = 0
        if size >= 36 {
            try reader.skip(12)
            colours = try reader.size(UInt32.self)
        }
        let kinds: [Int: [Int]] = [0: [1, 4, 8, 16, 24, 32], 1: [8], 2: [4], 3: [16, 32]]
        try require(
            kinds[compression]?.contains(bits) == true && width > 0 && height > 0
                && start <= file.count, .format,
            "BMP: \(width) x \(height) pixels of \(bits) bits, compression \(compression): not read"
        )
        if bits == 16 { masks = [0x7C00, 0x3E0, 0x1F] }
        if compression == 3 {
            var fields = ByteReader(file, at: 14 + 40, "BMP masks")
            for channel in 0..<3 { masks[channel] = try fields.integer(UInt32.self) }
        }
        if bits <= 8 {
            try readPalette(file, at: 14 + size, isOld ? 3 : 4, colours)
        }
    }

    private mutating func readPalette(
        _ file: ByteView, at offset: Int, _ entry: Int, _ colours: Int
    ) throws(USPError) {
        let count = min(colours == 0 ? 1 << bits : colours, 256, max(0, start - offset) / entry)
        var reader = ByteReader(file, at: offset, "BMP palette")
        for _ in 0..<count {
            let bytes = try reader.bytes(entry).array
            palette.append((bytes[2], bytes[1], bytes[0]))
        }
    }
}

/// Run lengths: pairs of a count and an index; after 0 an end of row (0), of image (1), a jump (2)
/// or so many plain indices.
struct BMPRuns {
    private let header: BMPHeader

    init(_ header: BMPHeader) { self.header = header }

    func indices(_ data: ByteView) throws(USPError) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: header.width * header.height)
        var reader = ByteReader(data, "BMP")
        var (x, y) = (0, 0)
        func put(_ index: UInt8) {
            guard x < header.width, y < header.height else { return }
            result[(header.isTopDown ? y : header.height - 1 - y) * header.width + x] = index
            x += 1
        }
        func nibble(_ byte: UInt8, _ position: Int) -> UInt8 {
            header.bits == 8 ? byte : position % 2 == 0 ? byte >> 4 : byte & 15
        }
        while y < header.height {
            let (count, value) = (Int(try reader.byte()), try reader.byte())
            if count > 0 {
                for position in 0..<count { put(nibble(value, position)) }
                continue
            }
            switch value {
            case 0: (x, y) = (0, y + 1)
            case 1: return result
            case 2:
                x += Int(try reader.byte())
                y += Int(try reader.byte())
            default:
                let length = header.bits == 8 ? Int(value) : (Int(value) + 1) / 2
                let plain = try reader.bytes(length).array
                for position in 0..<Int(value) {
                    put(nibble(plain[header.bits == 8 ? position : position / 2], position))
                }
                if length % 2 == 1 { try reader.skip(1) }
            }
        }
        return result
    }
}
