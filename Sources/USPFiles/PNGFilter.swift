// Rows of a PNG before and after their filters.

import USPBase

/// The five row filters of PNG.
enum PNGFilter {
    /// Undoes the filter of one row in place; `step` is the bytes of a pixel, at least one.
    static func undo(
        _ type: UInt8, _ row: UnsafeMutableRawBufferPointer,
        _ previous: UnsafeMutableRawBufferPointer?, _ step: Int
    ) -> Bool {
        guard type <= 4 else { return false }
        guard type != 0 else { return true }
        for i in 0..<row.count {
            let left = i >= step ? Int(row[i - step]) : 0
            let up = previous.map { Int($0[i]) } ?? 0
            let corner = i >= step ? previous.map { Int($0[i - step]) } ?? 0 : 0
            row[i] = row[i] &+ prediction(type, left, up, corner)
        }
        return true
    }

    private static func prediction(_ type: UInt8, _ left: Int, _ up: Int, _ corner: Int) -> UInt8 {
        switch type {
        case 1: UInt8(left)
        case 2: UInt8(up)
        case 3: UInt8((left + up) / 2)
        case 4: UInt8(paeth(left, up, corner))
        default: 0
        }
    }

    private static func paeth(_ left: Int, _ up: Int, _ corner: Int) -> Int {
        let estimate = left + up - corner
        let (a, b, c) = (abs(estimate - left), abs(estimate - up), abs(estimate - corner))
        return a <= b && a <= c ? left : b <= c ? up : corner
    }

    /// Rows with the filter Paeth (the first with Sub), each with its type in front.
    static func encode(_ image: PixelImage) -> [UInt8] {
        let length = image.width * image.channels
        let step = image.channels
        return [UInt8](unsafeUninitializedCapacity: (length + 1) * image.height) { target, count in
            for y in 0..<image.height {
                let start = y * (length + 1)
                target[start] = y == 0 ? 1 : 4
                for i in 0..<length {
                    let at = y * length + i
                    let left = i >= step ? Int(image.pixels[at - step]) : 0
                    let up = y > 0 ? Int(image.pixels[at - length]) : 0
                    let corner = y > 0 && i >= step ? Int(image.pixels[at - length - step]) : 0
                    let guess = prediction(target[start], left, up, corner)
                    target[start + 1 + i] = image.pixels[at] &- guess
                }
            }
            count = (length + 1) * image.height
        }
    }
}
