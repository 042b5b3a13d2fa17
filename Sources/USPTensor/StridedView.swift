// Arrays in somebody else's memory: any strides, any element type; gathered into tensors and back.

import USPBase

/// The description of an array that the library does not own, checked once.
package struct StridedView: @unchecked Sendable {
    // SAFETY of @unchecked: a pointer for the length of a call; the call's caller owns the memory.
    package let base: UnsafeMutableRawPointer?
    package let shape: Shape
    /// In elements, one for each axis, none negative.
    package let strides: [Int]
    package let dtype: DType
    package let name: String

    /// - strides: all zero means contiguous
    /// - Throws: `.argument` for NULL with elements, misalignment, negative strides;
    ///   `.shape` for extents that are negative or do not fit
    package init(
        _ base: UnsafeMutableRawPointer?, _ shape: [Int], strides: [Int], _ dtype: DType,
        _ name: String
    ) throws(USPError) {
        let checked = try Shape.checked(shape, dtype: dtype, name)
        try require(
            strides.allSatisfy { $0 >= 0 }, .argument, "\(name): strides \(strides) are negative")
        if checked.count > 0 {
            try require(base != nil, .argument, "\(name): data is NULL for the shape \(checked)")
            try require(
                UInt(bitPattern: base) % UInt(dtype.size) == 0, .argument,
                "\(name): data is not aligned to its \(dtype.size)-byte elements")
        }
        self.base = base
        self.shape = checked
        self.dtype = dtype
        self.name = name
        let isDefault = strides.allSatisfy { $0 == 0 }
        self.strides = isDefault ? StridedView.contiguous(checked) : strides
        _ = try lastOffset()
    }

    /// Row-major strides of a shape, in elements.
    package static func contiguous(_ shape: Shape) -> [Int] {
        var strides = [Int](repeating: 1, count: shape.rank)
        for axis in stride(from: shape.rank - 2, through: 0, by: -1) {
            strides[axis] = strides[axis + 1] &* max(shape[axis + 1], 1)
        }
        return strides
    }

    /// Whether the elements lie one after the other.
    package var isContiguous: Bool {
        var expected = 1
        for axis in stride(from: shape.rank - 1, through: 0, by: -1) where shape[axis] != 1 {
            if strides[axis] != expected { return false }
            expected *= shape[axis]
        }
        return true
    }

    /// Whether no two elements share an address, as an output needs it.
    ///
    /// Sufficient, and met by every slice and transposition of a contiguous array.
    package var isWritable: Bool {
        let axes = shape.extents.indices.filter { shape[$0] > 1 }.sorted {
            strides[$0] < strides[$1]
        }
        var reach = 0
        for axis in axes {
            if strides[axis] <= reach { return false }
            reach += strides[axis] * (shape[axis] - 1)
        }
        return true
    }

    /// The contents as a tensor: a view of the same memory where it is contiguous, else a copy.
    package func tensor() throws(USPError) -> Tensor {
        guard let base, isContiguous else { return try gathered(as: dtype) }
        let storage = Storage(base: base, byteCount: shape.count * dtype.size, owner: nil)
        return Tensor(shape, dtype, storage: storage)
    }

    /// The contents as a tensor of its own, converted.
    package func gathered(as dtype: DType) throws(USPError) -> Tensor {
        let result = try Tensor(shape, dtype)
        try StridedView(result, "copy").copy(from: self)
        return result
    }

    /// A whole tensor as a view.
    package init(_ tensor: Tensor, _ name: String) {
        base = tensor.raw
        shape = tensor.shape
        strides = StridedView.contiguous(tensor.shape)
        dtype = tensor.dtype
        self.name = name
    }

    /// Writes a tensor of the same count here, converted.
    package func write(_ tensor: Tensor) throws(USPError) {
        try copy(from: StridedView(tensor.reshaped(shape), name))
    }

    private func lastOffset() throws(USPError) -> Int {
        var last = 0
        for (extent, stride) in zip(shape.extents, strides) where extent > 1 {
            let reach = try CheckedMath.multiply(extent - 1, stride, name)
            last = try CheckedMath.add(last, reach, name)
        }
        return try CheckedMath.multiply(try CheckedMath.add(last, 1, name), dtype.size, name)
    }
}

extension StridedView {
    /// Element by element, converting the type where it differs.
    ///
    /// - Throws: `.shape` if the shapes differ
    package func copy(from source: StridedView) throws(USPError) {
        try require(
            source.shape == shape, .shape, "\(name): shape \(shape), expected \(source.shape)")
        guard shape.count > 0, let target = base, let origin = source.base else { return }
        if isContiguous && source.isContiguous && dtype == source.dtype {
            target.copyMemory(from: origin, byteCount: shape.count * dtype.size)
            return
        }
        let inner = shape.rank - 1
        let row = inner < 0 ? 1 : shape[inner]
        let steps = inner < 0 ? (1, 1) : (strides[inner], source.strides[inner])
        var index = [Int](repeating: 0, count: max(inner, 0))
        for _ in 0..<(shape.count / row) {
            var offsets = (0, 0)
            for axis in index.indices {
                offsets.0 += index[axis] * strides[axis]
                offsets.1 += index[axis] * source.strides[axis]
            }
            convertRow(
                from: origin + offsets.1 * source.dtype.size, source.dtype, steps.1,
                to: target + offsets.0 * dtype.size, dtype, steps.0, count: row)
            advance(&index)
        }
    }

