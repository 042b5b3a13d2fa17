// Where in a pickle there are arrays: lists of a million numbers need no visit.

/// Which containers hold, at any depth, something else than plain values.
struct PickleHoldings {
    private let lists: Int
    private var isHolding: [Bool]

    /// - Complexity: linear in the values of the arena, however they share each other
    init(_ arena: PickleArena) {
        lists = arena.lists.count
        isHolding = [Bool](repeating: false, count: lists + arena.dictionaries.count)
        // The containers around each one, as chains of edges.
        var newest = [Int](repeating: -1, count: isHolding.count)
        var edges: [(parent: Int, next: Int)] = []
        var pending: [Int] = []
        func look(_ value: PickleValue, in parent: Int) {
            if let child = position(value) {
                edges.append((parent, newest[child]))
                newest[child] = edges.count - 1
            } else if PickleHoldings.isNoPlainValue(value), !isHolding[parent] {
                isHolding[parent] = true
                pending.append(parent)
            }
        }
        for (index, list) in arena.lists.enumerated() {
            for value in list { look(value, in: index) }
        }
        for (index, dictionary) in arena.dictionaries.enumerated() {
            for (_, value) in dictionary { look(value, in: lists + index) }
        }
        while let child = pending.popLast() {
            var edge = newest[child]
            while edge >= 0 {
                let parent = edges[edge].parent
                if !isHolding[parent] {
                    isHolding[parent] = true
                    pending.append(parent)
                }
                edge = edges[edge].next
            }
        }
    }

    /// Whether this container holds one; false for what is no container.
    func contains(_ value: PickleValue) -> Bool { position(value).map { isHolding[$0] } ?? false }

    private func position(_ value: PickleValue) -> Int? {
        switch value {
        case .list(let index), .tuple(let index): index
        case .dictionary(let index): lists + index
        default: nil
        }
    }

    private static func isNoPlainValue(_ value: PickleValue) -> Bool {
        switch value {
        case .none, .bool, .integer, .number, .text, .bytes, .numpyType: false
        case .tuple, .list, .dictionary: false
        case .global, .storage, .tensor, .array, .module, .opaque: true
        }
    }
}
