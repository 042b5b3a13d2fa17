// Label maps as PNG: indices without their palette's colours, and back.

import USPBase

extension PNG {
    /// Whether the file starts as a PNG does.
    package static func isPNG(_ file: ByteView) -> Bool { recognises(file) }

    /// The numbers that the pixels of a grey or palette image are, one channel: what colours a
    /// palette gives them has no part in it, and 1, 2 and 4 bits stay as they are.
    ///
    /// - Throws: `.format` for a damaged file; `.unsupported` for colours and 16 bits
    package static func indices(_ file: ByteView) throws(USPError) -> PixelImage {
        let parts = try parts(of: file)
        guard let header = parts.header else { throw USPError(.format, "PNG: no header") }
        try require(
            (header.colour == 0 || header.colour == 3) && header.depth <= 8, .unsupported,
            "PNG: \(header.depth) bits of \(header.colourName), expected indices of classes: 8 bits, "
                + "grey or of a palette")
        return try PNGDecoder(header, palette: [], transparency: [], keepsIndices: true)
            .image(try joined(parts.data))
    }

    /// Writes a label map (one channel) with a palette of RGB bytes, atomically.
    ///
    /// - Throws: `.io`
    package static func writeIndices(
        _ path: String, _ labels: PixelImage, palette: [UInt8]
    ) throws(USPError) {
        try require(
            labels.channels == 1 && palette.count % 3 == 0 && (3...768).contains(palette.count),
            .internal, "PNG: \(labels.channels) channels, a palette of \(palette.count) bytes")
        let file = try AtomicFile(path)
        try file.write(try encode(labels, palette: palette))
        try file.commit()
    }
}
