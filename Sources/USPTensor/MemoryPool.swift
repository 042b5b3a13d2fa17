// Memory that tensors give back is kept for the next ones: a steady loop asks the system for none.

import Synchronization
import USPBase

/// A process-wide store of aligned blocks: large ones side by side in one range of addresses, small
/// ones by size class (eight classes to each doubling).
package final class MemoryPool: Sendable {
    package static let shared = MemoryPool()

    /// From here on blocks lie in the range, in whole pages.
    private static let large = 1 << 16
    private static let page = 4096
    /// Addresses cost nothing; 4 TiB are more than the memory of any machine that this is for.
    private static let rangeSize = 1 << 42
    /// The range is made usable so many bytes at a time.
    private static let stride = 4 << 20

    private struct State {
        var free: [Int: [UInt]] = [:]
        var heap: BlockHeap
        /// Bytes of the range that may be touched.
        var usable = 0
        var systemAllocations = 0
        var bytesInUse = 0
        var mostInUse = 0

        /// A block of the range; nil if there is none, or no room in it.
        mutating func cut(_ size: Int, from range: UInt?) throws(USPError) -> UInt? {
            guard let range, let start = heap.take(size) else { return nil }
            let wanted = (heap.end + stride - 1) / stride * stride
            if wanted > usable {
                do {
                    try SystemMemory.commit(range + UInt(usable), wanted - usable)
                } catch {
                    heap.give(start, size)
                    throw error
                }
                usable = wanted
                systemAllocations += 1
            }
            return range + UInt(start)
        }
    }

    private let state: Mutex<State>
    /// Where the range starts; nil if the system refuses one: then all blocks go by size class.
    private let range: UInt?

    private init() {
        range = SystemMemory.reserve(MemoryPool.rangeSize)
        state = Mutex(State(heap: BlockHeap(capacity: MemoryPool.rangeSize)))
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
    func take(_ byteCount: Int) throws(USPError) -> UnsafeMutableRawPointer {
        guard byteCount <= Int.max / 4 else {
            throw USPError(.memory, "cannot allocate \(byteCount) bytes")
        }
        let size = MemoryPool.roundedUp(byteCount)
        let address: UInt
        do {
            address = try block(size)
        } catch {
            trim()
            address = try block(size)
        }
        guard let pointer = UnsafeMutableRawPointer(bitPattern: address) else {
            throw USPError(.internal, "a block at no address")
        }
        return pointer
    }

    private func block(_ size: Int) throws(USPError) -> UInt {
        try state.withLock { state throws(USPError) in
            let address: UInt
            if size >= MemoryPool.large, let start = try state.cut(size, from: range) {
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
            if let range, address >= range, address - range < UInt(MemoryPool.rangeSize) {
                state.heap.give(Int(address - range), size)
            } else {
                state.free[size, default: []].append(address)
            }
        }
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
            guard let range else { return }
            func discard(_ start: Int, _ size: Int) {
                SystemMemory.discard(UnsafeRawPointer(bitPattern: range + UInt(start)), size)
            }
            for hole in state.heap.holes { discard(hole.start, hole.size) }
            discard(state.heap.end, state.usable - state.heap.end)
        }
    }
}

/// Bytes that tensors view: from the pool, or somebody else's for as long as `owner` lives.
package final class Storage: @unchecked Sendable {
    // SAFETY of @unchecked: the pointer never changes; who may write is the tensors' business.
    package let base: UnsafeMutableRawPointer
    package let byteCount: Int
    private let owner: AnyObject?
    private let pooled: Bool
    /// Whether the bytes are part of a mapped file, which gives them again whenever they are
    /// touched.
    package let isMapped: Bool

    package init(byteCount: Int) throws(USPError) {
        base = try MemoryPool.shared.take(byteCount)
        self.byteCount = byteCount
        owner = nil
        pooled = true
        isMapped = false
    }

    /// Views memory that `owner` keeps alive.
    package init(
        base: UnsafeMutableRawPointer, byteCount: Int, owner: AnyObject?, isMapped: Bool = false
    ) {
        self.base = base
        self.byteCount = byteCount
        self.owner = owner
        pooled = false
        self.isMapped = isMapped
    }

    deinit { if pooled { MemoryPool.shared.give(base, byteCount) } }
}
