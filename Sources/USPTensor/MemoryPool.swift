// Memory that tensors give back is kept for the next ones: a steady loop asks the system for none.

import USPBase

/// How long a block is likely to be in use.
package enum Lifetime: Int, CaseIterable, Sendable {
    /// Within a pass or a step.
    case passing
    /// As long as a model.
    case lasting
}

/// A process-wide store of aligned blocks: large ones side by side in a range of addresses for each
/// lifetime, so that lasting blocks do not keep the holes between passing ones from growing
/// together; small ones by size class (eight classes to each doubling).
package final class MemoryPool: Sendable {
    package static let shared = MemoryPool()

    /// From here on blocks lie in a range, in whole pages.
    private static let large = 1 << 16
    private static let page = 4096
    /// Addresses cost nothing; 4 TiB are more than the memory of any machine that this is for.
    private static let rangeSize = 1 << 42
    /// A range is made usable so many bytes at a time.
    private static let stride = 4 << 20
    /// To fetch so much from the system again takes longer than to give it back.
    private static let largeRelease = 8 << 20

    /// Addresses from `start` on, and the blocks in them.
    private struct Range {
        let start: UInt
        var heap = BlockHeap(capacity: MemoryPool.rangeSize)
        /// Bytes that may be touched.
        var usable = 0

        func contains(_ address: UInt) -> Bool {
            address >= start && address - start < UInt(MemoryPool.rangeSize)
        }

        /// A block, and how often the system was asked for memory; nil if there is no room.
        mutating func cut(_ size: Int) throws(USPError) -> (address: UInt, asked: Int)? {
            guard let offset = heap.take(size) else { return nil }
            let wanted = (heap.end + stride - 1) / stride * stride
            let grows = wanted > usable
            if grows {
                do {
                    try SystemMemory.commit(start + UInt(usable), wanted - usable)
                } catch {
                    heap.give(offset, size)
                    throw error
                }
                usable = wanted
            }
            return (start + UInt(offset), grows ? 1 : 0)
        }

        /// Gives what is not in use back to the system.
        func trim() {
            func discard(_ offset: Int, _ size: Int) {
                SystemMemory.discard(UnsafeRawPointer(bitPattern: start + UInt(offset)), size)
            }
            for hole in heap.holes { discard(hole.start, hole.size) }
            discard(heap.end, usable - heap.end)
        }
    }

    private struct State {
        var free: [Int: [UInt]] = [:]
        /// One for each lifetime; none if the system refuses so many addresses: then all blocks go
        /// by size class.
        var ranges: [Range]
        var systemAllocations = 0
        var bytesInUse = 0
        var mostInUse = 0

        /// A block of a range; nil if there is none, or no room in it.
        mutating func cut(_ size: Int, _ lifetime: Lifetime) throws(USPError) -> UInt? {
            guard !ranges.isEmpty, let block = try ranges[lifetime.rawValue].cut(size) else {
                return nil
            }
            systemAllocations += block.asked
            return block.address
        }
    }

    private let state: Lock<State>

    private init() {
        let size = MemoryPool.rangeSize
        let ranges = SystemMemory.reserve(size * Lifetime.allCases.count).map { start in
            Lifetime.allCases.map { Range(start: start + UInt($0.rawValue * size)) }
        }
        state = Lock(State(ranges: ranges ?? []))
    }

    /// Allocations that went to the system since the start: constant in a steady loop.
    package var systemAllocations: Int { state.withLock { $0.systemAllocations } }

    /// The most bytes that were in use at once since the last `trim`.
    package var mostInUse: Int { state.withLock { $0.mostInUse } }

    /// Bytes of a block: at most an eighth more than asked for, at least 64.
    package static func roundedUp(_ byteCount: Int) -> Int {
        guard byteCount > 64 else { return 64 }
        let step =
            byteCount >= large
            ? page : max(64, 1 << (Int.bitWidth - byteCount.leadingZeroBitCount - 4))
        return (byteCount + step - 1) / step * step
    }

    /// A block of `roundedUp(byteCount)` bytes with undefined content.
    func take(
        _ byteCount: Int, _ lifetime: Lifetime
    ) throws(USPError) -> UnsafeMutableRawPointer {
        guard byteCount <= Int.max / 4 else {
            throw USPError(.memory, "cannot allocate \(byteCount) bytes")
        }
        let size = MemoryPool.roundedUp(byteCount)
        let address: UInt
        do {
            address = try block(size, lifetime)
        } catch {
            trim()
            address = try block(size, lifetime)
        }
        guard let pointer = UnsafeMutableRawPointer(bitPattern: address) else {
            throw USPError(.internal, "a block at no address")
        }
        return pointer
    }

    private func block(_ size: Int, _ lifetime: Lifetime) throws(USPError) -> UInt {
        try state.withLock { state throws(USPError) in
            let address: UInt
            if size >= MemoryPool.large, let start = try state.cut(size, lifetime) {
                address = start
            } else if let kept = state.free[size]?.popLast() {
                address = kept
            } else {
                address = UInt(bitPattern: try SystemMemory.allocate(size))
                state.systemAllocations += 1
            }
            state.bytesInUse += size
            state.mostInUse = max(state.mostInUse, state.bytesInUse)
            return address
        }
    }

    func give(_ pointer: UnsafeMutableRawPointer, _ byteCount: Int) {
        let (size, address) = (MemoryPool.roundedUp(byteCount), UInt(bitPattern: pointer))
        state.withLock { state in
            state.bytesInUse -= size
            if let index = state.ranges.firstIndex(where: { $0.contains(address) }) {
                let offset = address - state.ranges[index].start
                state.ranges[index].heap.give(Int(offset), size)
            } else {
                state.free[size, default: []].append(address)
            }
        }
    }

    /// Runs a body that lets go of something; if that was large, what is not in use goes back to
    /// the system.
    package func releasing(_ body: () -> Void) {
        let before = state.withLock { $0.bytesInUse }
        body()
        if before - state.withLock({ $0.bytesInUse }) >= MemoryPool.largeRelease { trim() }
    }

    /// Gives what is not in use back to the system.
    package func trim() {
        state.withLock { state in
            for list in state.free.values {
                for address in list {
                    SystemMemory.free(UnsafeMutableRawPointer(bitPattern: address))
                }
            }
            state.free = [:]
            state.mostInUse = state.bytesInUse
            for range in state.ranges { range.trim() }
        }
    }
}

