// A row-major array with a shape and an element type. What happens to it is in Operations/.

import USPBase

/// A dense row-major view of a storage; views of one value (`reshaped`) share its node.
public final class Tensor: @unchecked Sendable {
    // SAFETY of @unchecked: contents are written before a tensor is shared, or by one owner.
    public let shape: Shape
    public let dtype: DType
    package let storage: Storage
    package let byteOffset: Int
    package let node: Node

    package init(
        _ shape: Shape, _ dtype: DType, storage: Storage, byteOffset: Int = 0, node: Node = Node()
    ) {
        precondition(byteOffset + shape.count * dtype.size <= storage.byteCount)
        self.shape = shape
        self.dtype = dtype
        self.storage = storage
        self.byteOffset = byteOffset
        self.node = node
    }

    /// Undefined content, from the pool.
    package convenience init(_ shape: Shape, _ dtype: DType = .float32) throws(USPError) {
        let checked = try Shape.checked(shape.extents, dtype: dtype)
        self.init(checked, dtype, storage: try Storage(byteCount: checked.count * dtype.size))
    }

    /// f32, row-major.
    public convenience init(_ shape: Shape, _ values: [Float]) throws(USPError) {
        try require(
            shape.count == values.count, .shape, "\(values.count) values for the shape \(shape)")
        try self.init(shape)
        values.withUnsafeBytes { bytes in
            if let base = bytes.baseAddress { raw.copyMemory(from: base, byteCount: bytes.count) }
        }
    }

    public static func zeros(_ shape: Shape, _ dtype: DType = .float32) throws(USPError) -> Tensor {
        let result = try Tensor(shape, dtype)
        result.fillWithZeros()
        return result
    }

    /// f32, one value throughout.
    package static func filled(_ shape: Shape, _ value: Float) throws(USPError) -> Tensor {
        let result = try Tensor(shape)
        result.floats.update(repeating: value, count: result.count)
        return result
    }

    package static func scalar(_ value: Float) throws(USPError) -> Tensor {
        try Tensor([], [value])
    }

    @inlinable package var count: Int { shape.count }
    package var byteCount: Int { shape.count * dtype.size }
    package var raw: UnsafeMutableRawPointer { storage.base + byteOffset }

    /// The elements as f32. Programmer error for other types.
    package var floats: UnsafeMutablePointer<Float> {
        precondition(dtype == .float32)
        return raw.assumingMemoryBound(to: Float.self)
    }

    /// The elements, copied, whatever of f32 and bf16 they are.
    public var values: [Float] {
        switch dtype {
        case .float32:
            return Array(UnsafeBufferPointer(start: floats, count: count))
        case .bfloat16:
            let words = raw.assumingMemoryBound(to: UInt16.self)
            return (0..<count).map { Float(bitPattern: UInt32(words[$0]) << 16) }
        default:
            preconditionFailure("tensors compute in f32 and bf16")
        }
    }

    /// Whether no value of f32 is infinite or NaN: such a value makes its product with zero a NaN.
    package var isFinite: Bool {
        let (values, whole) = (floats, count / 8 * 8)
        var sums = SIMD8<Float>.zero
        for start in stride(from: 0, to: whole, by: 8) {
            let block = UnsafeRawPointer(values + start).loadUnaligned(as: SIMD8<Float>.self)
            sums += block * 0
        }
        for index in whole..<count { sums[0] += values[index] * 0 }
        return sums.sum() == 0
    }

    /// The same value in another shape of the same count; gradients flow through.
    public func reshaped(_ shape: Shape) throws(USPError) -> Tensor {
        try require(shape.count == count, .shape, "cannot view \(self.shape) as \(shape)")
        return Tensor(shape, dtype, storage: storage, byteOffset: byteOffset, node: node)
    }

    /// A part of the storage as a value of its own: no gradient flows to the whole.
    package func detachedRows(_ range: Range<Int>) throws(USPError) -> Tensor {
        try require(
            shape.rank > 0 && range.lowerBound >= 0 && range.upperBound <= shape[0], .shape,
            "rows \(range) of \(shape)")
        let rowBytes = shape[0] == 0 ? 0 : byteCount / shape[0]
        return Tensor(
            Shape([range.count] + shape.extents.dropFirst()), dtype, storage: storage,
            byteOffset: byteOffset + range.lowerBound * rowBytes)
    }

    package func fillWithZeros() {
        raw.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    }

    /// After a copy that is read in its stead: lets go of the pages, if they are a mapped file's.
    package func releasePages() {
        if storage.isMapped { SystemMemory.discard(raw, byteCount) }
    }

    package func copy(from other: Tensor) throws(USPError) {
        try require(
            other.count == count && other.dtype == dtype, .shape,
            "copy of \(other.dtype.name) \(other.shape) into \(dtype.name) \(shape)")
        raw.copyMemory(from: other.raw, byteCount: byteCount)
    }

    package func copied() throws(USPError) -> Tensor {
        let result = try Tensor(shape, dtype)
        try result.copy(from: self)
        return result
    }
}
