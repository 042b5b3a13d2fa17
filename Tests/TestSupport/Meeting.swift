// Ranks that are threads of one process.

import Foundation
import USPBase

/// Where so many threads meet, for collectives without a network.
public final class Meeting: @unchecked Sendable {
    // SAFETY of @unchecked: everything is touched under the condition's lock.
    private let count: Int
    private let condition = NSCondition()
    private var given: [UnsafeRawPointer?]
    private var arrived = 0
    private var round = 0

    public init(_ count: Int) {
        self.count = count
        given = [UnsafeRawPointer?](repeating: nil, count: count)
    }

    /// Everybody brings something, looks at what all have brought, and goes when all have looked.
    private func meet(
        _ rank: Int, _ data: UnsafeRawPointer?, _ body: ([UnsafeRawPointer?]) -> Void
    ) {
        condition.lock()
        given[rank] = data
        waitForAll()
        body(given)
        waitForAll()
        condition.unlock()
    }

    private func waitForAll() {
        arrived += 1
        if arrived == count {
            (arrived, round) = (0, round + 1)
            condition.broadcast()
            return
        }
        let mine = round
        while round == mine { condition.wait() }
    }

    public func ranks(_ rank: Int) throws -> Ranks {
        let count = count
        var collectives = Ranks.Collectives(
            reduceScatter: { [self] data, sums, size throws(USPError) in
                var values: [[Float]] = []
                meet(rank, data) { all in
                    values = all.compactMap { data in
                        data.map {
                            let start = $0.assumingMemoryBound(to: Float.self) + rank * size
                            return Array(UnsafeBufferPointer(start: start, count: size))
                        }
                    }
                }
                while values.count > 1 {
                    values = stride(from: 0, to: values.count, by: 2).map { place in
                        zip(values[place], values[place + 1]).map { $0 + $1 }
                    }
                }
                sums.update(from: values[0], count: size)
            },
            allGather: { [self] data, all, size throws(USPError) in
                meet(rank, data) { parts in
                    for (place, part) in parts.enumerated() {
                        if let part {
                            (all + place * size).copyMemory(from: part, byteCount: size)
                        }
                    }
                }
            },
            broadcast: { [self] data, size, root throws(USPError) in
                meet(rank, data) { parts in
                    if let part = parts[root], rank != root {
                        data.copyMemory(from: part, byteCount: size)
                    }
                }
            },
            barrier: { [self] () throws(USPError) in meet(rank, nil) { _ in } })
        collectives.exchange = { [self] peer, sent, received, size throws(USPError) in
            meet(rank, sent) { all in
                if let theirs = all[peer] { received.copyMemory(from: theirs, byteCount: size) }
            }
        }
        return try Ranks(rank: rank, count: count, collectives)
    }

    /// What `body` gives on each of so many ranks, at the same time.
    public static func run<Result: Sendable>(
        _ count: Int, _ body: @escaping @Sendable (Ranks) throws -> Result
    ) throws -> [Swift.Result<Result, any Error>] {
        let meeting = Meeting(count)
        let results = Lock<[Int: Swift.Result<Result, any Error>]>([:])
        let done = DispatchSemaphore(value: 0)
        for rank in 0..<count {
            let ranks = try meeting.ranks(rank)
            let thread = Thread {
                let result = Swift.Result { try body(ranks) }
                results.withLock { $0[rank] = result }
                done.signal()
            }
            thread.stackSize = 8 << 20
            thread.start()
        }
        for _ in 0..<count { done.wait() }
        return results.withLock { all in (0..<count).compactMap { all[$0] } }
    }
}
