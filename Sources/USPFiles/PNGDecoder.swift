// From the compressed data of a PNG to pixels: inflate, undo the filters, unpack samples,
// interlace.

import USPBase

struct PNGDecoder {
    private let header: PNGHeader
    private let palette: [UInt8]
    private let transparency: [UInt8]

    /// Pixels are what stands in the file, one channel: neither a palette's colours nor 8 bits of
    /// fewer.
    private let keepsIndices: Bool

    init(
        _ header: PNGHeader, palette: [UInt8], transparency: [UInt8], keepsIndices: Bool = false
    ) {
        self.header = header
        self.keepsIndices = keepsIndices
        self.palette = palette
        self.transparency = transparency
    }

    /// One pass over a lattice of the image; without interlacing the only one.
    private struct Pass {
        let x: Int
        let y: Int
        let stepX: Int
        let stepY: Int
    }

    private static let adam7 = [
        Pass(x: 0, y: 0, stepX: 8, stepY: 8), Pass(x: 4, y: 0, stepX: 8, stepY: 8),
        Pass(x: 0, y: 4, stepX: 4, stepY: 8), Pass(x: 2, y: 0, stepX: 4, stepY: 4),
        Pass(x: 0, y: 2, stepX: 2, stepY: 4), Pass(x: 1, y: 0, stepX: 2, stepY: 2),
        Pass(x: 0, y: 1, stepX: 1, stepY: 2),
    ]

    private var passes: [Pass] {
        header.isInterlaced ? PNGDecoder.adam7 : [Pass(x: 0, y: 0, stepX: 1, stepY: 1)]
    }

    /// Pixels of a pass along one axis.
    private func extent(_ size: Int, from start: Int, step: Int) -> Int {
        size > start ? (size - start + step - 1) / step : 0
    }

    private var channels: Int {
        if keepsIndices { return 1 }
        return switch header.colour {
        case 0: transparency.isEmpty ? 1 : 2
        case 2: transparency.isEmpty ? 3 : 4
        case 3: transparency.isEmpty ? 3 : 4
        case 4: 2
        default: 4
        }
    }

    func image(_ data: ByteView) throws(USPError) -> PixelImage {
        let buffer = try inflated(data)
        defer { withExtendedLifetime(buffer) {} }
        let channels = channels
        let size = header.width * header.height * channels
        try SystemMemory.expect(size, of: UInt8.self)
        var isIntact = true
        let pixels = [UInt8](unsafeUninitializedCapacity: size) { target, count in
            var rows = buffer.bytes
            for pass in passes {
                isIntact = isIntact && decode(pass, &rows, into: target)
            }
            count = size
        }
        try require(isIntact, .format, "PNG: an unknown filter of rows")
        return try PixelImage(
            width: header.width, height: header.height, channels: channels, pixels: pixels)
    }

    private func inflated(_ data: ByteView) throws(USPError) -> ByteBuffer {
        var size = 0
        for pass in passes {
            let width = extent(header.width, from: pass.x, step: pass.stepX)
            let height = extent(header.height, from: pass.y, step: pass.stepY)
            if width > 0 { size += try CheckedMath.multiply(height, header.rowBytes(width), "PNG") }
        }
        try Inflate.expectPlausible(size, from: data.count, "PNG")
        let buffer = try ByteBuffer(count: size)
        try Inflate.zlib(data, into: buffer.bytes, "PNG")
        return buffer
    }

    /// Takes a pass's rows off the front of `rows`; false if they make no sense.
    private func decode(
        _ pass: Pass, _ rows: inout UnsafeMutableRawBufferPointer,
        into target: UnsafeMutableBufferPointer<UInt8>
    ) -> Bool {
        let width = extent(header.width, from: pass.x, step: pass.stepX)
        let height = extent(header.height, from: pass.y, step: pass.stepY)
        guard width > 0, height > 0 else { return true }
        let length = header.rowBytes(width)
        let step = max(1, header.bitsPerPixel / 8)
        var previous: UnsafeMutableRawBufferPointer?
        for y in 0..<height {
            let row = UnsafeMutableRawBufferPointer(rebasing: rows[1..<length])
            guard PNGFilter.undo(rows[0], row, previous, step) else { return false }
            let first = (pass.y + y * pass.stepY) * header.width + pass.x
            for x in 0..<width {
                let at = (first + x * pass.stepX) * channels
                unpack(row, x, into: target, at)
            }
            previous = row
            rows = UnsafeMutableRawBufferPointer(rebasing: rows[length...])
        }
        return true
    }

    /// The sample of this number in a row, at its own depth.
    private func sample(_ row: UnsafeMutableRawBufferPointer, _ index: Int) -> Int {
        switch header.depth {
        case 8: return Int(row[index])
        case 16: return Int(row[2 * index]) << 8 | Int(row[2 * index + 1])
        default:
            let bit = index * header.depth
            return Int(row[bit / 8]) >> (8 - header.depth - bit % 8) & (1 << header.depth - 1)
        }
    }

    /// A sample of the file's depth as 8 bits.
    private func eightBits(_ value: Int) -> UInt8 {
        switch header.depth {
        case 8: UInt8(value)
        case 16: UInt8(value >> 8)
        default: UInt8(value * 255 / (1 << header.depth - 1))
        }
    }

    private func unpack(
        _ row: UnsafeMutableRawBufferPointer, _ x: Int,
        into target: UnsafeMutableBufferPointer<UInt8>, _ at: Int
    ) {
        if keepsIndices {
            target[at] = UInt8(truncatingIfNeeded: sample(row, x))
            return
        }
        if header.colour == 3 {
            let index = sample(row, x)
            // Beyond the palette is black, as in Pillow.
            let isInside = index * 3 + 2 < palette.count
            for channel in 0..<3 {
                target[at + channel] = isInside ? palette[index * 3 + channel] : 0
            }
            if channels == 4 {
                target[at + 3] = index < transparency.count ? transparency[index] : 255
            }
            return
        }
        let samples = header.samples
        var isTransparent = transparency.count >= 2 * samples
        for channel in 0..<samples {
            let value = sample(row, x * samples + channel)
            target[at + channel] = eightBits(value)
            if isTransparent {
                let key = Int(transparency[2 * channel]) << 8 | Int(transparency[2 * channel + 1])
                isTransparent = key == value
            }
        }
        if channels > samples { target[at + samples] = isTransparent ? 0 : 255 }
    }
}
