// A rank's share of what an optimiser keeps: moments and the moving average live on one rank each.

import USPBase
import USPTensor

/// This rank's pieces of a slab, and what ranks do to have all of it.
package struct Shard: Sendable {
    let ranks: Ranks
    let pieces: SlabPieces
    /// Buckets of which something changes in a step.
    private let changing: [Int]

    /// - count: elements of the slab
    /// - changing: of the slab in a step
    init(of count: Int, _ ranks: Ranks, changing: [Range<Int>]) {
        self.ranks = ranks
        let pieces = SlabPieces(count: count, ranks: ranks.count)
        self.pieces = pieces
        self.changing = Set(changing.flatMap { Array(pieces.buckets(of: $0)) }).sorted()
    }

    /// Elements of this rank.
    var count: Int { pieces.count(of: ranks.rank) }

    /// What of segments this rank has, in the order of the slab.
    func own(_ segments: [UpdateSegment]) -> [UpdateSegment] {
        segments.flatMap { segment in
            let range = segment.offset..<segment.offset + segment.count
            return pieces.buckets(of: range).compactMap { bucket -> UpdateSegment? in
                let piece = pieces.piece(bucket, of: ranks.rank)
                let part = piece.clamped(to: range)
                guard !part.isEmpty else { return nil }
                return segment.part(
                    part, state: pieces.place(bucket) + part.lowerBound - piece.lowerBound)
            }
        }
    }

    /// What `body` gives for this rank's segments among these, and the other ranks' for theirs.
    ///
    /// - segments: each within one rank's piece
    func share(
        _ segments: [UpdateSegment], _ body: ([UpdateSegment]) -> [Double]
    ) throws(USPError) -> [Double] {
        let owners = segments.map { pieces.owner(of: $0.offset) }
        var counts = [Int](repeating: 0, count: ranks.count)
        for owner in owners { counts[owner] += 1 }
        var own = body(zip(segments, owners).filter { $1 == ranks.rank }.map(\.0))
        own += [Double](repeating: 0, count: (counts.max() ?? 0) - own.count)
        let all = try ranks.gather(values: own)
        var next = [Int](repeating: 0, count: ranks.count)
        return owners.map { owner in
            defer { next[owner] += 1 }
            return all[owner][next[owner]]
        }
    }

    /// Everybody's pieces of the slab become those of all, where a step has changed them.
    func gather(_ slab: Tensor) throws(USPError) {
        for bucket in changing { try ranks.allGather(slab.floats, pieces, bucket) }
    }

    /// Whether this rank's pieces of a slab are numbers.
    func isFinite(_ slab: Tensor) throws(USPError) -> Bool {
        for bucket in 0..<pieces.buckets {
            let own = try slab.detachedRows(pieces.piece(bucket, of: ranks.rank))
            if !own.isFinite { return false }
        }
        return true
    }

    /// This rank's pieces of a slab, one after the other.
    func own(of slab: Tensor) throws(USPError) -> Tensor {
        let result = try Tensor([count])
        for bucket in 0..<pieces.buckets {
            let own = pieces.piece(bucket, of: ranks.rank)
            (result.floats + pieces.place(bucket)).update(
                from: slab.floats + own.lowerBound, count: own.count)
        }
        return result
    }
}

/// Shares that become whole, bucket after bucket: all ranks go through all of them in the same order,
/// whatever becomes of what one of them does with the values.
final class ShardGathering {
    private let shard: Shard
    private var waiting: [(share: Tensor, bucket: Int)]

    init(_ shares: [Tensor], _ shard: Shard) {
        self.shard = shard
        waiting = shares.flatMap { share in (0..<shard.pieces.buckets).map { (share, $0) } }
            .reversed()
    }

    /// The next share, whole.
    func next(
        _ body: (Range<Int>, UnsafePointer<Float>) throws(USPError) -> Void
    ) throws(USPError) {
        for _ in 0..<shard.pieces.buckets { try nextBucket(body) }
    }

    /// What nobody here has asked for.
    func finish() throws(USPError) {
        while !waiting.isEmpty { try nextBucket { _, _ in } }
    }

    private func nextBucket(
        _ body: (Range<Int>, UnsafePointer<Float>) throws(USPError) -> Void
    ) throws(USPError) {
        guard let (share, bucket) = waiting.popLast() else { return }
        let pieces = shard.pieces
        let range = pieces.elements(bucket)
        let values = UnsafeMutablePointer<Float>.allocate(capacity: range.count)
        defer { values.deallocate() }
        try shard.ranks.allGather(share.floats + pieces.place(bucket), pieces, bucket, into: values)
        try body(range, values)
    }
}
