// Memory that tensors give back is kept for the next ones: a steady loop asks the system for none.

import Synchronization
import USPBase

/// A process-wide cache of aligned blocks by size class (eight classes to each doubling).
package final class MemoryPool: Sendable {
    package static let shared = MemoryPool()

    private struct State {
        var free: [Int: [UInt]] = [:]
        var systemAllocations = 0
        var bytesHeld = 0
    }

    private let state = Mutex(State())

    /// Allocations that went to the system since the start: constant in a steady loop.
    package var systemAllocations: Int { state.withLock { $0.systemAllocations } }

    /// Bytes taken from the system and not given back, in use or kept.
    package var bytesHeld: Int { state.withLock { $0.bytesHeld } }

    /// The size class: at most an eighth more than asked for, at least 64 bytes.
    package static func roundedUp(_ byteCount: Int) -> Int {
        guard byteCount > 64 else { return 64 }
        let step = max(64, 1 << (Int.bitWidth - byteCount.leadingZeroBitCount - 4))
        return (byteCount + step - 1) / step * step
    }

    /// A block of `roundedUp(byteCount)` bytes with undefined content.
    func take(_ byteCount: Int) throws(USPError) -> UnsafeMutableRawPointer {
        guard byteCount <= Int.max / 4 else {
            throw USPError(.memory, "cannot allocate \(byteCount) bytes")
        }
        let size = MemoryPool.roundedUp(byteCount)
        let kept = state.withLock { $0.free[size]?.popLast() }
        if let kept, let pointer = UnsafeMutableRawPointer(bitPattern: kept) { return pointer }
        let pointer = try allocateFreeingIfNeeded(size)
        state.withLock {
            $0.systemAllocations += 1
            $0.bytesHeld += size
        }
        return pointer
    }

    private func allocateFreeingIfNeeded(_ size: Int) throws(USPError) -> UnsafeMutableRawPointer {
        do {
            return try SystemMemory.allocate(size)
        } catch {
            trim()
            return try SystemMemory.allocate(size)
        }
    }

    func give(_ pointer: UnsafeMutableRawPointer, _ byteCount: Int) {
        let size = MemoryPool.roundedUp(byteCount)
        state.withLock { $0.free[size, default: []].append(UInt(bitPattern: pointer)) }
    }

    /// Gives all kept blocks back to the system.
    package func trim() {
        let blocks = state.withLock { state in
            let blocks = state.free
            state.free = [:]
            for (size, list) in blocks { state.bytesHeld -= size * list.count }
            return blocks
        }
        for list in blocks.values {
            for address in list {
                if let pointer = UnsafeMutableRawPointer(bitPattern: address) {
                    SystemMemory.free(pointer)
                }
            }
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
    /// Whether the bytes are part of a mapped file, which gives them again whenever they are touched.
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
