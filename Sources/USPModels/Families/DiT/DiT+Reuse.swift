// Passes in which what the blocks added to the tokens at an earlier time is used again.

import USPBase
import USPTensor

/// What a run keeps of a transformer's blocks. One thread at a time.
package final class BlockMemo {
    /// See the sampler's options of these names.
    private let interval: Int
    private let threshold: Float?
    private let order: Int
    /// What the blocks added, the newest first.
    private var kept: [Kept] = []
    /// Evaluations since the newest.
    private var uses = 0
    /// The first block's input of the last evaluation, `[B, T, D]`, and what has changed in it since the
    /// newest, in parts of its size.
    private var input: Tensor?
    private var change: Float = 0

    private struct Kept {
        let time: Float
        let labels: [Int]
        /// `[B, T, D]`
        let added: Tensor

        /// Whether it has these samples, in front.
        func covers(_ asked: [Int]) -> Bool { labels.starts(with: asked) }
    }

    /// - interval: evaluations from one that is computed to the next
    /// - threshold: in its place, the change of the first block's input that calls for it
    /// - order: 1 carries on the line through the last two
    package init(interval: Int, threshold: Float?, order: Int) {
        (self.interval, self.threshold, self.order) = (interval, threshold, order)
    }

    /// Adds what blocks add, computed or from before.
    ///
    /// - tokens: `[B, T, D]`; becomes the result
    /// - labels: one a sample, by which it is known
    /// - firstInput: of the blocks, where a threshold asks for it
    /// - Returns: whether the blocks were computed
    func add(
        to tokens: Tensor, _ time: Float, _ labels: [Int],
        firstInput: () throws(USPError) -> Tensor, blocks: () throws(USPError) -> Void
    ) throws(USPError) -> Bool {
        let isDue = try isDue(firstInput)
        if !isDue, let newest = kept.first, newest.covers(labels) {
            uses += 1
            accumulate(newest, time, labels, into: tokens)
            return false
        }
        let added = try tokens.copied()
        try blocks()
        for i in 0..<added.count { added.floats[i] = tokens.floats[i] - added.floats[i] }
        kept = [Kept(time: time, labels: labels, added: added)] + kept.prefix(order)
        (uses, change) = (0, 0)
        return true
    }

    private func isDue(_ firstInput: () throws(USPError) -> Tensor) throws(USPError) -> Bool {
        guard let threshold else { return uses + 1 >= interval }
        let next = try firstInput()
        defer { input = next }
        guard let input else { return true }
        let count = min(next.count, input.count)
        var (difference, size) = (0.0, 0.0)
        for i in 0..<count {
            difference += Double(abs(next.floats[i] - input.floats[i]))
            size += Double(abs(input.floats[i]))
        }
        change += Float(difference / max(size, .leastNormalMagnitude))
        return !(change < threshold)
    }

    private func accumulate(
        _ newest: Kept, _ time: Float, _ labels: [Int], into tokens: Tensor
    ) {
        let (sum, added) = (tokens.floats, newest.added.floats)
        guard order > 0, kept.count > 1, kept[1].covers(labels), kept[1].time != newest.time
        else {
            for i in 0..<tokens.count { sum[i] += added[i] }
            return
        }
        let before = kept[1].added.floats
        let step = (time - newest.time) / (newest.time - kept[1].time)
        for i in 0..<tokens.count { sum[i] += added[i] + step * (added[i] - before[i]) }
    }
}

extension DiT {
    /// The prediction at one time for all, by way of a run's memo.
    ///
    /// - y: as many labels as the conditioning has samples
    /// - Returns: `[B, C or 2C, H, W]`, and the samples whose blocks were computed
    package func forward(
        _ x: Tensor, _ conditioning: DiTConditioning, time: Float, labels y: [Int],
        reusing memo: BlockMemo, in context: Context
    ) throws(USPError) -> (output: Tensor, computed: Int) {
        let tokens = try embed(x, conditioning, in: context)
        let isComputed = try memo.add(
            to: tokens, time, y,
            firstInput: { () throws(USPError) in
                let block = blocks[0]
                let modulation = try conditioning.blocks[0].value()
                return try context.layerNorm(
                    tokens, block.modulated(block.norm1, 0, modulation))
            },
            blocks: { () throws(USPError) in
                _ = try run(0..<blocks.count, tokens, conditioning, in: context)
            })
        let output = try prediction(
            patches(tokens, in: context), conditioning, in: context)
        return (output, isComputed ? y.count : 0)
    }
}
