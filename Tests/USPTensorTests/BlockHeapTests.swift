// The range that large blocks are cut from: no overlaps, no waste where there are holes.

import TestSupport
import Testing
import USPBase
import USPTensor

@Suite struct BlockHeapTests {
    @Test func theSmallestHoleThatFitsIsTaken() {
        var heap = BlockHeap(capacity: 100)
        let starts = [30, 10, 20, 10].map { heap.take($0) }
        #expect(starts == [0, 30, 40, 60])
        heap.give(0, 30)
        heap.give(40, 20)
        let later = [15, 15, 30, 16].map { heap.take($0) }
        #expect(later == [40, 0, 70, nil])
    }

    @Test func neighboursBecomeOneHole() {
        var heap = BlockHeap(capacity: 100)
        _ = [10, 20, 30, 40].map { heap.take($0) }
        heap.give(0, 10)
        heap.give(30, 30)
        heap.give(10, 20)
        #expect(heap.holes.map(\.size) == [60])
        #expect(heap.end == 100)
        heap.give(60, 40)
        #expect(heap.holes.isEmpty && heap.end == 0)
        let whole = heap.take(100)
        #expect(whole == 0)
    }

    @Test func blocksNeverOverlap() {
        var heap = BlockHeap(capacity: 1 << 20)
        var taken: [(start: Int, size: Int)] = []
        var random = RandomStream(RandomKey(seed: 3))
        for _ in 0..<4000 {
            if taken.count < 40 || random.next() % 2 == 0 {
                let size = 1 + Int(random.next() % 5000)
                guard let start = heap.take(size) else { continue }
                for block in taken {
                    #expect(start + size <= block.start || block.start + block.size <= start)
                }
                taken.append((start, size))
            } else {
                let block = taken.remove(at: Int(random.next() % UInt64(taken.count)))
                heap.give(block.start, block.size)
            }
        }
        for block in taken { heap.give(block.start, block.size) }
        #expect(heap.holes.isEmpty && heap.end == 0)
    }

    @Test(.disabled(if: Sanitizer.name == "thread", "its runtime places memory itself"))
    func lastingBlocksDoNotPartPassingOnes() throws {
        let size = 96 << 20  // untouched: addresses only
        var passing: [Storage] = []
        var lasting: [Storage] = []
        for _ in 0..<2 {
            passing.append(try Storage(byteCount: size))
            lasting.append(try Storage(byteCount: 1 << 20, .lasting))
        }
        let first = passing[0].base
        #expect(passing[1].base == first + size)
        #expect(lasting[1].base == lasting[0].base + (1 << 20))
        passing = []
        let both = try Storage(byteCount: 2 * size)
        #expect(both.base == first)
    }
}
