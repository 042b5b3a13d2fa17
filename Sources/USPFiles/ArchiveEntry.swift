// One array of a file: name, type, shape, and where its bytes are and how they lie.

import USPBase

/// How the bytes of an entry lie in their file.
enum Payload: Sendable {
    /// Row-major.
    case plain(ByteView)
    /// Elements of one axis lie `strides` elements apart, from the start of the view.
    case strided(ByteView, strides: [Int])
    /// Row-major after inflating; `skip` bytes precede them in the inflated stream.
    case deflated(ByteView, skip: Int)
}

/// An array in a file. Nothing is read before one of its methods is called.
package struct ArchiveEntry: Sendable {
    package let name: String
    package let dtype: DType
    package let shape: Shape
    let payload: Payload
    let isBigEndian: Bool

    init(
        _ name: String, _ dtype: DType, _ shape: Shape, _ payload: Payload,
        isBigEndian: Bool = false
    ) {
        self.name = name
        self.dtype = dtype
        self.shape = shape
        self.payload = payload
        self.isBigEndian = isBigEndian && dtype.size > 1
    }

    /// An array in memory: `bytes` are row-major and as many as the shape says.
    package init(_ name: String, _ dtype: DType, _ shape: Shape, bytes: ByteView) {
        precondition(bytes.count == shape.count * dtype.size)
        self.init(name, dtype, shape, .plain(bytes))
    }

    /// An array of which no more than this is known; to read it is an error.
    package init(describing name: String, _ dtype: DType, _ shape: Shape) throws(USPError) {
        self.init(name, dtype, shape, .deflated(try ByteBuffer(count: 0).view, skip: 0))
    }

    package var count: Int { shape.count }
    package var byteCount: Int { shape.count * dtype.size }

    /// The same array under another name.
    package func renamed(_ name: String) -> ArchiveEntry {
        ArchiveEntry(name, dtype, shape, payload, isBigEndian: isBigEndian)
    }

    /// The same elements under another shape of the same count.
    package func reshaped(_ shape: Shape) throws(USPError) -> ArchiveEntry {
        try require(shape.count == count, .shape, "\(name): cannot view \(self.shape) as \(shape)")
        return ArchiveEntry(name, dtype, shape, .plain(try bytes()))
    }

    /// Some rows along the first axis.
    ///
    /// - rows: within the array
    package func rows(_ rows: Range<Int>) throws(USPError) -> ArchiveEntry {
        let extents = shape.extents
        try require(
            !extents.isEmpty && rows.lowerBound >= 0 && rows.upperBound <= extents[0], .shape,
            "\(name): rows \(rows) of \(shape)")
        let part = Shape([rows.count] + extents.dropFirst())
        let row = byteCount / max(extents[0], 1)
        let view = try bytes().part(rows.lowerBound * row, part.count * dtype.size, name)
        return ArchiveEntry(name, dtype, part, .plain(view))
    }

    /// The bytes as they are in the file, if they are row-major and little-endian there.
    package var plainBytes: ByteView? {
        guard case .plain(let view) = payload, !isBigEndian else { return nil }
        return view
    }

    /// Row-major little-endian bytes: the file's own where possible, else a copy.
    ///
    /// - Throws: `.format` if the compressed stream is damaged, `.memory`
    package func bytes() throws(USPError) -> ByteView {
        if let view = plainBytes { return view }
        let buffer = try ByteBuffer(count: byteCount)
        try copy(into: buffer.bytes)
        return buffer.view
    }

    /// Writes row-major little-endian bytes to `target`, which has `byteCount` of them.
    package func copy(into target: UnsafeMutableRawBufferPointer) throws(USPError) {
        precondition(target.count == byteCount)
        switch payload {
        case .plain(let view): target.copyMemory(from: view.bytes)
        case .strided(let view, let strides):
            gather(view, strides, into: target)
        case .deflated(let view, let skip):
            try Inflate.raw(view, skip: skip, into: target, name)
        }
        if isBigEndian { swapBytes(target, dtype.size) }
    }

    /// Copies elements that lie apart, in row-major order.
    private func gather(
        _ view: ByteView, _ strides: [Int], into target: UnsafeMutableRawBufferPointer
    ) {
        // SAFETY: the reader of the file has checked that the last element ends inside the view.
        guard count > 0, var to = target.baseAddress else { return }
        let size = dtype.size
        let extents = shape.extents
        let inner = extents.last ?? 1
        let step = (strides.last ?? 1) * size
        var index = [Int](repeating: 0, count: max(extents.count - 1, 0))
        while true {
            var from = view.base + zip(index, strides).reduce(0) { $0 + $1.0 * $1.1 } * size
            for _ in 0..<inner {
                to.copyMemory(from: from, byteCount: size)
                from += step
                to += size
            }
            guard advance(&index, extents) else { return }
        }
    }

    /// Counts `index` up, last axis fastest; false after the last.
    private func advance(_ index: inout [Int], _ extents: [Int]) -> Bool {
        for axis in index.indices.reversed() {
            index[axis] += 1
            if index[axis] < extents[axis] { return true }
            index[axis] = 0
        }
        return false
    }
}

