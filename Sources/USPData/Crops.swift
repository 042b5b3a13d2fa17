// Crops and flips of the originals' data pipelines.

import CKernels
import USPBase
import USPFiles

extension PixelImage {
    /// The part with this corner and size.
    ///
    /// - Throws: `.argument` if it is empty or reaches outside.
    package func cropped(
        left: Int, top: Int, width newWidth: Int, height newHeight: Int
    ) throws(USPError) -> PixelImage {
        try require(
            left >= 0 && top >= 0 && newWidth > 0 && newHeight > 0 && newWidth <= width - left
                && newHeight <= height - top, .argument,
            "crop \(newWidth) x \(newHeight) at (\(left), \(top)) of \(width) x \(height)")
        try SystemMemory.expect(newWidth * newHeight * channels, of: UInt8.self)
        var result: [UInt8] = []
        result.reserveCapacity(newWidth * newHeight * channels)
        for y in top..<top + newHeight {
            let start = (y * width + left) * channels
            result += pixels[start..<start + newWidth * channels]
        }
        return try PixelImage(
            width: newWidth, height: newHeight, channels: channels, pixels: result)
    }

    /// One channel: the luma of ITU-R 601, as Pillow's conversion to `L` rounds it.
    package func grey() throws(USPError) -> PixelImage {
        guard channels > 2 else { return self }
        try SystemMemory.expect(width * height, of: UInt8.self)
        let result = [UInt8](unsafeUninitializedCapacity: width * height) { target, count in
            for pixel in 0..<width * height {
                let at = pixel * channels
                let (red, green, blue) = (pixels[at], pixels[at + 1], pixels[at + 2])
                let sum = 19595 * Int(red) + 38470 * Int(green) + 7471 * Int(blue) + 0x8000
                target[pixel] = UInt8(sum >> 16)
            }
            count = width * height
        }
        return try PixelImage(width: width, height: height, channels: 1, pixels: result)
    }

    /// Left and right exchanged.
    package func mirrored() throws(USPError) -> PixelImage {
        try mapped { uspi_mirror($0, height, width, channels, $1) }
    }

    /// ADM's centre crop: halved by box filter while twice too large, then bicubically so that the
    /// shorter side measures `size`, then the middle square.
    package func centreCropADM(_ size: Int) throws(USPError) -> PixelImage {
        try checkSide(size)
        var image = self
        while min(image.width, image.height) >= 2 * size {
            image = try image.resized(width: image.width / 2, height: image.height / 2, .box)
        }
        let scale = Double(size) / Double(min(image.width, image.height))
        image = try image.resized(
            width: roundHalfEven(Double(image.width) * scale),
            height: roundHalfEven(Double(image.height) * scale), .bicubic)
        return try image.cropped(
            left: (image.width - size) / 2, top: (image.height - size) / 2, width: size,
            height: size)
    }

    /// torchvision's `Resize(size)`: the shorter side becomes `size`, the longer is cut to whole
    /// pixels.
    package func resizedShorter(_ size: Int, _ filter: ResamplingFilter) throws(USPError)
        -> PixelImage
    {
        try checkSide(size)
        let (short, long) = (min(width, height), max(width, height))
        let scaled = Int(Double(size * long) / Double(short))
        return width <= height
            ? try resized(width: size, height: scaled, filter)
            : try resized(width: scaled, height: size, filter)
    }

    /// torchvision's `CenterCrop(size)`, for images at least that large.
    package func centreCrop(_ size: Int) throws(USPError) -> PixelImage {
        try cropped(
            left: roundHalfEven(Double(width - size) / 2),
            top: roundHalfEven(Double(height - size) / 2), width: size, height: size)
    }

    private func checkSide(_ size: Int) throws(USPError) {
        try require(
            (1...16384).contains(size), .argument, "image side: expected 1 to 16384, got \(size)")
    }
}

/// Python's `round`.
func roundHalfEven(_ value: Double) -> Int { Int(value.rounded(.toNearestOrEven)) }
