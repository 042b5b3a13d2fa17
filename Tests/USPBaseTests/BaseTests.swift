// Sizes, streams, threads and cancelling.

import Synchronization
import Testing
import USPBase

@Test func sizesThatOverflowAreErrors() throws {
    #expect(try CheckedMath.multiply(6, 7, "size") == 42)
    #expect(throws: USPError.self) { try CheckedMath.multiply(Int.max, 2, "size") }
    #expect(throws: USPError.self) { try CheckedMath.add(Int.max, 1, "size") }
    #expect(throws: USPError.self) { try CheckedMath.int(UInt64.max, "size") }
    #expect(throws: USPError.self) { try Shape.checked([1 << 40, 1 << 40]) }
    #expect(throws: USPError.self) { try Shape.checked([2, -1]) }
}

/// The known answers of Random123 for Philox4x32-10: all zeros, all ones.
@Test func philoxGivesItsKnownAnswers() {
    #expect(
        philox(counter: 0, stream: 0, key: 0)
            == SIMD4(0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8))
    #expect(
        philox(counter: .max, stream: .max, key: .max)
            == SIMD4(0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD))
}

@Test func streamsAreNormalAndApart() {
    let key = RandomKey(seed: 1)
    var stream = RandomStream(key.stream("a"))
    let draws = (0..<100_000).map { _ in Double(stream.normal()) }
    let mean = draws.reduce(0, +) / 1e5
    let variance = draws.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 1e5
    #expect(abs(mean) < 0.02 && abs(variance - 1) < 0.02)
    #expect(key.stream(0) != key.stream(1) && key.stream("a") != key.stream("b"))
    #expect(RandomStream(key).permuted(50).sorted() == Array(0..<50))
}

extension RandomStream {
    fileprivate func permuted(_ count: Int) -> [Int] {
        var copy = self
        return copy.permutation(count)
    }
}

/// MAR's masking ratios (quartiles of scipy's truncnorm), and tails.
@Test func truncatedNormalsHaveTheirQuartiles() {
    func quartiles(
        _ mean: Double, _ deviation: Double, _ range: ClosedRange<Double>
    ) -> [Double] {
        var stream = RandomStream(RandomKey(seed: 9))
        let values = (0..<20_000).map { _ in
            stream.truncatedNormal(mean: mean, deviation: deviation, in: range)
        }.sorted()
        #expect(values.allSatisfy { range.contains($0) })
        return [values[5_000], values[10_000], values[15_000]]
    }
    func near(_ found: [Double], _ expected: [Double], _ error: Double) -> Bool {
        zip(found, expected).allSatisfy { abs($0 - $1) < error }
    }
    #expect(near(quartiles(1, 0.25, 0.7...1), [0.7995, 0.8743, 0.9391], 5e-3))
    #expect(near(quartiles(0, 1, -.infinity ... .infinity), [-0.6745, 0, 0.6745], 3e-2))
    #expect(near(quartiles(0, 1, 5...1e9), [5.0552, 5.1320, 5.2609], 1e-2))
    #expect(near(quartiles(0, 1, -6 ... -5), [-5.2590, -5.1314, -5.0550], 1e-2))
    #expect(quartiles(2, 0, 0...1) == [1, 1, 1])
}

@Test func everyPartRunsOnce() {
    let counts = (0..<100).map { _ in Counter() }
    ThreadPool.shared.run(parts: 100) { part in
        counts[part].add()
        // A loop inside a loop runs on the thread that asks.
        ThreadPool.shared.run(parts: 3) { _ in counts[part].add() }
    }
    #expect(counts.allSatisfy { $0.value == 4 })
}

private final class Counter: Sendable {
    private let count = Atomic<Int>(0)
    var value: Int { count.load(ordering: .relaxed) }
    func add() { count.wrappingAdd(1, ordering: .relaxed) }
}

@Test func cancellingEarlyIsKeptOnce() throws {
    let cancellation = Cancellation()
    try cancellation.check("before")
    cancellation.cancel()
    #expect(throws: USPError(.cancelled, "step: cancelled")) { try cancellation.check("step") }
    try cancellation.check("after")
}