/// Reverses the bytes of every element.
func swapBytes(_ bytes: UnsafeMutableRawBufferPointer, _ size: Int) {
    var start = 0
    while start + size <= bytes.count {
        for i in 0..<size / 2 { bytes.swapAt(start + i, start + size - 1 - i) }
        start += size
    }
}

extension ArchiveEntry {
    /// The entry over strided elements, once every element is known to lie inside `storage`.
    ///
    /// - offset, strides: in elements
    /// - limit: bytes that a copy may take at most (repeated elements can make it large)
    static func checked(
        _ name: String, _ dtype: DType, _ extents: [Int], strides: [Int], offset: Int,
        storage: ByteView, limit: Int, isBigEndian: Bool = false
    ) throws(USPError) -> ArchiveEntry {
        let shape = try checkedShape(name, dtype, extents)
        try require(
            strides.count == extents.count && offset >= 0 && strides.allSatisfy { $0 >= 0 },
            .format,
            "\(name): strides \(strides) and offset \(offset) for the shape \(shape)")
        let start = try CheckedMath.multiply(offset, dtype.size, name)
        if shape.count == 0 {
            return ArchiveEntry(name, dtype, shape, .plain(try storage.part(0, 0, name)))
        }
        var last = 0
        for (extent, stride) in zip(extents, strides) {
            last = try CheckedMath.add(
                last, try CheckedMath.multiply(extent - 1, stride, name), name)
        }
        let span = try CheckedMath.multiply(try CheckedMath.add(last, 1, name), dtype.size, name)
        let view = try storage.part(start, span, name)
        if isContiguous(extents, strides) {
            return ArchiveEntry(name, dtype, shape, .plain(view), isBigEndian: isBigEndian)
        }
        let size = shape.count * dtype.size
        try require(
            size <= max(limit, 1 << 20), .format,
            "\(name): \(shape) would take \(size) bytes, more than its file has (\(limit))")
        return ArchiveEntry(
            name, dtype, shape, .strided(view, strides: strides), isBigEndian: isBigEndian)
    }

    private static func isContiguous(_ extents: [Int], _ strides: [Int]) -> Bool {
        var expected = 1
        for axis in extents.indices.reversed() {
            if extents[axis] != 1 && strides[axis] != expected { return false }
            expected *= extents[axis]
        }
        return true
    }
}

/// A shape from a file: at most eight axes, none negative, and a byte size that fits.
func checkedShape(
    _ name: String, _ dtype: DType, _ extents: [Int]
) throws(USPError) -> Shape {
    do {
        try require(extents.count <= 8, .format, "\(extents.count) axes, more than 8")
        // A zero hides an overflow in what is left, so the others are checked by themselves.
        _ = try Shape.checked(extents.filter { $0 != 0 }, dtype: dtype, "shape")
        return try Shape.checked(extents, dtype: dtype, "shape")
    } catch {
        throw USPError(.format, "\(name): \(error.message)")
    }
}
