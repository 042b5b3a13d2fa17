// Images turned upright.

import USPBase

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