/// The rows of a matrix as 8-bit integers in somebody else's memory, and the scale of each row.
package struct IntegerRows {
    package let values: UnsafePointer<Int8>
    package let scales: [Float]
    package let length: Int
    /// Lets go of pages of a mapped file; they come back when they are read.
    package let release: () -> Void

    package init(
        values: UnsafePointer<Int8>, scales: [Float], length: Int, release: @escaping () -> Void
    ) {
        (self.values, self.scales, self.length, self.release) = (values, scales, length, release)
    }

    /// Writes integers times the scale of their row.
    func widen(into target: UnsafeMutablePointer<Float>) {
        for (row, scale) in scales.enumerated() {
            for i in row * length..<(row + 1) * length { target[i] = Float(values[i]) * scale }
        }
    }
}

/// Bytes that tensors view: from the pool, or somebody else's for as long as `owner` lives.
package final class Storage: @unchecked Sendable {
    // SAFETY of @unchecked: the pointer never changes; who may write is the tensors' business.
    private let start: UnsafeMutableRawPointer
    package let byteCount: Int
    /// What the floats of this storage are made of when they are first asked for: whoever reads the
    /// integers needs no memory for the floats.
    package let integerRows: IntegerRows?
    private let widening: Lock<Bool>?
    /// Who keeps the bytes alive, if they are not the pool's.
    package let owner: AnyObject?
    private let pooled: Bool
    /// Whether the bytes are part of a mapped file, which gives them again whenever they are
    /// touched.
    package let isMapped: Bool

    package init(byteCount: Int, _ lifetime: Lifetime = .passing) throws(USPError) {
        start = try MemoryPool.shared.take(byteCount, lifetime)
        self.byteCount = byteCount
        owner = nil
        pooled = true
        isMapped = false
        (integerRows, widening) = (nil, nil)
    }

    /// Floats that are made of integers at their first use; `owner` keeps these alive. Until then
    /// they are addresses without memory.
    package init(widening rows: IntegerRows, owner: AnyObject?) throws(USPError) {
        byteCount = rows.scales.count * rows.length * MemoryLayout<Float>.stride
        start = try MemoryPool.shared.take(byteCount, .lasting)
        self.owner = owner
        pooled = true
        isMapped = false
        (integerRows, widening) = (rows, Lock(false))
    }

    /// Views memory that `owner` keeps alive.
    package init(
        base: UnsafeMutableRawPointer, byteCount: Int, owner: AnyObject?, isMapped: Bool = false
    ) {
        start = base
        self.byteCount = byteCount
        self.owner = owner
        pooled = false
        self.isMapped = isMapped
        (integerRows, widening) = (nil, nil)
    }

    package var base: UnsafeMutableRawPointer {
        widening?.withLock { isDone in
            guard !isDone, let integerRows else { return }
            integerRows.widen(into: start.assumingMemoryBound(to: Float.self))
            isDone = true
        }
        return start
    }

    /// Whether floats have been made of integers.
    package var isWidened: Bool { widening?.withLock { $0 } ?? false }

    deinit { if pooled { MemoryPool.shared.give(start, byteCount) } }
}
