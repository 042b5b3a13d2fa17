// One step: forward, backward, clip, update, average. It knows no model: whoever calls hands it a
// loss.

import Synchronization
import USPBase
import USPFiles
import USPModels
import USPTensor

/// What one step did.
public struct StepReport: Sendable, Equatable {
    /// Steps done, this one included.
    public let step: Int
    /// Mean over the batch.
    public let loss: Float
    public let rate: Float
    /// Norm of the gradients before clipping; 0 without clipping.
    public let gradientNorm: Float
}

/// Owns the optimiser, the average and the step count of one model's parameters.
///
/// One thread at a time. Everything random depends on seed and step alone, so a trainer that is
/// restored from `state` continues as if it had never stopped.
package final class ParameterTrainer {
    package let parameters: Parameters
    package let options: TrainerOptions
    package let optimizer: Optimizer
    /// The moving average, in the parameters' layout or this rank's share of it.
    package let average: Tensor?
    package let cancellation = Cancellation()
    /// In place of the schedule's.
    package var rate: Float?
    /// Steps done: any thread may read them while another one steps.
    package private(set) var step: Int {
        get { done.load(ordering: .relaxed) }
        set { done.store(newValue, ordering: .relaxed) }
    }
    private let done = Atomic<Int>(0)
    private let ranks: Ranks
    /// nil: moments and average are all here.
    private let shard: Shard?
    /// Of buckets, as rank 0's first step has completed them; nil before it.
    private var order: [Int]?

    /// Makes the parameters that `trains` accepts trainable and starts at step 0.
    ///
    /// - rule: nil: the options'
    /// - rateScale, decays: as `Optimizer` takes them
    /// - Throws: `.argument` for options out of range
    package init(
        _ parameters: Parameters, _ options: TrainerOptions, rule: OptimizerKind? = nil,
        rateScale: (ParameterSpec) -> Float = { _ in 1 },
        decays: (ParameterSpec) -> Bool = \.decays,
        trains: (ParameterSpec) -> Bool = { _ in true }
    ) throws(USPError) {
        try options.checkFields()
        ranks = options.ranks ?? .alone
        self.parameters = parameters
        self.options = options
        try require(
            options.reduction == .float32 || !parameters.hasStatistics, .unsupported,
            "reduction: \(options.reduction.name) would round the running statistics of this model")
        try parameters.makeTrainable(keepsGradients: false, where: trains)
        shard =
            options.shard && ranks.count > 1
            ? parameters.slab.map {
                Shard(of: $0.count, options.ranks ?? .alone, changing: parameters.summed)
            } : nil
        optimizer = try Optimizer(
            rule ?? options.rule, parameters, weightDecay: options.weightDecay,
            rateScale: rateScale, decays: decays, shard: shard)
        if options.averageDecay > 0, let slab = parameters.slab {
            if let shard { average = try shard.own(of: slab) } else { average = try slab.copied() }
        } else {
            average = nil
        }
    }

    /// One update from `accumulation` micro-batches.
    ///
    /// Where nothing needs all gradients at once (one micro-batch, no clipping, one rank, no parts, AdamW),
    /// each parameter is updated as soon as its gradient is complete, and the gradient is
    /// forgotten: the same bits, and no slab of gradients in memory.
    ///
    /// - loss: called with a recording context and the micro-batch's index
    /// - Throws: what `loss` throws; `.cancelled`; `.notFinite` naming the step if the loss or what
    ///   ranks have summed is. Parameters are then as before the step; not so if memory runs out
    ///   (`.memory`) amid a backward pass that updates.
    ///
    /// - parts: what the batch of all ranks is cut into, for bits that do not depend on their number;
    ///   nil: `accumulation`
    @discardableResult
    package func train(
        parts: Int? = nil, _ loss: (Context, Int) throws(USPError) -> Loss
    ) throws(USPError) -> StepReport {
        if let parts { return try trainInPairs(parts, loss) }
        try checkCancellation()
        if options.accumulation == 1 && options.clipNorm == 0 && ranks.reduce == nil
            && optimizer.updatesOneByOne
        {
            return try trainOneByOne(loss)
        }
        try parameters.keepGradients()
        parameters.zeroGradients()
        var total: Float = 0
        for part in 0..<options.accumulation {
            let tape = Tape()
            defer { tape.forget() }
            let result = try forward(
                part, tape, randomKey(part: ranks.rank * options.accumulation + part), loss)
            try result.backward(tape)
            total += result.value
        }
        try sumOverRanks()
        try checkCancellation()
        return try update(
            loss: total / Float(options.accumulation), parts: options.accumulation * ranks.count)
    }

    private func sumOverRanks() throws(USPError) {
        guard ranks.count > 1 || ranks.reduce != nil, let gradients = parameters.gradients else {
            return
        }
        try ranks.sum(gradients.floats, gradients.count)
        try expectFinite(gradients.isFinite)
    }

    private func expectFinite(_ isFinite: Bool) throws(USPError) {
        try require(
            isFinite, .notFinite,
            "training step \(step + 1): the gradients after the all-reduce are not finite")
    }

    /// The batch of all ranks in parts, whose gradients are summed in pairs, (0 + 1) + (2 + 3), ...,
    /// within a rank and across ranks: the same bits on any number of them.
    private func trainInPairs(
        _ parts: Int, _ loss: (Context, Int) throws(USPError) -> Loss
    ) throws(USPError) -> StepReport {
        let own = parts / ranks.count
        if parameters.gradients == nil {
            // Who has no memory for it could not let the others' exchange through.
            try ranks.together { () throws(USPError) in _ = try parameters.slabOfGradients() }
        }
        let exchange = try exchange()
        let (_, losses) = try ranks.together(telling: { $0 }) { () throws(USPError) -> [Float] in
            var (losses, failure): ([Float], USPError?) = ([], nil)
            do throws(USPError) {
                losses = try collect(own, loss) { [parameters] position in
                    exchange?.complete(parameters.elements(position))
                }
            } catch { failure = error }
            try exchange?.finish()
            if let failure { throw failure }
            return losses
        }
        if ranks.reduce != nil { try sumOverRanks() }
        try ranks.together { () throws(USPError) in
            try expectFiniteSums()
            try checkCancellation()
        }
        if let exchange, order == nil { order = try ranks.gather(values: exchange.completed)[0] }
        try parameters.averageStatistics(parts)
        return try update(
            loss: Ranks.pairwiseSum(losses.flatMap { $0 }) / Float(parts), parts: parts)
    }

    /// The losses of this rank's parts, whose gradients are summed here.
    private func collect(
        _ own: Int, _ loss: (Context, Int) throws(USPError) -> Loss,
        complete: @escaping (_ position: Int) -> Void
    ) throws(USPError) -> [Float] {
        try checkCancellation()
        let sums = try PairwiseGradients(
            parameters, parts: own, options.reduction, complete: complete)
        return try sums.collect { part, consume throws(USPError) in
            let tape = Tape(consume: consume)
            defer { tape.forget() }
            let key = randomKey(part: ranks.rank * own + part)
            let result = try forward(part, tape, key, loss)
            try result.backward(tape)
            return result.value
        }
    }

    /// The sums over ranks of the step that begins; nil: there is one rank.
    private func exchange() throws(USPError) -> GradientExchange? {
        guard let collectives = ranks.collectives, ranks.count > 1,
            let gradients = parameters.gradients
        else { return nil }
        try ranks.expectPowerOfTwo()
        let pieces = SlabPieces(count: gradients.count, ranks: ranks.count)
        return GradientExchange(
            gradients, pieces, over: ranks,
            awaiting: parameters.summed,
            // Backward passes begin at the end, more or less.
            order: order ?? (0..<pieces.buckets).reversed(), gathers: shard == nil,
            options.reduction, overlaps: options.overlap && collectives.isOnAnyThread)
    }

    private func expectFiniteSums() throws(USPError) {
        guard let gradients = parameters.gradients else { return }
        if ranks.count == 1 && options.reduction == .bfloat16 { gradients.roundToBFloat16() }
        if let shard {
            try expectFinite(shard.isFinite(gradients))
        } else if ranks.count > 1 {
            try expectFinite(gradients.isFinite)
        }
    }

    private func trainOneByOne(
        _ loss: (Context, Int) throws(USPError) -> Loss
    ) throws(USPError) -> StepReport {
        let step = optimizerStep(gradientScale: 1)
        var value: Float = 0
        try optimizer.stepOneByOne(step) { update throws(USPError) in
            let tape = Tape(consume: update)
            defer { tape.forget() }
            let result = try forward(
                0, tape, randomKey(part: ranks.rank * options.accumulation), loss)
            value = result.value
            try result.backward(tape)
        }
        self.step += 1
        return StepReport(step: self.step, loss: value, rate: step.rate, gradientNorm: 0)
    }

    /// The loss of one micro-batch, finite.
    private func forward(
        _ part: Int, _ tape: Tape, _ key: RandomKey,
        _ loss: (Context, Int) throws(USPError) -> Loss
    ) throws(USPError) -> Loss {
        let context = Context(options.arithmetic, tape: tape).with(random: key)
        let result = try loss(context, part)
        guard result.value.isFinite else {
            throw USPError(.notFinite, "training step \(step + 1): the loss is \(result.value)")
        }
        try checkCancellation()
        return result
    }

    /// Wherever parameters are as before the step.
    private func checkCancellation() throws(USPError) {
        try cancellation.check("training step \(step + 1)")
    }

    /// Of dropout and drop path in a micro-batch of the next step.
    ///
    /// - part: its number among those of all ranks
    package func randomKey(part: Int) -> RandomKey {
        RandomKey(seed: options.seed).stream("training").stream(step).stream(part)
    }

    private func optimizerStep(gradientScale: Float) -> OptimizerStep {
        OptimizerStep(
            rate: rate ?? options.rates.rate(at: step), gradientScale: gradientScale,
            average: average,
            averageDecay: options.averageDecay(at: step))
    }

    /// - parts: whose gradients are summed up, over all ranks
    private func update(loss: Float, parts: Int) throws(USPError) -> StepReport {
        var scale = 1 / Float(parts)
        var norm: Float = 0
        if options.clipNorm > 0 {
            norm = try optimizer.gradientNorm() * scale
            guard norm.isFinite else {
                throw USPError(
                    .notFinite, "training step \(step + 1): the gradients' norm is \(norm)")
            }
            // torch.nn.utils.clip_grad_norm_
            scale *= min(1, options.clipNorm / (norm + 1e-6))
        }
        let numbers = optimizerStep(gradientScale: scale)
        try optimizer.step(numbers)
        step += 1
        return StepReport(step: step, loss: loss, rate: numbers.rate, gradientNorm: norm)
    }

    /// Parameters with the averaged values (or a copy of the current ones without an average); of a
    /// sharded average all ranks' together.
    package func averaged() throws(USPError) -> Parameters {
        guard let average else { return try parameters.copied() }
        guard let shard else { return try averaged(from: average) }
        let gathering = ShardGathering([average], shard)
        do throws(USPError) {
            let whole = try Tensor([shard.pieces.count])
            try gathering.next { range, values throws(USPError) in
                (whole.floats + range.lowerBound).update(from: values, count: range.count)
            }
            return try averaged(from: whole)
        } catch {
            try gathering.finish()
            throw error
        }
    }

    private func averaged(from average: Tensor) throws(USPError) -> Parameters {
        let result = try parameters.copied()
        for position in result.specs.indices where parameters.isTrained(position) {
            try result[position].copy(from: result.view(of: average, at: position))
        }
        return result
    }

    /// What a rank does that has no use for the averaged values while another one asks for them.
    package func helpAveraging() throws(USPError) {
        guard let shard, let average else { return }
        try ShardGathering([average], shard).finish()
    }

    /// Everything that a later `restore` needs, by name: slabs, or this rank's shares of them, and
    /// counts.
    package func state() throws(USPError) -> [(name: String, tensor: Tensor)] {
        guard let slab = parameters.slab else { return [] }
        let counts = try Tensor([2], .int64)
        let words = counts.raw.assumingMemoryBound(to: Int64.self)
        words[0] = Int64(step)
        words[1] = Int64(optimizer.time)
        var result = [
            ("parameters", slab), ("first", optimizer.first), ("second", optimizer.second),
            ("counts", counts),
        ]
        if let average { result.append(("average", average)) }
        return result.map { (name: $0.0, tensor: $0.1) }
    }

    /// What of it ranks may have shares of.
    private func isShare(_ tensor: Tensor) -> Bool {
        shard != nil && [optimizer.first, optimizer.second, average].contains { $0 === tensor }
            && !(tensor === optimizer.second && optimizer.kind.hasOneMoment)
    }

    /// The state of all ranks, the same file whoever has which share; they call this together.
    ///
    /// - write: of one rank: all of it, in the given order
    package func save(
        _ write: (([ArrayOutput]) throws(USPError) -> Void)?
    ) throws(USPError) {
        let state = try state()
        guard let shard else {
            try write?(state.map { ArrayOutput($0.name, $0.tensor) })
            return
        }
        let gathering = ShardGathering(state.map(\.tensor).filter(isShare), shard)
        var failure: USPError?
        do throws(USPError) {
            try write?(
                state.map { name, tensor in
                    guard isShare(tensor) else { return ArrayOutput(name, tensor) }
                    return ArrayOutput(name, .float32, [shard.pieces.count]) {
                        file throws(USPError) in
                        try gathering.next { range, values throws(USPError) in
                            try file.write(
                                UnsafeRawBufferPointer(start: values, count: range.count * 4))
                        }
                    }
                })
        } catch { failure = error }
        try gathering.finish()
        if let failure { throw failure }
    }

    /// Continues from a saved state, whatever number of ranks has saved it.
    /// - Throws: `.missingWeight`, `.shape`, `.dtype` naming what does not fit; nothing has changed
    ///   then.
    package func restore(_ saved: (String) throws(USPError) -> Tensor) throws(USPError) {
        var found: [(name: String, target: Tensor, source: Tensor)] = []
        // The parameters last: of what ranks have shares of, no more than one is here whole.
        for (name, tensor) in try state().reversed() {
            let source = try saved(name)
            let share = isShare(tensor) ? shard : nil
            try expect(
                source, share.map { [$0.pieces.count] } ?? tensor.shape, "training state: \(name)")
            try require(
                source.dtype == tensor.dtype, .dtype,
                "training state: \(name): \(source.dtype.name), expected \(tensor.dtype.name)")
            if let share {
                found.append((name, tensor, try share.own(of: source)))
            } else {
                found.append((name, tensor, source))
            }
        }
        guard let counts = found.first(where: { $0.name == "counts" })?.source else { return }
        let (steps, times) = withExtendedLifetime(counts) {
            let words = counts.raw.assumingMemoryBound(to: Int64.self)
            return (Int(words[0]), Int(words[1]))
        }
        try require(
            steps >= 0 && times >= 0, .format,
            "training state: \(steps) steps, \(times) updates: expected 0 or more")
        for (_, target, source) in found { try target.copy(from: source) }
        (step, optimizer.time) = (steps, times)
        parameters.invalidateCopies()
    }
}
