// Processes that train one model together.

import Synchronization

/// This process among those that train together: data order, trainer and saving go by it.
///
/// Each rank takes its own share of every batch, gradients are summed over all of them, and rank 0
/// writes the files.
public final class Ranks: Sendable {
    /// Sums an array over all ranks, in place; blocking, called in the same order on all ranks.
    public typealias Reduce =
        @Sendable (_ data: UnsafeMutablePointer<Float>, _ count: Int) throws(USPError) -> Void

    /// What ranks do together; each is blocking, called by all of them in the same order, by one
    /// thread at a time, which is not always the same one.
    public struct Collectives: Sendable {
        /// Of `data` with `count` values for each rank, those of this rank, summed over all ranks in
        /// pairs: (0 + 1) + (2 + 3), ... Only of 1, 2, 4, 8, ... ranks.
        public var reduceScatter:
            @Sendable (
                _ data: UnsafePointer<Float>, _ sums: UnsafeMutablePointer<Float>, _ count: Int
            ) throws(USPError) -> Void
        /// `size` bytes of each rank, by rank.
        public var allGather:
            @Sendable (
                _ data: UnsafeRawPointer, _ all: UnsafeMutableRawPointer, _ size: Int
            ) throws(USPError) -> Void
        /// `size` bytes of one rank become those of all.
        public var broadcast:
            @Sendable (
                _ data: UnsafeMutableRawPointer, _ size: Int, _ root: Int
            ) throws(USPError) -> Void
        /// Returns when all have called it.
        public var barrier: @Sendable () throws(USPError) -> Void
        /// `size` bytes to another rank, which calls this at the same time, and as many from there;
        /// nil: these ranks reduce in f32 alone.
        public var exchange:
            (
                @Sendable (
                    _ peer: Int, _ sent: UnsafeRawPointer, _ received: UnsafeMutableRawPointer,
                    _ size: Int
                ) throws(USPError) -> Void
            )?
        /// Whether another thread than the one that trains may call these: gradients are summed while
        /// the backward pass goes on then.
        public var isOnAnyThread = true

        public init(
            reduceScatter:
                @escaping @Sendable (
                    _ data: UnsafePointer<Float>, _ sums: UnsafeMutablePointer<Float>, _ count: Int
                ) throws(USPError) -> Void,
            allGather:
                @escaping @Sendable (
                    _ data: UnsafeRawPointer, _ all: UnsafeMutableRawPointer, _ size: Int
                ) throws(USPError) -> Void,
            broadcast:
                @escaping @Sendable (
                    _ data: UnsafeMutableRawPointer, _ size: Int, _ root: Int
                ) throws(USPError) -> Void,
            barrier: @escaping @Sendable () throws(USPError) -> Void
        ) {
            (self.reduceScatter, self.allGather) = (reduceScatter, allGather)
            (self.broadcast, self.barrier) = (broadcast, barrier)
        }
    }

    /// 0 ..< count.
    public let rank: Int
    public let count: Int
    /// Of ranks that can only sum; nil for those with collectives, and alone.
    public let reduce: Reduce?
    /// nil: ranks that can only sum, or alone.
    public let collectives: Collectives?
    /// Whether an error has been thrown that all ranks have thrown.
    private let failedTogether = Atomic<Bool>(false)

    /// One process that trains alone.
    public static let alone = Ranks()

    private init() { (rank, count, reduce, collectives) = (0, 1, nil, nil) }

    /// Ranks that can only sum: the gradients of each rank's share are summed as `reduce` does it.
    ///
    /// - Throws: `.argument` unless 0 ≤ rank < count
    public init(rank: Int, count: Int, reduce: @escaping Reduce) throws(USPError) {
        try Ranks.check(rank, count)
        (self.rank, self.count, self.reduce, collectives) = (rank, count, reduce, nil)
    }

