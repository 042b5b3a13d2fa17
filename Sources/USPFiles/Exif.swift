// Exif: the one note of a camera that changes what a picture shows, which way it was held.

import USPBase

/// Orientations as TIFF and Exif number them: 1 is upright, 2 mirrored, 3 upside down, 4 mirrored
/// upside down; 5 to 8 lie on their side. Whatever makes no sense counts as 1, as in every viewer.
enum Exif {
    /// Of a JPEG file: of the first segment APP1 that holds Exif data.
    static func orientation(jpeg file: ByteView) -> Int {
        let name: [UInt8] = Array("Exif".utf8) + [0, 0]
        var at = 2
        while let marker = number(file, at, 2), marker >> 8 == 0xFF, marker != 0xFFDA,
            let length = number(file, at + 2, 2), length >= 2
        {
            let content = try? file.part(at + 4, length - 2, "APP1")
            if marker == 0xFFE1, let content, content.starts(with: name) {
                let tiff = try? content.part(name.count, content.count - name.count, "Exif")
                return tiff.map(orientation(tiff:)) ?? 1
            }
            at += 2 + length
        }
        return 1
    }

    /// Of TIFF data, as a PNG's chunk eXIf has it: tag 0x112 of the first directory.
    static func orientation(tiff: ByteView) -> Int {
        let isLittle = tiff.starts(with: [0x49, 0x49, 0x2A, 0])
        guard isLittle || tiff.starts(with: [0x4D, 0x4D, 0, 0x2A]),
            let directory = number(tiff, 4, 4, isLittle: isLittle),
            let count = number(tiff, directory, 2, isLittle: isLittle)
        else { return 1 }
        for entry in 0..<count {
            let at = directory + 2 + 12 * entry
            guard let tag = number(tiff, at, 2, isLittle: isLittle) else { return 1 }
            guard tag == 0x112 else { continue }
            let isShort = number(tiff, at + 2, 2, isLittle: isLittle) == 3
            let value = number(tiff, at + 8, 2, isLittle: isLittle) ?? 1
            return isShort && (1...8).contains(value) ? value : 1
        }
        return 1
    }

    private static func number(
        _ file: ByteView, _ at: Int, _ size: Int, isLittle: Bool = false
    ) -> Int? {
        guard let part = try? file.part(at, size, "Exif") else { return nil }
        let bytes = isLittle ? part.array.reversed() : part.array
        return bytes.reduce(0) { $0 << 8 | Int($1) }
    }
}

extension PixelImage {
    /// The image upright, given the orientation that it is stored in.
    func turned(_ orientation: Int) throws(USPError) -> PixelImage {
        guard (2...8).contains(orientation) else { return self }
        let isSideways = orientation >= 5
        let mirrorsColumns = [2, 3, 7, 8].contains(orientation)
        let mirrorsRows = [3, 4, 6, 7].contains(orientation)
        let (columns, rows) = isSideways ? (height, width) : (width, height)
        try SystemMemory.expect(pixels.count, of: UInt8.self)
        let result = [UInt8](unsafeUninitializedCapacity: pixels.count) { target, count in
            for y in 0..<rows {
                for x in 0..<columns {
                    let (u, v) = isSideways ? (y, x) : (x, y)
                    let column = mirrorsColumns ? width - 1 - u : u
                    let row = mirrorsRows ? height - 1 - v : v
                    let (from, to) = (row * width + column, y * columns + x)
                    for channel in 0..<channels {
                        target[to * channels + channel] = pixels[from * channels + channel]
                    }
                }
            }
            count = pixels.count
        }
        return try PixelImage(width: columns, height: rows, channels: channels, pixels: result)
    }
}
