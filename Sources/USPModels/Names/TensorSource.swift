// Where a parameter's values come from in a file, and how they become f32.

import USPBase
import USPFiles
import USPTensor

/// The arrays of a file that together are one parameter: stacked along the first axis, with rows
/// scaled if the file keeps factors apart.
package struct TensorSource: Sendable {
    package internal(set) var parts: [ArchiveEntry]
    package internal(set) var rowScale: ArchiveEntry?
    /// Whether the same values may be seen in another shape (1x1 convolutions as matrices).
    let reshapes: Bool
    /// Axes of length 1 that our shape has in front of the file's.
    var leading = 0

    /// The name of a part that no file has.
    static let zeros = "(zeros)"

    /// The shape of the stacked parts.
    package var shape: Shape {
        guard parts.count > 1, let first = parts.first, first.shape.rank > 0 else {
            let own = parts.first?.shape ?? []
            return Shape([Int](repeating: 1, count: leading) + own.extents)
        }
        let rows = parts.reduce(0) { $0 + ($1.shape.extents.first ?? 0) }
        return Shape([rows] + first.shape.extents.dropFirst())
    }

    package var dtype: DType { parts.first?.dtype ?? .float32 }
    package var names: [String] { parts.map(\.name) + (rowScale.map { [$0.name] } ?? []) }

    package func fits(_ shape: Shape) -> Bool {
        self.shape == shape || (reshapes && self.shape.count == shape.count)
    }

    /// A view of the file itself, if it holds the parameter as we use it.
    ///
    /// - Throws: `.format` if the file's checksum of it differs
    package func borrowed(_ shape: Shape) throws(USPError) -> Tensor? {
        guard parts.count == 1, rowScale == nil, dtype == .float32,
            let view = try parts[0].plainBytes, view.isAligned(to: 4)
        else { return nil }
        // SAFETY: mapped read-only; parameters without a slab are never written. The view's owner
        // keeps the file mapped for as long as the storage lives.
        let base = UnsafeMutableRawPointer(mutating: view.base)
        return Tensor(
            shape, .float32,
            storage: Storage(
                base: base, byteCount: view.count, owner: view.owner,
                isMapped: view.owner is MappedFile))
    }

    /// The same of 8-bit integers with a scale for each row: floats that are made only if they are
    /// read.
    func borrowedIntegers(_ shape: Shape) throws(USPError) -> Tensor? {
        guard parts.count == 1, rowScale == nil, let (values, scales) = try parts[0].integerRows,
            scales.count == shape.extents.first, values.count == shape.count
        else { return nil }
        // SAFETY: as many as the shape says; the owner keeps them.
        let integers = IntegerRows(
            values: values.base.assumingMemoryBound(to: Int8.self), scales: scales,
            length: shape.count / max(scales.count, 1), release: values.release)
        return Tensor(
            shape, .float32, storage: try Storage(widening: integers, owner: values.owner))
    }

    /// Writes the values to the f32 tensor `target`, and lets go of the file's pages.
    ///
    /// - Throws: `.shape` if they are not as many as it holds
    package func fill(_ target: Tensor) throws(USPError) {
        let count = parts.reduce(0) { $0 + $1.count }
        try require(
            count == target.count, .shape,
            "\(names.first ?? ""): \(shape), \(target.shape) expected")
        var start = target.floats
        for part in parts {
            try require(
                part.dtype != .int8, .format,
                "\(part.name): i8 without a scale a row, expected \(part.name)\(RowScaled.suffix), f32, "
                    + "beside it")
            try part.fill(start)
            start += part.count
        }
        guard let rowScale else { return }
        var factors = [Float](repeating: 0, count: rowScale.count)
        try factors.fillAsFloats(rowScale)
        let width = count / max(factors.count, 1)
        for (row, factor) in factors.enumerated() {
            for i in row * width..<(row + 1) * width { target.floats[i] *= factor }
        }
    }
}

extension ArchiveEntry {
    /// Writes the elements to `target`, which has room for them, as f32.
    package func fill(_ target: UnsafeMutablePointer<Float>) throws(USPError) {
        guard count > 0 else { return }
        if dtype == .float32 {
            try copy(into: UnsafeMutableRawBufferPointer(start: target, count: byteCount))
            try plainBytes?.release()
            return
        }
        let view = try bytes()
        // SAFETY: the view has `count` elements, each range is written by one thread.
        nonisolated(unsafe) let (source, target) = (view.base, target)
        let (dtype, count) = (dtype, count)
        let isFast = dtype == .float16 || dtype == .bfloat16
        if isFast {
            parallelRanges(count, grain: 1 << 18) { range in
                let words = source + range.lowerBound * 2
                for i in 0..<range.count {
                    let word = words.loadUnaligned(fromByteOffset: 2 * i, as: UInt16.self)
                    target[range.lowerBound + i] =
                        dtype == .bfloat16
                        ? Float(bitPattern: UInt32(word) << 16) : floatFromHalf(word)
                }
            }
        } else {
            try convertSlowly(view, target)
        }
        try view.expectUnchanged()
        view.release()
    }

    private func convertSlowly(
        _ view: ByteView, _ target: UnsafeMutablePointer<Float>
    ) throws(USPError) {
        let aligned = view.isAligned(to: dtype.size) ? view : try ByteBuffer(view.bytes).view
        defer { withExtendedLifetime(aligned.owner) {} }
        // SAFETY: both views cover `count` elements; the source is only read.
        let source = try StridedView(
            UnsafeMutableRawPointer(mutating: aligned.base), [count], strides: [], dtype, name)
        try StridedView(target, [count], strides: [], .float32, name).copy(from: source)
    }
}

/// IEEE half precision to single, without branches that a loop would stumble over.
@inline(__always)
private func floatFromHalf(_ word: UInt16) -> Float {
    // Exponent and fraction moved up are the value times 2⁻¹¹², subnormals included.
    let scaled = Float(bitPattern: UInt32(word & 0x7FFF) << 13) * 0x1p112
    let special: UInt32 = word & 0x7C00 == 0x7C00 ? 0x7F80_0000 : 0
    return Float(bitPattern: scaled.bitPattern | special | UInt32(word & 0x8000) << 16)
}

extension Array where Element == Float {
    /// Replaces the values by an entry's, of which there are as many.
    package mutating func fillAsFloats(_ entry: ArchiveEntry) throws(USPError) {
        try require(
            entry.count == count, .shape, "\(entry.name): \(entry.shape), \(count) values expected")
        try SystemMemory.expect(count, of: Float.self)
        let tensor = try Tensor([count])
        try entry.fill(tensor.floats)
        self = tensor.values
    }
}
