// Images of every kind against their pixels, writing against reading, and IDX files.

import Testing
import USPBase
import USPFiles

@Test(
    arguments: [
        "grey.png", "grey_alpha.png", "rgb.png", "rgba.png", "palette.png", "rgb_16.png",
        "grey_1.png", "grey_2.png", "grey_4.png", "interlaced_1x1.png", "interlaced_2x3.png",
        "interlaced_12x17.png", "jpeg_420.jpg", "jpeg_444.jpg", "jpeg_progressive.jpg",
        "jpeg_grey.jpg", "jpeg_cmyk.jpg",
    ])
func goldenImage(_ name: String) throws {
    let stem = "\(goldenFolder)/images/\(name.dropLast(4))"
    let image = try PixelImage.open(stem + name.suffix(4))
    let expected = try EntryContent(try Archive.open("\(stem).npy").entry("array"))
    #expect(expected.shape == [image.height, image.width, image.channels])
    let worst = zip(image.pixels, expected.bytes).map { abs(Int($0) - Int($1)) }.max() ?? 0
    // Decoders may round a CMYK product differently; everything else is exact.
    #expect(worst <= (name == "jpeg_cmyk.jpg" ? 1 : 0))
    #expect(try image.rgb().channels == 3)
}

@Test(arguments: 1...4)
func pngRoundTrip(_ channels: Int) throws {
    var stream = RandomStream(RandomKey(seed: 3).stream(channels))
    let pixels = (0..<37 * 23 * channels).map {
        UInt8(truncatingIfNeeded: $0 / 3 + stream.below(9))
    }
    let image = try PixelImage(width: 37, height: 23, channels: channels, pixels: pixels)
    let scratch = ScratchFolder()
    try PNG.write(
        scratch.file("a"), image, texts: [("Comment", "caf\u{e9} seed 7"), ("Title", "")])
    #expect(try PixelImage.open(scratch.file("a")) == image)
    let texts = try PNG.read(try ByteView.file(scratch.file("a"))).texts
    #expect(texts.map(\.key) == ["Comment", "Title"] && texts[0].value == "caf\u{e9} seed 7")
}

/// An 8-bit PNG of one row, its data in one stored block.
private func row(_ colour: UInt8, _ pixels: [UInt8], _ chunks: [(String, [UInt8])]) -> [UInt8] {
    func big(_ value: Int) -> [UInt8] { littleEndianBytes(UInt32(value)).reversed() }
    func chunk(_ type: String, _ data: [UInt8]) -> [UInt8] {
        let body = Array(type.utf8) + data
        return big(data.count) + body + littleEndianBytes(checksum(body)).reversed()
    }
    let line = [0] + pixels
    let length = littleEndianBytes(UInt32(line.count))[..<2]
    let (a, b) = line.reduce((1, 0)) { (($0.0 + Int($1)) % 65521, ($0.1 + $0.0 + Int($1)) % 65521) }
    let data = [0x78, 1, 1] + length + length.map { ~$0 } + line + big(b << 16 | a)
    let width = pixels.count / (colour == 2 ? 3 : 1)
    return [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
        + chunk("IHDR", big(width) + big(1) + [8, colour, 0, 0, 0])
        + chunks.flatMap { chunk($0.0, $0.1) } + chunk("IDAT", data) + chunk("IEND", [])
}

/// tRNS: one grey or colour that is transparent, or the alpha of a palette's first colours.
@Test func transparentColours() throws {
    func decoded(_ bytes: [UInt8]) throws -> [UInt8] {
        try PixelImage.decode(try ByteBuffer(bytes).view).pixels
    }
    #expect(try decoded(row(0, [5, 6], [("tRNS", [0, 5])])) == [5, 0, 6, 255])
    #expect(
        try decoded(row(2, [1, 2, 3, 1, 2, 4], [("tRNS", [0, 1, 0, 2, 0, 3])]))
            == [1, 2, 3, 0, 1, 2, 4, 255])
    let palette: [UInt8] = [10, 11, 12, 20, 21, 22, 30, 31, 32]
    #expect(
        try decoded(row(3, [0, 1, 2], [("PLTE", palette), ("tRNS", [0, 128])]))
            == [10, 11, 12, 0, 20, 21, 22, 128, 30, 31, 32, 255])
    #expect(try decoded(row(3, [3], [("PLTE", palette)])) == [0, 0, 0])
}

@Test func idxFiles() throws {
    let scratch = ScratchFolder()
    let bytes: [UInt8] = [
        0, 0, 0x0B, 2, 0, 0, 0, 2, 0, 0, 0, 3, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 1, 0,
    ]
    try writeFile(scratch.file("a"), bytes)
    let entry = try Archive.open(scratch.file("a")).entry("array")
    #expect(entry.dtype == .int16 && entry.shape == [2, 3])
    #expect(try entry.bytes().array == [1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 0, 1])
    // The same, as gzip 1.12 wrote it.
    let zipped: [UInt8] =
        [
            0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 1, 24, 0, 0xE7, 0xFF,
        ] + bytes + littleEndianBytes(checksum(bytes)) + [24, 0, 0, 0]
    try writeFile(scratch.file("b.gz"), zipped)
    #expect(
        try EntryContent(Archive.open(scratch.file("b.gz")).entry("array")) == EntryContent(entry))
}

private func littleEndianBytes(_ value: UInt32) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
}

/// CRC-32 bit by bit, as in RFC 1952.
func checksum(_ bytes: [UInt8]) -> UInt32 {
    var register = UInt32.max
    for byte in bytes {
        register ^= UInt32(byte)
        for _ in 0..<8 { register = register >> 1 ^ (register & 1 == 1 ? 0xEDB8_8320 : 0) }
    }
    return ~register
}