    /// Ranks whose number changes no bit of what is trained: batches are cut into parts.
    ///
    /// - Throws: `.argument` unless 0 ≤ rank < count
    public init(rank: Int, count: Int, _ collectives: Collectives) throws(USPError) {
        try Ranks.check(rank, count)
        (self.rank, self.count, reduce, self.collectives) = (rank, count, nil, collectives)
    }

    private static func check(_ rank: Int, _ count: Int) throws(USPError) {
        try require(count >= 1, .argument, "ranks: \(count), expected 1 or more")
        try require(
            rank >= 0 && rank < count, .argument,
            "rank: \(rank), expected 0 to \(count - 1), one less than the number of ranks")
    }

    /// Whether this process writes the files.
    public var writes: Bool { rank == 0 }

    /// Whether an error has been thrown that all ranks have thrown: one of them is enough to tell it.
    public var hasFailedTogether: Bool { failedTogether.load(ordering: .acquiring) }
}

extension Ranks {
    /// Some bytes of each rank, by rank; of any number. Of ranks without collectives this one's.
    package func gather(_ bytes: [UInt8]) throws(USPError) -> [[UInt8]] {
        guard collectives != nil else { return [bytes] }
        let sizes = try gather(values: [bytes.count]).map { $0[0] }
        let most = sizes.max() ?? 0
        let own = bytes + [UInt8](repeating: 0, count: most - bytes.count)
        var all = sizes.map { _ in [UInt8]() }
        // In pieces: message layers count in 32 bits.
        for start in stride(from: 0, to: most, by: 1 << 26) {
            let piece = try gather(values: Array(own[start..<min(start + 1 << 26, most)]))
            for rank in 0..<count { all[rank] += piece[rank] }
        }
        return zip(all, sizes).map { Array($0.prefix($1)) }
    }

    /// As many values of each rank, by rank.
    package func gather<Value: BitwiseCopyable>(values: [Value]) throws(USPError) -> [[Value]] {
        guard let collectives, !values.isEmpty else { return (0..<count).map { _ in values } }
        var all = [Value](repeating: values[0], count: values.count * count)
        let size = values.count * MemoryLayout<Value>.stride
        var failure: USPError?
        values.withUnsafeBytes { own in
            all.withUnsafeMutableBytes { all in
                guard let own = own.baseAddress, let all = all.baseAddress else { return }
                do throws(USPError) {
                    try collectives.allGather(own, all, size)
                } catch { failure = error }
            }
        }
        if let failure { throw failure }
        return (0..<count).map { Array(all[$0 * values.count..<($0 + 1) * values.count]) }
    }

    /// What `body` gives, if it goes well on all ranks; else all throw the error of the first rank
    /// where it did not, so that none waits for one that has gone. Without collectives just `body`.
    ///
    /// - values: told to all
    /// - Returns: what the body has given here, and the values of each rank
    package func together<Result, Value: BitwiseCopyable>(
        telling values: (Result) -> [Value],
        _ body: () throws(USPError) -> Result
    ) throws(USPError) -> (result: Result, told: [[Value]]) {
        var result: Result?
        var failure: USPError?
        do throws(USPError) { result = try body() } catch { failure = error }
        guard collectives != nil else {
            if let failure { throw failure }
            guard let result else { throw USPError(.internal, "ranks: nothing done") }
            return (result, [values(result)])
        }
        let own = result.map(values) ?? []
        let heads = try gather(values: [failure?.kind.rawValue ?? 0, Int32(clamping: own.count)])
        let kinds = heads.map { $0[0] }
        if kinds.contains(where: { $0 != 0 }) {
            let texts = try gather(Array((failure?.message ?? "").utf8))
            failedTogether.store(true, ordering: .releasing)
            // What went wrong comes before what was only asked to end.
            let cancelled = ErrorKind.cancelled.rawValue
            guard
                let first = kinds.firstIndex(where: { $0 != 0 && $0 != cancelled })
                    ?? kinds.firstIndex(where: { $0 != 0 }),
                let kind = ErrorKind(rawValue: kinds[first])
            else { throw USPError(.internal, "ranks: an error of an unknown kind") }
            let text = String(decoding: texts[first], as: UTF8.self)
            // Where all have met the same, no rank is to blame.
            let isCommon = zip(kinds, texts).allSatisfy { $0 == kinds[first] && $1 == texts[first] }
            throw USPError(kind, isCommon ? text : "rank \(first): \(text)")
        }
        guard let result else { throw USPError(.internal, "ranks: nothing done") }
        if let other = heads.firstIndex(where: { $0[1] != heads[0][1] }) {
            failedTogether.store(true, ordering: .releasing)
            throw USPError(
                .shape,
                "rank \(other): \(heads[other][1]) parts, rank 0 has \(heads[0][1]): all ranks give "
                    + "as many samples")
        }
        return (result, try gather(values: own))
    }

