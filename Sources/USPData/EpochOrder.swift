// Which samples a training step sees: a function of seed, step and nothing else.

import USPBase

/// Batches of shuffled epochs. Every step's batch can be asked for by its number, so that a resumed
/// run goes on with the data it would have seen; ranks share each batch without overlap.
package struct EpochOrder: Sendable {
    /// The samples of one step on this rank.
    package struct Batch: Sendable, Equatable {
        package let epoch: Int
        package let indices: [Int]
    }

    package let count: Int
    /// Samples of one step over all ranks.
    package let batch: Int
    package let rank: Int
    package let ranks: Int
    private let key: RandomKey?
    private var epoch = -1
    private var order: [Int] = []

    /// - batch: over all ranks; samples that do not fill one wait for another epoch.
    /// - key: nil keeps the samples in their order.
    /// - Throws: `.argument` unless there is a batch and each rank gets as much of it.
    package init(
        count: Int, batch: Int, key: RandomKey?, rank: Int = 0, ranks: Int = 1
    ) throws(USPError) {
        try require(
            batch > 0 && batch <= count, .argument, "batch: expected 1 to \(count), got \(batch)")
        try require(
            ranks > 0 && (0..<ranks).contains(rank) && batch % ranks == 0, .argument,
            "batch \(batch) over \(ranks) ranks, this one \(rank)")
        self.count = count
        self.batch = batch
        self.rank = rank
        self.ranks = ranks
        self.key = key
    }

    package var stepsPerEpoch: Int { count / batch }

    /// The batch of one step, 0 the first of all.
    package mutating func batch(atStep step: Int) -> Batch {
        let step = max(step, 0)
        let wanted = step / stepsPerEpoch
        if wanted != epoch {
            epoch = wanted
            order = Array(0..<count)
            if let key {
                var stream = RandomStream(key.stream("order").stream(wanted))
                order = stream.permutation(count)
            }
        }
        let share = batch / ranks
        let start = step % stepsPerEpoch * batch + rank * share
        return Batch(epoch: wanted, indices: Array(order[start..<start + share]))
    }
}