    private func advance(_ index: inout [Int]) {
        for axis in stride(from: index.count - 1, through: 0, by: -1) {
            index[axis] += 1
            if index[axis] < shape[axis] { return }
            index[axis] = 0
        }
    }
}

/// One row of elements, strided on both sides.
private func convertRow(
    from source: UnsafeMutableRawPointer, _ sourceType: DType, _ sourceStep: Int,
    to target: UnsafeMutableRawPointer, _ targetType: DType, _ targetStep: Int, count: Int
) {
    if sourceType == targetType {
        let size = sourceType.size
        for i in 0..<count {
            (target + i * targetStep * size).copyMemory(
                from: source + i * sourceStep * size, byteCount: size)
        }
    } else if sourceType.isInteger && targetType.isInteger {
        for i in 0..<count {
            store(
                integer: loadInteger(source, sourceType, i * sourceStep), target, targetType,
                i * targetStep)
        }
    } else {
        for i in 0..<count {
            store(
                real: loadReal(source, sourceType, i * sourceStep), target, targetType,
                i * targetStep)
        }
    }
}

private func loadReal(_ base: UnsafeMutableRawPointer, _ dtype: DType, _ index: Int) -> Double {
    switch dtype {
    case .float32: Double(base.assumingMemoryBound(to: Float.self)[index])
    case .float64: base.assumingMemoryBound(to: Double.self)[index]
    case .bfloat16:
        Double(Float(bitPattern: UInt32(base.assumingMemoryBound(to: UInt16.self)[index]) << 16))
    case .float16:
        Double(Float(Float16(bitPattern: base.assumingMemoryBound(to: UInt16.self)[index])))
    default: Double(loadInteger(base, dtype, index))
    }
}

private func loadInteger(_ base: UnsafeMutableRawPointer, _ dtype: DType, _ index: Int) -> Int64 {
    switch dtype {
    case .int64: base.assumingMemoryBound(to: Int64.self)[index]
    case .int32: Int64(base.assumingMemoryBound(to: Int32.self)[index])
    case .int16: Int64(base.assumingMemoryBound(to: Int16.self)[index])
    case .int8: Int64(base.assumingMemoryBound(to: Int8.self)[index])
    case .bool: base.assumingMemoryBound(to: UInt8.self)[index] == 0 ? 0 : 1
    default: Int64(base.assumingMemoryBound(to: UInt8.self)[index])
    }
}

private func store(
    real value: Double, _ base: UnsafeMutableRawPointer, _ dtype: DType, _ index: Int
) {
    switch dtype {
    case .float32: base.assumingMemoryBound(to: Float.self)[index] = Float(value)
    case .float64: base.assumingMemoryBound(to: Double.self)[index] = value
    case .bfloat16: base.assumingMemoryBound(to: UInt16.self)[index] = bfloat16(Float(value))
    case .float16: base.assumingMemoryBound(to: UInt16.self)[index] = Float16(value).bitPattern
    case .bool: base.assumingMemoryBound(to: UInt8.self)[index] = value == 0 ? 0 : 1
    default:
        let bounded = value.isNaN ? 0 : max(-0x1p63, min(value, 0x1.fffffffffffffp62))
        store(integer: Int64(bounded), base, dtype, index)
    }
}

private func store(
    integer value: Int64, _ base: UnsafeMutableRawPointer, _ dtype: DType, _ index: Int
) {
    switch dtype {
    case .int64: base.assumingMemoryBound(to: Int64.self)[index] = value
    case .int32: base.assumingMemoryBound(to: Int32.self)[index] = Int32(clamping: value)
    case .int16: base.assumingMemoryBound(to: Int16.self)[index] = Int16(clamping: value)
    case .int8: base.assumingMemoryBound(to: Int8.self)[index] = Int8(clamping: value)
    case .bool: base.assumingMemoryBound(to: UInt8.self)[index] = value == 0 ? 0 : 1
    default: base.assumingMemoryBound(to: UInt8.self)[index] = UInt8(clamping: value)
    }
}

/// To nearest, ties to even; NaN stays NaN.
private func bfloat16(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    if value.isNaN { return UInt16(truncatingIfNeeded: bits >> 16) | 0x40 }
    return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ ((bits >> 16) & 1)) >> 16)
}

extension DType {
    fileprivate var isInteger: Bool {
        switch self {
        case .int64, .int32, .int16, .int8, .uint8, .bool: true
        case .float32, .bfloat16, .float16, .float64: false
        }
    }
}
