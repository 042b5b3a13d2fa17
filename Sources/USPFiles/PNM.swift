// PBM, PGM and PPM, in text and in binary. Source: netpbm's manual pages pbm(5), pgm(5), ppm(5).

import USPBase

enum PNM {
    static func recognises(_ file: ByteView) -> Bool {
        guard file.count >= 3, file.bytes[0] == UInt8(ascii: "P") else { return false }
        let digit = file.bytes[1]
        return digit >= UInt8(ascii: "1") && digit <= UInt8(ascii: "6")
            && (isSpace(file.bytes[2]) || file.bytes[2] == UInt8(ascii: "#"))
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (9...13).contains(byte) }

    /// Grey or RGB; samples of more than 8 bits keep their upper 8, others are stretched to 0 ...
    /// 255.
    static func read(_ file: ByteView) throws(USPError) -> PixelImage {
        var reader = ByteReader(file, at: 2, "PNM")
        let kind = Int(file.bytes[1] - UInt8(ascii: "0"))
        let width = try number(&reader)
        let height = try number(&reader)
        let isBitmap = kind == 1 || kind == 4
        let most = isBitmap ? 1 : try number(&reader)
        try require(
            width > 0 && height > 0 && most > 0 && most < 1 << 16, .format,
            "PNM: \(width) x \(height) pixels up to \(most)")
        try PixelImage.expectPlausible(width, height, from: file.count, most: 8, "PNM")
        let channels = kind == 3 || kind == 6 ? 3 : 1
        try SystemMemory.expect(width * height * channels, of: UInt8.self)
        // Every sample takes a bit at least, so this is no more than eight times the file.
        var pixels: [UInt8] = []
        pixels.reserveCapacity(width * height * channels)
        if kind >= 4 {
            try binary(&reader, width, height, channels, most, isBitmap, into: &pixels)
        } else {
            for _ in 0..<width * height * channels {
                let value = isBitmap ? 1 - (try bit(&reader)) : try number(&reader)
                pixels.append(scaled(min(value, most), most))
            }
        }
        return try PixelImage(width: width, height: height, channels: channels, pixels: pixels)
    }

    private static func binary(
        _ reader: inout ByteReader, _ width: Int, _ height: Int, _ channels: Int, _ most: Int,
        _ isBitmap: Bool, into pixels: inout [UInt8]
    ) throws(USPError) {
        // `number` has taken the one white space behind the last one.
        for _ in 0..<height {
            if isBitmap {
                let line = try reader.bytes((width + 7) / 8)
                for x in 0..<width {
                    pixels.append(line.bytes[x / 8] >> UInt8(7 - x % 8) & 1 == 1 ? 0 : 255)
                }
                continue
            }
            let size = most > 255 ? 2 : 1
            let line = try reader.bytes(width * channels * size)
            for sample in 0..<width * channels {
                let value =
                    size == 1
                    ? Int(line.bytes[sample])
                    : Int(line.bytes[2 * sample]) << 8 | Int(line.bytes[2 * sample + 1])
                pixels.append(scaled(min(value, most), most))
            }
        }
    }

    private static func scaled(_ value: Int, _ most: Int) -> UInt8 {
        if most == 255 { return UInt8(value) }
        if most == 65535 { return UInt8(value >> 8) }
        // As Pillow rounds.
        return UInt8((Double(value) / Double(most) * 255).rounded(.toNearestOrEven))
    }

    /// The next number, behind white space and comments, with the white space that ends it.
    private static func number(_ reader: inout ByteReader) throws(USPError) -> Int {
        var byte = try afterSpace(&reader)
        var value = 0
        var digits = 0
        while byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") && digits < 10 {
            value = value * 10 + Int(byte - UInt8(ascii: "0"))
            digits += 1
            guard reader.remaining > 0 else { return value }
            byte = try reader.byte()
        }
        try require(
            digits > 0 && isSpace(byte), .format, "PNM: no number before byte \(reader.offset)")
        return value
    }

    /// The next digit of a plain bitmap, where they may stand close together.
    private static func bit(_ reader: inout ByteReader) throws(USPError) -> Int {
        let byte = try afterSpace(&reader)
        try require(
            byte == UInt8(ascii: "0") || byte == UInt8(ascii: "1"), .format,
            "PNM: neither 0 nor 1 before byte \(reader.offset)")
        return Int(byte - UInt8(ascii: "0"))
    }

    private static func afterSpace(_ reader: inout ByteReader) throws(USPError) -> UInt8 {
        while true {
            let byte = try reader.byte()
            if byte == UInt8(ascii: "#") { while try reader.byte() != 0x0A {} }
            if !isSpace(byte) && byte != UInt8(ascii: "#") { return byte }
        }
    }
}
