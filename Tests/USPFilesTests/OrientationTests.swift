// Pictures that a camera held another way, and files that end too early.

import Testing
import USPBase
import USPFiles

/// What Pillow's ImageOps.exif_transpose makes of rows 0 1 2 and 3 4 5.
private let upright: [[[UInt8]]] = [
    [[0, 1, 2], [3, 4, 5]], [[2, 1, 0], [5, 4, 3]],
    [[5, 4, 3], [2, 1, 0]], [[3, 4, 5], [0, 1, 2]],
    [[0, 3], [1, 4], [2, 5]], [[3, 0], [4, 1], [5, 2]], [[5, 2], [4, 1], [3, 0]],
    [[2, 5], [1, 4], [0, 3]],
]

/// TIFF data of one directory: another tag, then the orientation.
///
/// - type: TIFF's number of the orientation's type, whose size is `size`
private func tiff(
    _ orientation: Int, isLittle: Bool, type: Int = 3, size: Int = 2
) -> [UInt8] {
    let number = { (value: Int, size: Int) -> [UInt8] in
        let bytes = (0..<size).map { UInt8(value >> (8 * $0) & 0xFF) }
        return isLittle ? bytes : bytes.reversed()
    }
    return (isLittle ? [0x49, 0x49] : [0x4D, 0x4D]) + number(42, 2) + number(8, 4) + number(2, 2)
        + number(0x100, 2) + number(4, 2) + number(1, 4) + number(3, 4)
        + number(0x112, 2) + number(type, 2) + number(1, 4) + number(orientation, size)
        + [UInt8](repeating: 0, count: 4 - size) + number(0, 4)
}

/// A PNG of the rows 0 1 2 and 3 4 5 with the chunk eXIf.
private func png(_ exif: [UInt8]) throws -> [UInt8] {
    let image = try PixelImage(width: 3, height: 2, channels: 1, pixels: [0, 1, 2, 3, 4, 5])
    let plain = try PNG.encode(image)
    let covered = Array("eXIf".utf8) + exif
    let chunk = bigEndian(UInt32(exif.count)) + covered + bigEndian(checksum(covered))
    return plain[..<33] + chunk + plain[33...]
}

private func bigEndian(_ value: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(value >> (24 - 8 * UInt32($0)) & 0xFF) }
}

private func decoded(_ bytes: [UInt8], asStored: Bool = false) throws -> PixelImage {
    try PixelImage.decode(try ByteBuffer(bytes).view, asStored: asStored)
}

@Test(arguments: 1...8, [true, false])
func orientationIsFollowed(_ orientation: Int, _ isLittle: Bool) throws {
    let exif = tiff(orientation, isLittle: isLittle)
    let rows = upright[orientation - 1]
    let image = try decoded(try png(exif))
    #expect([image.height, image.width] == [rows.count, rows[0].count])
    #expect(image.pixels == rows.flatMap { $0 })
    #expect(try decoded(try png(exif), asStored: true).pixels == [0, 1, 2, 3, 4, 5])

    let golden = try ByteView.file("\(goldenFolder)/images/jpeg_444.jpg").array
    let content = Array("Exif".utf8) + [0, 0] + exif
    let length = content.count + 2
    let segment = [0xFF, 0xE1, UInt8(length >> 8), UInt8(length & 0xFF)] + content
    // Behind JFIF's own segment, as cameras' programs write them.
    let photo = golden[..<20] + segment + golden[20...]
    let stored = try decoded(Array(photo), asStored: true)
    #expect(try stored == decoded(golden))
    let turned = try decoded(Array(photo))
    #expect((turned.width == stored.width) == (orientation < 5))
    // Where the stored image's first pixel went.
    let first = try #require(image.pixels.firstIndex(of: 0))
    let x = first % image.width == 0 ? 0 : turned.width - 1
    let at = ((first < image.width ? 0 : turned.height - 1) * turned.width + x) * 3
    #expect(turned.pixels[at..<at + 3] == stored.pixels[..<3])
}

