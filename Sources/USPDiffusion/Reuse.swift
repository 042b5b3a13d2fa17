// What of a model's work a run uses again at later evaluations.

import USPBase
import USPTensor

/// When a transformer's blocks and guidance's null half are computed anew. By default always.
public struct Reuse: Sendable, Equatable {
    /// Evaluations from one whose blocks are computed to the next (FORA, Selvaraju et al. 2024).
    public var interval = 1
    /// The change of the first block's input, summed over evaluations, from which on the blocks are
    /// computed again (TeaCache, Liu et al. 2025); nil: it has no part.
    public var threshold: Float?
    /// 0: what blocks added to the tokens is used as it was; 1: as the line through the last two goes
    /// on (TaylorSeer, Liu et al. 2025).
    public var order = 0
    /// Guided evaluations from one whose null half is computed to the next.
    public var nullInterval = 1

    public init() {}

    var ofBlocks: Bool { interval > 1 || threshold != nil }

    /// - Throws: `.argument` for options that do not go together
    func check() throws(USPError) {
        try require(
            interval == 1 || threshold == nil, .argument,
            "reuse_interval and reuse_threshold: expected one of them")
        try require(
            order == 0 || ofBlocks, .argument,
            "reuse_order: has no part without reuse_interval or reuse_threshold")
    }
}

/// What a run keeps from one evaluation to the next, and how much it has computed.
final class ReuseState {
    let rule: Reuse
    /// labelled − null of the last evaluation that had both halves.
    private var difference: Tensor?
    /// Guided evaluations since then.
    private var uses = 0
    /// Evaluations, as far as they were computed.
    var computed = 0.0

    init(_ rule: Reuse) { self.rule = rule }

    /// Unguided evaluations lie between: the halves are computed again.
    func forget() { difference = nil }

    /// The difference of the halves where this evaluation of so many samples uses it again.
    func kept(for batch: Int) -> Tensor? {
        guard rule.nullInterval > 1, let difference, difference.shape[0] == batch,
            uses + 1 < rule.nullInterval
        else { return nil }
        uses += 1
        return difference
    }

    /// - both: `[2B, ..]` as the model gave it
    func keep(_ both: Tensor) throws(USPError) {
        guard rule.nullInterval > 1 else { return }
        let half = both.shape[0] / 2
        let result = try both.detachedRows(0..<half).copied()
        let null = try both.detachedRows(half..<2 * half)
        for i in 0..<result.count { result.floats[i] -= null.floats[i] }
        (difference, uses) = (result, 0)
    }
}

/// How many samples went through the blocks.
package final class ReuseCount {
    package var samples = 0

    package init() {}
}
