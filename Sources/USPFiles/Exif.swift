// Exif and XMP: the one note of a camera that changes what a picture shows, which way it was held.

import USPBase

/// Orientations as TIFF and Exif number them: 1 is upright, 2 mirrored, 3 upside down, 4 mirrored
/// upside down; 5 to 8 lie on their side. Whatever makes no sense counts as 1, as in every viewer.
/// They are looked for where Pillow looks: in Exif data, else in XMP.
enum Exif {
    /// Of a JPEG file: of its segments APP1.
    static func orientation(jpeg file: ByteView) -> Int {
        let names = (
            exif: Array("Exif".utf8) + [0, 0], xmp: Array("http://ns.adobe.com/xap/1.0/".utf8)
        )
        var (tiff, xmp): (ByteView?, ByteView?) = (nil, nil)
        var at = 2
        while let first = byte(file, at), first == 0xFF, let marker = byte(file, at + 1) {
            // A marker may have fill bytes in front, and may stand alone.
            if marker == 0xFF {
                at += 1
                continue
            }
            if marker == 0xDA || marker == 0xD9 { break }
            if marker == 0x01 || (0xD0...0xD8).contains(marker) {
                at += 2
                continue
            }
            guard let length = number(file, at + 2, 2), length >= 2 else { break }
            if marker == 0xE1, let content = try? file.part(at + 4, length - 2, "APP1") {
                if tiff == nil, content.starts(with: names.exif) {
                    tiff = try? content.part(6, content.count - 6, "Exif")
                } else if xmp == nil, content.starts(with: names.xmp) {
                    xmp = content
                }
            }
            at += 2 + length
        }
        return orientation(tiff: tiff, xmp: xmp)
    }

    /// Of Exif data, where that has a note of it, else of XMP.
    static func orientation(tiff: ByteView?, xmp: ByteView?) -> Int {
        let found = tiff.flatMap(noted(tiff:)) ?? xmp.flatMap(noted(xmp:)) ?? 1
        return (1...8).contains(found) ? found : 1
    }

    /// Tag 0x112 of the first directory: one whole number of any size.
    private static func noted(tiff: ByteView) -> Int? {
        let isLittle = tiff.starts(with: [0x49, 0x49, 0x2A, 0])
        guard isLittle || tiff.starts(with: [0x4D, 0x4D, 0, 0x2A]),
            let directory = number(tiff, 4, 4, isLittle: isLittle),
            let count = number(tiff, directory, 2, isLittle: isLittle)
        else { return nil }
        let sizes = [1: 1, 3: 2, 4: 4, 6: 1, 8: 2, 9: 4]
        for entry in 0..<count {
            let at = directory + 2 + 12 * entry
            guard let tag = number(tiff, at, 2, isLittle: isLittle) else { return nil }
            guard tag == 0x112 else { continue }
            guard let type = number(tiff, at + 2, 2, isLittle: isLittle), let size = sizes[type],
                number(tiff, at + 4, 4, isLittle: isLittle) == 1
            else { return nil }
            return number(tiff, at + 8, size, isLittle: isLittle)
        }
        return nil
    }

    /// The digit behind `tiff:Orientation="` or `tiff:Orientation>`.
    private static func noted(xmp: ByteView) -> Int? {
        let name = Array("tiff:Orientation".utf8)
        let bytes = xmp.bytes
        defer { withExtendedLifetime(xmp.owner) {} }
        guard bytes.count > name.count + 2 else { return nil }
        for start in 0..<bytes.count - name.count - 2
        where bytes[start] == name[0] && xmp.starts(with: name, at: start) {
            var at = start + name.count
            if xmp.starts(with: Array("=\"".utf8), at: at) {
                at += 2
            } else if xmp.starts(with: Array(">".utf8), at: at) {
                at += 1
            } else {
                continue
            }
            let digit = at < bytes.count ? bytes[at] : 0
            if digit >= UInt8(ascii: "0") && digit <= UInt8(ascii: "9") { return Int(digit) - 0x30 }
        }
        return nil
    }

    private static func byte(_ file: ByteView, _ at: Int) -> Int? {
        at >= 0 && at < file.count ? Int(file.bytes[at]) : nil
    }

    private static func number(
        _ file: ByteView, _ at: Int, _ size: Int, isLittle: Bool = false
    ) -> Int? {
        guard let part = try? file.part(at, size, "Exif") else { return nil }
        let bytes = isLittle ? part.array.reversed() : part.array
        return bytes.reduce(0) { $0 << 8 | Int($1) }
    }
}