/// The other types of whole numbers, where Pillow follows them.
@Test(arguments: [(1, 1), (4, 4), (6, 1), (8, 2), (9, 4)], [true, false])
func typesOfOrientations(_ type: (Int, Int), _ isLittle: Bool) throws {
    let exif = tiff(6, isLittle: isLittle, type: type.0, size: type.1)
    #expect(try decoded(try png(exif)).pixels == upright[5].flatMap { $0 })
}

/// A JPEG with these bytes behind its first marker.
private func photo(_ segments: [UInt8]) throws -> PixelImage {
    let golden = try ByteView.file("\(goldenFolder)/images/jpeg_444.jpg").array
    return try decoded(golden[..<2] + segments + golden[2...])
}

private func segment(_ content: [UInt8]) -> [UInt8] {
    [0xFF, 0xE1, UInt8((content.count + 2) >> 8), UInt8((content.count + 2) & 0xFF)] + content
}

@Test func orientationsInJPEG() throws {
    let stored = try photo([])
    let exif = segment(Array("Exif".utf8) + [0, 0] + tiff(6, isLittle: true))
    let plain = segment(Array("Exif".utf8) + [0, 0] + tiff(1, isLittle: true))
    let name = Array("http://ns.adobe.com/xap/1.0/".utf8) + [0]
    let attribute = segment(name + Array("<x tiff:Orientation=\"6\"/>".utf8))
    let element = segment(name + Array("<tiff:Orientation>8</tiff:Orientation>".utf8))
    let other = segment(name + Array("<x tiff:Orientation='6'/>".utf8))
    // Fill bytes in front of a marker; a comment and a marker that stands alone before it.
    let turned = [
        exif, [0xFF, 0xFF, 0xFF] + exif, [0xFF, 0xFE, 0, 3, 0x61] + exif, [0xFF, 0x01] + exif,
        attribute, element, [0xFF] + attribute,
    ]
    for segments in turned { #expect(try photo(segments).width == stored.height) }
    // Exif that tells it goes before XMP.
    for segments in [plain + attribute, other, segment(name)] {
        #expect(try photo(segments) == stored)
    }
}

@Test func orientationInXMPOfPNG() throws {
    let image = try PixelImage(width: 3, height: 2, channels: 1, pixels: [0, 1, 2, 3, 4, 5])
    let plain = try PNG.encode(image)
    let text =
        Array("iTXtXML:com.adobe.xmp".utf8) + [0, 0, 0, 0, 0]
        + Array("<x tiff:Orientation=\"3\"/>".utf8)
    let chunk = bigEndian(UInt32(text.count - 4)) + text + bigEndian(checksum(text))
    #expect(try decoded(plain[..<33] + chunk + plain[33...]).pixels == [5, 4, 3, 2, 1, 0])
}

@Test func damagedOrientationsAreUpright() throws {
    let exif = tiff(6, isLittle: true)
    for cut in 0..<exif.count - 6 {
        #expect(try decoded(try png(Array(exif[..<cut]))).pixels == [0, 1, 2, 3, 4, 5])
    }
    for orientation in [0, 9, 300] {
        let image = try decoded(try png(tiff(orientation, isLittle: false)))
        #expect(image.pixels == [0, 1, 2, 3, 4, 5])
    }
}

@Test func truncatedImagesSayWhere() throws {
    let file = try png(tiff(1, isLittle: true))
    let photo = try ByteView.file("\(goldenFolder)/images/jpeg_444.jpg").array
    let end = file.count
    let cases: [([UInt8], Int, String)] = [
        (file, 0, "an empty file"),
        (file, 20, "PNG: ends at byte 20, expected the chunk IHDR of byte 8 to reach to byte 33"),
        (file, 33, "PNG: ends at byte 33, expected another chunk at byte 33: there were no pixels"),
        (file, 36, "PNG: ends at byte 36, expected another chunk at byte 33: there were no pixels"),
        (file, end - 24, "PNG: compressed data is damaged or ends early"),
        (photo, 100, "JPEG: ends at byte 100, before its first scan"),
        (photo, photo.count - 2, "JPEG: ends at byte \(photo.count - 2), after "),
    ]
    for (bytes, count, expected) in cases {
        let error = #expect(throws: USPError.self) { try decoded(Array(bytes[..<count])) }
        #expect(error?.kind == .format && error?.message.contains(expected) == true, "\(error!)")
    }
}
