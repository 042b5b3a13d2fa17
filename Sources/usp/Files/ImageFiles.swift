// Images from files as tensors, and tensors as images.

import USPBase
import USPFiles
import USPTensor

enum ImageFiles {
    /// `[1, C, H, W]` in −1 … 1 of an image, its right and lower edge cut to a multiple of
    /// `factor`.
    ///
    /// - channels: 1 or 3, as the autoencoder takes
    static func read(
        _ path: String, channels: Int, multipleOf factor: Int, asStored: Bool
    ) throws(USPError) -> Tensor {
        let file = try PixelImage.open(path, asStored: asStored)
        try require(
            channels == 3 || channels == file.channels, .unsupported,
            "\(path): \(file.channels) channels, the autoencoder takes \(channels)")
        let image = channels == 3 ? try file.rgb() : file
        let height = image.height / factor * factor
        let width = image.width / factor * factor
        try require(
            height > 0 && width > 0, .shape,
            "\(path): \(image.width) x \(image.height), expected at least \(factor) each way")
        let result = try Tensor([1, channels, height, width])
        let values = result.floats
        for channel in 0..<channels {
            for y in 0..<height {
                for x in 0..<width {
                    let byte = image.pixels[(y * image.width + x) * channels + channel]
                    values[(channel * height + y) * width + x] = Float(byte) / 127.5 - 1
                }
            }
        }
        return result
    }

    /// Throws, before anything is computed, unless an image can be written here: only PNG is.
    static func expectWritable(_ path: String) throws(USPError) {
        try require(
            path.lowercased().hasSuffix(".png"), .argument,
            "\(path): images are written as PNG, expected a name that ends in .png")
        _ = try AtomicFile(path)
    }

    /// Image `index` of pixels `[B, H, W, C]`.
    static func image(_ pixels: [UInt8], _ index: Int, _ shape: Shape) throws(USPError)
        -> PixelImage
    {
        let size = shape[1] * shape[2] * shape[3]
        return try PixelImage(
            width: shape[2], height: shape[1], channels: shape[3],
            pixels: Array(pixels[index * size..<(index + 1) * size]))
    }

    /// The text by which pictures made of several images are known, so that nobody takes them for
    /// one where samples are read.
    static let composed = (key: PNG.composedKey, value: "several images in one picture")

    /// All images of `[B, H, W, C]` in rows and columns about as many, without a gap.
    static func grid(_ pixels: [UInt8], _ shape: Shape) throws(USPError) -> PixelImage {
        let (count, height, line) = (shape[0], shape[1], shape[2] * shape[3])
        var columns = 1
        while columns * columns < count { columns += 1 }
        let rows = (count + columns - 1) / columns
        var result = [UInt8](repeating: 0, count: rows * columns * height * line)
        for index in 0..<count {
            let (row, column) = index.quotientAndRemainder(dividingBy: columns)
            for y in 0..<height {
                let source = (index * height + y) * line
                let target = ((row * height + y) * columns + column) * line
                result.replaceSubrange(target..<target + line, with: pixels[source..<source + line])
            }
        }
        return try PixelImage(
            width: columns * shape[2], height: rows * height, channels: shape[3], pixels: result)
    }

    /// `name.png` to `name-0003.png`.
    static func numbered(_ path: String, _ index: Int) -> String {
        let digits = String(index)
        let number = String(repeating: "0", count: max(0, 4 - digits.count)) + digits
        return "\(withoutEnding(path))-\(number).png"
    }

    /// The path less a last `.ending`.
    static func withoutEnding(_ path: String) -> String {
        let name = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
        guard let dot = path[name...].lastIndex(of: "."), dot > name else { return path }
        return String(path[..<dot])
    }
}

extension ImageFiles {
    /// Writes rows of images `[B, C, H, W]` in −1 … 1 as one picture, each row below the last.
    static func writeRows(_ path: String, _ rows: [Tensor]) throws(USPError) {
        guard let first = rows.first?.shape else { return }
        let (count, channels, height, line) = (first[0], first[1], first[2], first[3] * first[1])
        var result = [UInt8](repeating: 0, count: rows.count * height * count * line)
        for (row, images) in rows.enumerated() {
            try expect(images, first, "row \(row)")
            let pixels = try images.pixels()
            for index in 0..<count {
                for y in 0..<height {
                    let source = (index * height + y) * line
                    let target = ((row * height + y) * count + index) * line
                    result.replaceSubrange(
                        target..<target + line, with: pixels[source..<source + line])
                }
            }
        }
        let picture = try PixelImage(
            width: count * first[3], height: rows.count * height, channels: channels,
            pixels: result)
        try PNG.write(path, picture, texts: [composed])
    }
}
