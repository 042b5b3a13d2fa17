// Tensors as pictures.

import USPBase
import USPFiles
import USPTensor

/// Images in rows and columns, enlarged by whole pixels, with a line between them.
struct ImageGrid {
    let columns: Int
    var zoom = 2
    var gap = 1

    /// A grey picture of `[N, 1, H, W]` images in −1 ... 1, row by row.
    func picture(_ images: Tensor) throws(USPError) -> PixelImage {
        let (count, height, width) = (images.shape[0], images.shape[2], images.shape[3])
        let rows = (count + columns - 1) / columns
        let (cellWidth, cellHeight) = (width * zoom + gap, height * zoom + gap)
        let (totalWidth, totalHeight) = (columns * cellWidth - gap, rows * cellHeight - gap)
        var pixels = [UInt8](repeating: 128, count: totalWidth * totalHeight)
        let values = images.floats
        for index in 0..<count {
            let (row, column) = index.quotientAndRemainder(dividingBy: columns)
            for y in 0..<height * zoom {
                let line = (row * cellHeight + y) * totalWidth + column * cellWidth
                for x in 0..<width * zoom {
                    let value = values[(index * height + y / zoom) * width + x / zoom]
                    pixels[line + x] = UInt8(min(max(127.5 * value + 128, 0), 255))
                }
            }
        }
        return try PixelImage(width: totalWidth, height: totalHeight, channels: 1, pixels: pixels)
    }
}
