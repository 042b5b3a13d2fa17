// One array of a file: name, type, shape, and where its bytes are and how they lie.

import USPBase

/// How the bytes of an entry lie in their file.
enum Payload: Sendable {
    /// Row-major.
    case plain(ByteView)
    /// Elements of one axis lie `strides` elements apart, from the start of the view.
    case strided(ByteView, strides: [Int])
    /// Row-major after inflating; `skip` bytes precede them in the inflated file.
    case deflated(ZipEntry, skip: Int)
    /// Integers of 8 bits and the scale of each row.
    indirect case rowScaled(ArchiveEntry, ArchiveEntry)
    /// Nowhere: only its shape is known.
    case absent
}

/// An array in a file. Nothing is read before one of its methods is called.
package struct ArchiveEntry: Sendable {
    package let name: String
    /// What the elements are read as.
    package let dtype: DType
    package let shape: Shape
    let type: ElementType
    let payload: Payload
    let isBigEndian: Bool
    /// Over bytes that `payload` views in place; a deflated payload has its own.
    private let seal: Seal?

    init(
        _ name: String, _ type: ElementType, _ shape: Shape, _ payload: Payload,
        isBigEndian: Bool = false, seal: Seal? = nil
    ) {
        self.name = name
        self.type = type
        self.shape = shape
        self.payload = payload
        self.isBigEndian = isBigEndian && type.storedSize > 1
        self.seal = seal
        dtype = type.dtype
    }

    /// An array in memory: `bytes` are row-major and as many as the shape says.
    package init(_ name: String, _ dtype: DType, _ shape: Shape, bytes: ByteView) {
        precondition(bytes.count == shape.count * dtype.size)
        self.init(name, ElementType(dtype), shape, .plain(bytes))
    }

    /// An array of which no more than this is known; to read it is an error.
    package init(describing name: String, _ dtype: DType, _ shape: Shape) {
        self.init(name, ElementType(dtype), shape, .absent)
    }

    package var count: Int { shape.count }
    package var byteCount: Int { shape.count * dtype.size }

    /// The type for reports: `f32`; `f16 (F8_E4M3 in the file)` where the file has another.
    package var typeText: String {
        if case .rowScaled = payload { return "\(dtype.name) (I8 in the file, a scale a row)" }
        return type.float8.map { "\(dtype.name) (\($0.rawValue) in the file)" } ?? dtype.name
    }

    /// The same array under another name.
    package func renamed(_ name: String) -> ArchiveEntry {
        ArchiveEntry(name, type, shape, payload, isBigEndian: isBigEndian, seal: seal)
    }

    /// The same elements under another shape of the same count.
    package func reshaped(_ shape: Shape) throws(USPError) -> ArchiveEntry {
        try require(shape.count == count, .shape, "\(name): cannot view \(self.shape) as \(shape)")
        return ArchiveEntry(name, ElementType(dtype), shape, .plain(try bytes()))
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
        return ArchiveEntry(name, ElementType(dtype), part, .plain(view))
    }

    /// The bytes as they are in the file, if they are there as `dtype`, row-major and
    /// little-endian.
    ///
    /// - Throws: `.format` if the file has a checksum of them, and it differs; `.io` if others
    ///   wrote
    ///   to it
    package var plainBytes: ByteView? {
        get throws(USPError) {
            guard case .plain(let view) = payload, !isBigEndian, type.float8 == nil else {
                return nil
            }
            try seal?.verify()
            try view.expectUnchanged()
            return view
        }
    }

    /// Integers and the scale of each row, where the file has those: as they are in it.
    ///
    /// - Throws: as `plainBytes`
    package var integerRows: (values: ByteView, scales: [Float])? {
        get throws(USPError) {
            guard case .rowScaled(let integers, let scales) = payload,
                let values = try integers.plainBytes
            else { return nil }
            try SystemMemory.expect(scales.count, of: Float.self)
            let bytes = try scales.bytes()
            return (
                values,
                (0..<scales.count).map {
                    bytes.base.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self)
                }
            )
        }
    }

    /// Row-major little-endian bytes: the file's own where possible, else a copy.
    ///
    /// - Throws: as `plainBytes`; `.memory`
    package func bytes() throws(USPError) -> ByteView {
        if let view = try plainBytes { return view }
        let buffer = try ByteBuffer(count: byteCount)
        try copy(into: buffer.bytes)
        return buffer.view
    }

    /// Writes row-major little-endian bytes to `target`, which has `byteCount` of them.
    ///
    /// - Throws: as `bytes`
    package func copy(into target: UnsafeMutableRawBufferPointer) throws(USPError) {
        precondition(target.count == byteCount)
        guard let float8 = type.float8 else {
            try copyStored(into: target)
            if isBigEndian { swapBytes(target, dtype.size) }
            return
        }
        let stored = try ByteBuffer(count: count)
        try copyStored(into: stored.bytes)
        float8.widen(stored.view, into: target)
    }

    /// Row-major, of the type and in the byte order of the file.
    private func copyStored(into target: UnsafeMutableRawBufferPointer) throws(USPError) {
        try seal?.verify()
        switch payload {
        case .plain(let view):
            target.copyMemory(from: view.bytes)
            try view.expectUnchanged()
        case .strided(let view, let strides):
            gather(view, strides, into: target)
            try view.expectUnchanged()
        case .deflated(let member, let skip):
            try member.inflate(skip: skip, into: target)
        case .rowScaled(let integers, let scales):
            try RowScaled.widen(integers, scales, into: target)
        case .absent: throw USPError(.internal, "\(name): only its shape is known")
        }
    }

    /// Copies elements that lie apart, in row-major order.
    private func gather(
        _ view: ByteView, _ strides: [Int], into target: UnsafeMutableRawBufferPointer
    ) {
        // SAFETY: the reader of the file has checked that the last element ends inside the view.
        guard count > 0, var to = target.baseAddress else { return }
        let size = type.storedSize
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
