// Processes that train one model together.

/// This process among those that train together: data order, trainer and saving go by it.
///
/// Each rank takes its own share of every batch, gradients are summed over all of them, and rank 0
/// writes the files.
public final class Ranks: Sendable {
    /// Sums an array over all ranks, in place; blocking, called in the same order on all ranks.
    public typealias Reduce =
        @Sendable (_ data: UnsafeMutablePointer<Float>, _ count: Int) throws(USPError) -> Void

    /// 0 ..< count.
    public let rank: Int
    public let count: Int
    /// nil: alone.
    public let reduce: Reduce?

    /// One process that trains alone.
    public static let alone = Ranks()

    private init() { (rank, count, reduce) = (0, 1, nil) }

    /// - Throws: `.argument` unless 0 ≤ rank < count
    public init(rank: Int, count: Int, reduce: @escaping Reduce) throws(USPError) {
        try require(count >= 1, .argument, "ranks: \(count), expected 1 or more")
        try require(
            rank >= 0 && rank < count, .argument,
            "rank: \(rank), expected 0 to \(count - 1), one less than the number of ranks")
        (self.rank, self.count, self.reduce) = (rank, count, reduce)
    }

    /// Whether this process writes the files.
    public var writes: Bool { rank == 0 }
}
