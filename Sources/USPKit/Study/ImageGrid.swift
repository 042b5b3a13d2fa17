// Tensors as pictures.

import USPBase
import USPFiles
import USPTensor

/// Images in rows and columns with a line between them.
struct ImageGrid {
    let columns: Int
    var gap = 1

    /// A picture of `[N, C, H, W]` images in −1 ... 1, row by row; C is 1 or 3.
    func picture(_ images: Tensor) throws(USPError) -> PixelImage {
        let (count, channels) = (images.shape[0], images.shape[1])
        let (height, width) = (images.shape[2], images.shape[3])
        let rows = (count + columns - 1) / columns
        let totalWidth = columns * (width + gap) - gap
        let totalHeight = rows * (height + gap) - gap
        let values = try images.pixels()
        var pixels = [UInt8](repeating: 128, count: totalWidth * totalHeight * channels)
        for index in 0..<count {
            let (row, column) = index.quotientAndRemainder(dividingBy: columns)
            for y in 0..<height {
                let from = (index * height + y) * width * channels
                let to =
                    ((row * (height + gap) + y) * totalWidth + column * (width + gap)) * channels
                pixels.replaceSubrange(
                    to..<to + width * channels, with: values[from..<from + width * channels])
            }
        }
        return try PixelImage(
            width: totalWidth, height: totalHeight, channels: channels, pixels: pixels)
    }
}
