// Large blocks side by side in one range of addresses: what one gives back, others of any size use.

import USPBase

/// Cuts blocks from a range of `capacity` bytes: the smallest hole that fits, or else fresh bytes
/// after all blocks. Neighbouring holes become one. Knows offsets only.
package struct BlockHeap {
    package struct Hole {
        package fileprivate(set) var start: Int
        package fileprivate(set) var end: Int
        package var size: Int { end - start }
    }

    package let capacity: Int
    /// First byte after all blocks.
    package private(set) var end = 0
    /// In order; none touches another or the end.
    package private(set) var holes: [Hole] = []

    package init(capacity: Int) { self.capacity = capacity }

    /// Where the block lies; nil if the range has no room.
    /// - Complexity: the number of holes.
    package mutating func take(_ size: Int) -> Int? {
        var best: Int?
        for (index, hole) in holes.enumerated()
        where hole.size >= size && best.map({ hole.size < holes[$0].size }) ?? true {
            best = index
        }
        if let best {
            let start = holes[best].start
            holes[best].start += size
            if holes[best].size == 0 { holes.remove(at: best) }
            return start
        }
        guard size <= capacity - end else { return nil }
        end += size
        return end - size
    }

    package mutating func give(_ start: Int, _ size: Int) {
        var index = holes.partitioningIndex { $0.start > start }
        holes.insert(Hole(start: start, end: start + size), at: index)
        if index > 0 && holes[index - 1].end == start {
            index -= 1
            holes[index].end = start + size
            holes.remove(at: index + 1)
        }
        if index + 1 < holes.count && holes[index].end == holes[index + 1].start {
            holes[index].end = holes[index + 1].end
            holes.remove(at: index + 1)
        }
        if holes[index].end == end { end = holes.remove(at: index).start }
    }
}

extension Array {
    /// Index of the first element that the condition, false before and true after, accepts.
    fileprivate func partitioningIndex(_ condition: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if condition(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
