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

    /// The state of an object: NumPy's arrays have their content there, arguments of a command their
    /// names and values; that of a state dictionary is `_metadata`.
    private mutating func build() throws(USPError) {
        let state = try pop()
        switch try top() {
        case .array(let index): try fill(array: index, from: state)
        case .numpyType(let index): setByteOrder(of: index, from: state)
        case .opaque(let name) where isModule(state):
            _ = try pop()
            push(.module(name))
        case .opaque("argparse.Namespace"):
            guard case .dictionary = state else { break }
            _ = try pop()
            push(state)
        // A program's module, of which the arrays are read.
        case .opaque(let name) where name.hasPrefix("__torch__."):
            guard case .dictionary(let index) = state else { break }
            arena.modules.insert(index)
            _ = try pop()
            push(state)
        case .dictionary, .opaque, .tensor, .module: break
        case let other: throw failure("a state for \(other.kind)")
        }
    }

    /// Whether it is the state of a `torch.nn.Module`.
    private func isModule(_ state: PickleValue) -> Bool {
        guard case .dictionary(let index) = state else { return false }
        return arena.dictionaries[index].contains { key, _ in
            if case .text("_parameters") = key { true } else { false }
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
            type: TorchTypes.storages[type], typeName: type,
            isUntyped: type.hasSuffix("UntypedStorage"), key: key, count: count)
        if parts.count > 5, let view = arena.elements(parts[5]) {
            guard view.count == 3, case .integer(let offset) = view[1], offset >= 0,
                case .integer(let size) = view[2], size >= 0
            else { throw failure("a storage view without offset and size") }
            storage = PickleStorage(
                type: storage.type, typeName: type, isUntyped: false, key: key, count: size,
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
        case "torch._utils._rebuild_device_tensor_from_numpy", "torch._utils._rebuild_xla_tensor",
            "torch._utils._rebuild_device_tensor_from_cpu_tensor":
            // Of a device that is not at hand: the content as it was on the host.
            return arguments.first ?? .opaque(name)
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
            return try numpy(name, arguments) ?? .opaque(name)
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
