// The pickle machine's lists, tuples, dictionaries and sets.

import USPBase

extension PickleReader {
    mutating func container(_ code: UInt8) throws(USPError) {
        switch Unicode.Scalar(code) {
        case "]": push(arena.list([]))
        case "l": push(arena.list(try popToMark()))
        case ")": push(arena.tuple([]))
        case "t": push(arena.tuple(try popToMark()))
        case "\u{85}": try pushTuple(1)
        case "\u{86}": try pushTuple(2)
        case "\u{87}": try pushTuple(3)
        case "}": push(arena.dictionary())
        case "d":
            let items = try popToMark()
            let dictionary = arena.dictionary()
            try set(items, in: dictionary)
            push(dictionary)
        case "a":
            let value = try pop()
            try append([value], to: try top())
        case "e":
            let values = try popToMark()
            try append(values, to: try top())
        case "s":
            let value = try pop()
            let key = try pop()
            try set([key, value], in: try top())
        case "u":
            let items = try popToMark()
            try set(items, in: try top())
        case "\u{8F}": push(.opaque("a set"))
        case "\u{90}":
            _ = try popToMark()
            _ = try top()
        case "\u{91}":
            _ = try popToMark()
            push(.opaque("a set"))
        default:
            throw failure("unknown instruction 0x\(String(code, radix: 16))")
        }
    }

    private mutating func pushTuple(_ count: Int) throws(USPError) {
        var values: [PickleValue] = []
        for _ in 0..<count { values.append(try pop()) }
        push(arena.tuple(values.reversed()))
    }

    private mutating func append(
        _ values: [PickleValue], to target: PickleValue
    ) throws(USPError) {
        switch target {
        case .list(let index): arena.lists[index] += values
        case .opaque: break
        default: throw failure("an element for \(target.kind), which is no list")
        }
    }

    /// Sets alternating keys and values.
    private mutating func set(
        _ items: [PickleValue], in target: PickleValue
    ) throws(USPError) {
        guard items.count % 2 == 0 else { throw failure("a key without a value") }
        switch target {
        case .dictionary(let index):
            for i in stride(from: 0, to: items.count, by: 2) {
                arena.dictionaries[index].append((items[i], items[i + 1]))
            }
        case .opaque: break
        default: throw failure("an item for \(target.kind), which is no dictionary")
        }
    }
}
