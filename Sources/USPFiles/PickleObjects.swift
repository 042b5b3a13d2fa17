// The pickle machine's objects: an allow-list of tensor constructors and plain containers. Whatever
// else a file would have constructed or called stays an opaque name.

import USPBase

extension PickleReader {
    mutating func object(_ code: UInt8) throws(USPError) {
        switch Unicode.Scalar(code) {
        case "c":
            let module = try reader.line()
            push(.global("\(module).\(try reader.line())"))
        case "\u{93}": try stackGlobal()
        case "P":
            _ = try reader.line()
            push(.opaque("a persistent object"))
        case "Q": push(try persistent(try pop()))
        case "R", "\u{81}":
            let arguments = try pop()
            push(try construct(try pop(), arguments))
        case "\u{92}":
            _ = try pop()
            let arguments = try pop()
            push(try construct(try pop(), arguments))
        case "b": try build()
        case "i":
            let module = try reader.line()
            let name = "\(module).\(try reader.line())"
            _ = try popToMark()
            push(.opaque(name))
        default:  // OBJ
            let values = try popToMark()
            push(.opaque(values.first?.kind ?? "an object"))
        }
    }

    private mutating func stackGlobal() throws(USPError) {
        let name = try pop()
        guard case .text(let name) = name, case .text(let module) = try pop() else {
            throw failure("a global without a name")
        }
        push(.global("\(module).\(name)"))
    }

    /// The state of an object: ignored, as none of ours has one that matters (a state dictionary's
    /// is `_metadata`).
    private mutating func build() throws(USPError) {
        _ = try pop()
        switch try top() {
        case .dictionary, .opaque, .tensor: break
        case let other: throw failure("a state for \(other.kind)")
        }
    }

    /// `("storage", type, key, device, count[, view])`, as PyTorch refers to tensor contents.
    private mutating func persistent(_ value: PickleValue) throws(USPError) -> PickleValue {
        guard let parts = arena.elements(value), parts.count >= 5,
            case .text("storage") = parts[0]
        else { return .opaque("a persistent object") }
        guard case .global(let type) = parts[1], let key = keyText(parts[2]),
            case .integer(let count) = parts[4], count >= 0
        else { throw failure("a storage without type, key and size") }
        var storage = PickleStorage(
            dtype: TorchTypes.storages[type], typeName: type,
            isUntyped: type.hasSuffix("UntypedStorage"), key: key, count: count)
        if parts.count > 5, let view = arena.elements(parts[5]) {
            guard view.count == 3, case .integer(let offset) = view[1], offset >= 0,
                case .integer(let size) = view[2], size >= 0
            else { throw failure("a storage view without offset and size") }
            storage = PickleStorage(
                dtype: storage.dtype, typeName: type, isUntyped: false, key: key, count: size,
                offset: offset)
        }
        arena.storages.append(storage)
        return .storage(arena.storages.count - 1)
    }

    private func keyText(_ value: PickleValue) -> String? {
        switch value {
        case .text(let text): text
        case .integer(let number): String(number)
        default: nil
        }
    }

    private mutating func construct(
        _ callable: PickleValue, _ arguments: PickleValue
    ) throws(USPError) -> PickleValue {
        guard case .global(let name) = callable, let arguments = arena.elements(arguments) else {
            return .opaque(callable.kind)
        }
        return try call(name, arguments)
    }

    /// The allow-list.
    private mutating func call(
        _ name: String, _ arguments: [PickleValue]
    ) throws(USPError) -> PickleValue {
        switch name {
        case "torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2":
            return try tensor(arguments, type: nil)
        case "torch._utils._rebuild_tensor_v3":
            guard arguments.count > 6, case .global(let type) = arguments[6] else {
                throw failure("a tensor without a type")
            }
            return try tensor(arguments, type: type)
        case "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state":
            guard let data = arguments.first else { throw failure("a parameter without data") }
            return data
        case "torch._tensor._rebuild_from_type_v2":
            guard arguments.count > 2, case .global(let inner) = arguments[0],
                inner != name, let values = arena.elements(arguments[2])
            else { return .opaque(name) }
            return try call(inner, values)
        case "collections.OrderedDict", "collections.defaultdict", "builtins.dict",
            "__builtin__.dict":
            return try dictionary(arguments)
        case "torch.Size":
            return arena.tuple(arena.elements(arguments.first) ?? [])
        default:
            return .opaque(name)
        }
    }

    private mutating func tensor(
        _ arguments: [PickleValue], type: String?
    ) throws(USPError) -> PickleValue {
        guard arguments.count >= 4, case .storage(let storage) = arguments[0],
            case .integer(let offset) = arguments[1],
            let shape = arena.integers(arguments[2]), let strides = arena.integers(arguments[3])
        else { throw failure("a tensor without storage, offset, shape and strides") }
        arena.tensors.append(
            PickleTensor(
                storage: storage, offset: offset, shape: shape, strides: strides, typeName: type))
        return .tensor(arena.tensors.count - 1)
    }

    /// A dictionary of the pairs that its constructor was given, if any.
    private mutating func dictionary(_ arguments: [PickleValue]) throws(USPError) -> PickleValue {
        let result = arena.dictionary()
        guard case .dictionary(let index) = result else { return result }
        let pairs = arena.elements(arguments.first) ?? []
        try count(steps: pairs.count)
        for pair in pairs {
            guard let items = arena.elements(pair), items.count == 2 else {
                throw failure("a dictionary from something else than pairs")
            }
            arena.dictionaries[index].append((items[0], items[1]))
        }
        return result
    }
}

/// PyTorch's names of element types.
enum TorchTypes {
    /// By storage class; untyped storages count bytes.
    static let storages: [String: DType] = {
        var result: [String: DType] = [
            "torch.storage.UntypedStorage": .uint8, "torch.UntypedStorage": .uint8,
        ]
        for dtype in DType.allCases { result["torch.\(storageName(dtype))"] = dtype }
        return result
    }()

    /// By `torch.dtype`.
    static let names: [String: DType] = {
        var result: [String: DType] = [:]
        for dtype in DType.allCases { result["torch.\(typeName(dtype))"] = dtype }
        return result
    }()

    static func storageName(_ dtype: DType) -> String {
        switch dtype {
        case .float32: "FloatStorage"
        case .bfloat16: "BFloat16Storage"
        case .float16: "HalfStorage"
        case .float64: "DoubleStorage"
        case .int64: "LongStorage"
        case .int32: "IntStorage"
        case .int16: "ShortStorage"
        case .int8: "CharStorage"
        case .uint8: "ByteStorage"
        case .bool: "BoolStorage"
        }
    }

    private static func typeName(_ dtype: DType) -> String {
        switch dtype {
        case .float32: "float32"
        case .bfloat16: "bfloat16"
        case .float16: "float16"
        case .float64: "float64"
        case .int64: "int64"
        case .int32: "int32"
        case .int16: "int16"
        case .int8: "int8"
        case .uint8: "uint8"
        case .bool: "bool"
        }
    }
}
