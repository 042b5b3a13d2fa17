// A trainer with its data: what happens at a step depends on the step's number alone.

import USPBase
import USPData
import USPModels
import USPTensor

/// The samples of one micro-batch, and where their random numbers come from.
package struct Batch: Sendable {
    /// Which samples of the data set.
    package let indices: [Int]
    /// Number of the first of them within the whole step: noise is drawn from
    /// `key.stream(purpose).stream(first + i)`, so cutting a step into micro-batches changes
    /// nothing.
    package let first: Int
    /// The step's own stream.
    package let key: RandomKey
}

/// One model, its optimiser and the order of its data.
package final class TrainingRun {
    package let trainer: Trainer
    private var order: EpochOrder
    private let key: RandomKey
    private let loss: (Context, Batch) throws(USPError) -> Loss

    /// - count: samples in the data set
    /// - batch: samples a step, a multiple of `accumulation`
    /// - seed: of the data order and of everything random in the loss
    /// - Throws: `.argument` for a batch that the data set or the accumulation does not allow.
    package init(
        _ trainer: Trainer, count: Int, batch: Int, seed: UInt64,
        loss: @escaping (Context, Batch) throws(USPError) -> Loss
    ) throws(USPError) {
        try require(
            batch % trainer.options.accumulation == 0, .argument,
            "batch \(batch) in \(trainer.options.accumulation) micro-batches")
        self.trainer = trainer
        self.loss = loss
        key = RandomKey(seed: seed)
        order = try EpochOrder(count: count, batch: batch, key: key)
    }

    package var step: Int { trainer.step }

    /// One update.
    /// - Throws: as `Trainer.train`.
    @discardableResult
    package func advance() throws(USPError) -> StepReport {
        let indices = order.batch(atStep: trainer.step).indices
        let stepKey = key.stream("samples").stream(trainer.step)
        let size = indices.count / trainer.options.accumulation
        return try trainer.train { (context, part) throws(USPError) in
            let first = part * size
            let batch = Batch(
                indices: Array(indices[first..<first + size]), first: first, key: stepKey)
            return try loss(context, batch)
        }
    }
}