    /// The same without values.
    package func together<Result>(
        _ body: () throws(USPError) -> Result
    ) throws(USPError) -> Result {
        guard collectives != nil else { return try body() }
        return try together(telling: { _ in [UInt8]() }, body).result
    }

    /// Whether any rank says yes.
    package func any(_ flags: [Bool]) throws(USPError) -> [Bool] {
        guard collectives != nil else { return flags }
        let all = try gather(values: flags.map { UInt8($0 ? 1 : 0) })
        return flags.indices.map { place in all.contains { $0[place] != 0 } }
    }

    /// - Throws: `.argument` naming the first rank and entry that differs from rank 0's
    package func agree(_ record: [(name: String, value: String)]) throws(USPError) {
        guard collectives != nil, count > 1 else { return }
        let text = record.map { "\($0.name)\u{0}\($0.value)" }.joined(separator: "\u{1}")
        let all = try gather(Array(text.utf8))
        for rank in 1..<count where all[rank] != all[0] {
            failedTogether.store(true, ordering: .releasing)
            let (first, other) = (Ranks.entries(all[0]), Ranks.entries(all[rank]))
            for (ours, theirs) in zip(first, other) where ours != theirs {
                throw USPError(
                    .argument,
                    ours.name == theirs.name
                        ? "rank \(rank): \(ours.name) \(theirs.value), rank 0 has \(ours.value); all "
                            + "ranks are given the same"
                        : "rank \(rank): \(theirs.name), where rank 0 has \(ours.name)")
            }
            throw USPError(
                .argument, "rank \(rank): \(other.count) options, rank 0 has \(first.count)")
        }
    }

    private struct Entry: Equatable { let name, value: String }

    private static func entries(_ bytes: [UInt8]) -> [Entry] {
        String(decoding: bytes, as: UTF8.self).split(separator: "\u{1}").map { line in
            let parts = line.split(separator: "\u{0}", omittingEmptySubsequences: false)
            return Entry(name: String(parts[0]), value: parts.dropFirst().joined())
        }
    }

    /// Sums an array over all ranks in pairs, (0 + 1) + (2 + 3), ..., in place.
    ///
    /// - Throws: `.unsupported` unless there are 1, 2, 4, 8, ... ranks
    package func sum(_ data: UnsafeMutablePointer<Float>, _ size: Int) throws(USPError) {
        if let reduce { return try reduce(data, size) }
        guard collectives != nil, count > 1 else { return }
        try expectPowerOfTwo()
        let pieces = SlabPieces(count: size, ranks: count)
        for bucket in 0..<pieces.buckets {
            try reduceScatter(data, pieces, bucket)
            try allGather(data, pieces, bucket)
        }
    }

    /// (0 + 1) + (2 + 3), ... of a power of two of values.
    package static func pairwiseSum(_ values: [Float]) -> Float {
        var values = values
        while values.count > 1 {
            values = stride(from: 0, to: values.count, by: 2).map {
                $0 + 1 < values.count ? values[$0] + values[$0 + 1] : values[$0]
            }
        }
        return values.first ?? 0
    }

    package func expectPowerOfTwo() throws(USPError) {
        try require(
            count & (count - 1) == 0, .unsupported,
            "\(count) ranks: gradients are summed in pairs, by 1, 2, 4, 8, ... ranks")
    }
}
