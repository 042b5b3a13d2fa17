// What a pickle describes, as plain data. Containers are numbers into an arena: no cycles to keep
// alive, no deep recursion when a hostile file nests them.

import USPBase

enum PickleValue {
    case none
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case text(String)
    /// `module.name`; only a name, never looked up.
    case global(String)
    case tuple(Int)
    case list(Int)
    case dictionary(Int)
    case storage(Int)
    case tensor(Int)
    /// An array of NumPy's.
    case array(Int)
    /// A `numpy.dtype`.
    case numpyType(Int)
    case bytes(ByteView)
    /// A pickled `torch.nn.Module`, by its class: a program with the weights somewhere inside.
    case module(String)
    /// Anything else, by what it claims to be; its content was not interpreted.
    case opaque(String)
}

/// Elements of tensors, shared by all tensors that view them.
struct PickleStorage {
    /// nil if the type is not one of ours; `typeName` then says which it is.
    let type: ElementType?
    let typeName: String
    /// Bytes, not elements: tensors bring their own type.
    let isUntyped: Bool
    let key: String
    let count: Int
    /// A storage that is part of another one (old streams): its first element there.
    var offset = 0
}

struct PickleTensor {
    let storage: Int
    /// In elements.
    let offset: Int
    let shape: [Int]
    let strides: [Int]
    /// For untyped storages.
    let typeName: String?
}

/// An array of NumPy's, whose bytes stand in the pickle itself.
struct PickleArray {
    /// As in npy files, such as `<f4`.
    var code = ""
    var shape: [Int] = []
    var isFortran = false
    /// nil for Python objects, and until they are known.
    var bytes: ByteView?
}

/// The values of one pickle.
struct PickleArena {
    var lists: [[PickleValue]] = []
    var dictionaries: [[(key: PickleValue, value: PickleValue)]] = []
    /// Which of them are modules of a TorchScript program.
    var modules: Set<Int> = []
    var storages: [PickleStorage] = []
    var tensors: [PickleTensor] = []
    var arrays: [PickleArray] = []
    /// Codes of NumPy's element types.
    var numpyTypes: [String] = []

    mutating func tuple(_ values: [PickleValue]) -> PickleValue {
        lists.append(values)
        return .tuple(lists.count - 1)
    }

    mutating func list(_ values: [PickleValue]) -> PickleValue {
        lists.append(values)
        return .list(lists.count - 1)
    }

    mutating func dictionary() -> PickleValue {
        dictionaries.append([])
        return .dictionary(dictionaries.count - 1)
    }

    /// The elements of a list or tuple.
    func elements(_ value: PickleValue?) -> [PickleValue]? {
        switch value {
        case .tuple(let index), .list(let index): lists[index]
        default: nil
        }
    }

    /// The elements of a short list or tuple of integers: a shape.
    func integers(_ value: PickleValue?) -> [Int]? {
        guard let elements = elements(value), elements.count <= 64 else { return nil }
        var result: [Int] = []
        for element in elements {
            guard case .integer(let integer) = element else { return nil }
            result.append(integer)
        }
        return result
    }
}

/// The class that an object in a file claims to be, for messages and reports.
extension PickleValue {
    var kind: String {
        switch self {
        case .none: "None"
        case .bool: "a truth value"
        case .integer: "an integer"
        case .number: "a number"
        case .text: "a text"
        case .global(let name): "the name \(name)"
        case .tuple: "a tuple"
        case .list: "a list"
        case .dictionary: "a dictionary"
        case .storage: "a storage"
        case .tensor: "a tensor"
        case .array: "a NumPy array"
        case .numpyType: "a NumPy element type"
        case .bytes: "bytes"
        case .module(let name): "a pickled module (\(name))"
        case .opaque(let name): name
        }
    }
}
