// Shapes and strides that a file claims, checked before anything is read through them.

import USPBase

extension ArchiveEntry {
    /// The entry over strided elements, once every element is known to lie inside `storage`.
    ///
    /// - Throws: `.format`; `.unsupported` for an array that is no damage but cannot be read
    /// - offset, strides: in elements
    /// - seal: over all of `storage`
    /// - limit: bytes that a copy may take at most (repeated elements can make it large)
    static func checked(
        _ name: String, _ type: ElementType, _ extents: [Int], strides: [Int], offset: Int,
        storage: ByteView, limit: Int, isBigEndian: Bool = false, seal: Seal? = nil
    ) throws(USPError) -> ArchiveEntry {
        let shape = try checkedShape(name, type.dtype, extents)
        try require(
            strides.count == extents.count && offset >= 0 && strides.allSatisfy { $0 >= 0 },
            .format,
            "\(name): strides \(strides) and offset \(offset) for the shape \(shape)")
        let start = try CheckedMath.multiply(offset, type.storedSize, name)
        if shape.count == 0 {
            return ArchiveEntry(name, type, shape, .plain(try storage.part(0, 0, name)))
        }
        var last = 0
        for (extent, stride) in zip(extents, strides) {
            last = try CheckedMath.add(
                last, try CheckedMath.multiply(extent - 1, stride, name), name)
        }
        let span = try CheckedMath.multiply(
            try CheckedMath.add(last, 1, name), type.storedSize, name)
        let view = try storage.part(start, span, name)
        if isContiguous(extents, strides) {
            return ArchiveEntry(
                name, type, shape, .plain(view), isBigEndian: isBigEndian, seal: seal)
        }
        let size = shape.count * type.dtype.size
        try require(
            size <= max(limit, 1 << 20), .unsupported,
            "\(name): \(shape) would take \(size) bytes, more than its file has (\(limit))")
        return ArchiveEntry(
            name, type, shape, .strided(view, strides: strides), isBigEndian: isBigEndian,
            seal: seal)
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
///
/// - Throws: `.unsupported` for more axes, `.format` for what no file should have
func checkedShape(
    _ name: String, _ dtype: DType, _ extents: [Int]
) throws(USPError) -> Shape {
    try require(
        extents.count <= 8, .unsupported,
        "\(name): \(extents.count) axes, more than 8, are not read")
    do {
        // A zero hides an overflow in what is left, so the others are checked by themselves.
        _ = try Shape.checked(extents.filter { $0 != 0 }, dtype: dtype, "shape")
        return try Shape.checked(extents, dtype: dtype, "shape")
    } catch {
        throw USPError(.format, "\(name): \(error.message)")
    }
}
