// NumPy's arrays and numbers in a pickle, as data. Source: the `__reduce__` of numpy.ndarray,
// numpy.dtype and its scalars, as pickletools shows them.

import USPBase

extension PickleReader {
    /// What these constructors of NumPy's make; nil for any other name.
    mutating func numpy(
        _ name: String, _ arguments: [PickleValue]
    ) throws(USPError) -> PickleValue? {
        switch name {
        case "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct":
            arena.arrays.append(PickleArray())
            return .array(arena.arrays.count - 1)
        case "numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer":
            return frombuffer(arguments)
        case "numpy.dtype":
            guard case .text(let code)? = arguments.first else { return .opaque(name) }
            arena.numpyTypes.append(code)
            return .numpyType(arena.numpyTypes.count - 1)
        case "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar":
            return numpyScalar(arguments)
        case "__builtin__.bytes", "builtins.bytes":
            // What protocol 2 makes of no bytes.
            return arguments.isEmpty ? .bytes(try ByteBuffer(count: 0).view) : nil
        case "_codecs.encode":
            return try latin1(arguments)
        default:
            return nil
        }
    }

    /// `(version, shape, dtype, is Fortran, content)`.
    mutating func fill(array index: Int, from state: PickleValue) throws(USPError) {
        guard let parts = arena.elements(state), parts.count >= 5,
            let shape = arena.integers(parts[1]), case .numpyType(let type) = parts[2],
            case .bool(let isFortran) = parts[3]
        else { throw failure("a NumPy array without shape, type and order") }
        var array = PickleArray(
            code: arena.numpyTypes[type], shape: shape, isFortran: isFortran)
        if case .bytes(let bytes) = parts[4] { array.bytes = bytes }
        arena.arrays[index] = array
    }

    /// `(version, byte order, ...)`; the order stands in front of the code from then on.
    mutating func setByteOrder(of index: Int, from state: PickleValue) {
        guard let parts = arena.elements(state), parts.count >= 2, case .text(let order) = parts[1],
            order.utf8.count == 1, let first = arena.numpyTypes[index].first, first.isLetter
        else { return }
        arena.numpyTypes[index] = order + arena.numpyTypes[index]
    }

    /// `(buffer, dtype, shape, order)`, as pickle's protocol 5 has contiguous arrays.
    private mutating func frombuffer(_ arguments: [PickleValue]) -> PickleValue {
        guard arguments.count >= 4, case .bytes(let bytes) = arguments[0],
            case .numpyType(let type) = arguments[1], let shape = arena.integers(arguments[2]),
            case .text(let order) = arguments[3]
        else { return .opaque("a NumPy array without buffer, type, shape and order") }
        arena.arrays.append(
            PickleArray(
                code: arena.numpyTypes[type], shape: shape, isFortran: order == "F", bytes: bytes))
        return .array(arena.arrays.count - 1)
    }

    /// `(dtype, content)`.
    private func numpyScalar(_ arguments: [PickleValue]) -> PickleValue {
        guard arguments.count == 2, case .numpyType(let type) = arguments[0],
            case .bytes(let bytes) = arguments[1]
        else { return .opaque("a NumPy scalar") }
        let code = arena.numpyTypes[type]
        guard let (dtype, isBigEndian) = Npy.type(code), bytes.count == dtype.size else {
            return .opaque("a NumPy scalar (\(code))")
        }
        let raw = isBigEndian ? bytes.array.reversed() : bytes.array
        let word = raw.enumerated().reduce(UInt64(0)) { $0 | UInt64($1.element) << (8 * $1.offset) }
        switch dtype {
        case .float64: return .number(Double(bitPattern: word))
        case .float32: return .number(Double(Float(bitPattern: UInt32(truncatingIfNeeded: word))))
        case .int64: return .integer(Int(Int64(bitPattern: word)))
        case .int32: return .integer(Int(Int32(truncatingIfNeeded: word)))
        case .int16: return .integer(Int(Int16(truncatingIfNeeded: word)))
        case .int8: return .integer(Int(Int8(truncatingIfNeeded: word)))
        case .uint8: return .integer(Int(word))
        case .bool: return .bool(word != 0)
        case .float16, .bfloat16: return .opaque("a NumPy scalar (\(code))")
        }
    }

    /// The bytes that protocol 2 writes as a text of Latin-1.
    private mutating func latin1(_ arguments: [PickleValue]) throws(USPError) -> PickleValue {
        guard case .text(let text)? = arguments.first, arguments.count == 2,
            case .text("latin1") = arguments[1]
        else { return .opaque("_codecs.encode") }
        // One text may be remembered and unpacked many times.
        try count(steps: text.utf8.count / 16)
        let buffer = try ByteBuffer(count: text.utf8.count)
        var length = 0
        for scalar in text.unicodeScalars {
            guard let byte = UInt8(exactly: scalar.value) else {
                throw failure("a text that is no Latin-1")
            }
            buffer.bytes[length] = byte
            length += 1
        }
        return .bytes(try buffer.view.part(0, length, reader.what))
    }
}
