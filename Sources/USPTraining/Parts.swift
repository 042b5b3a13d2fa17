// A batch in parts whose gradients are summed in pairs: sums that do not depend on who computes which
// part.

import USPBase
import USPModels
import USPTensor

/// Sums gradients of parts in pairs, (0 + 1) + (2 + 3), ..., each as soon as it is complete.
///
/// Of 2^k parts at most k slabs are in use (one for one part); the sum ends in the parameters' own
/// slab of gradients. What is not trained but moved by a forward pass (running statistics) is summed
/// in the same way: every part starts from the step's.
final class PairwiseGradients {
    private let parameters: Parameters
    private let parts: Int
    private let slabs: [Tensor]
    /// Values of what forward passes move.
    private let statistics: [(position: Int, start: Tensor)]
    private let positions: [ObjectIdentifier: Int]
    private let reduction: DType
    private let complete: (_ position: Int) -> Void

    /// - parts: a power of two
    /// - reduction: as what values are handed on that are added
    /// - complete: told of each sum that no part is missing from any more
    init(
        _ parameters: Parameters, parts: Int, _ reduction: DType,
        complete: @escaping (_ position: Int) -> Void = { _ in }
    ) throws(USPError) {
        guard let slab = parameters.slab else {
            throw USPError(.unsupported, "training: the parameters are read-only")
        }
        (self.parameters, self.parts) = (parameters, parts)
        (self.reduction, self.complete) = (reduction, complete)
        var slabs = [try parameters.slabOfGradients()]
        while 1 << slabs.count < parts { slabs.append(try Tensor(slab.shape)) }
        self.slabs = slabs
        statistics = try parameters.statistics.map { position throws(USPError) in
            (position, try parameters[position].copied())
        }
        positions = Dictionary(
            uniqueKeysWithValues: parameters.specs.indices.filter(parameters.isTrained).map {
                (ObjectIdentifier(parameters[$0].node), $0)
            })
    }

    /// - loss: of one part, whose gradients it hands on
    /// - Returns: what it gives, part by part
    func collect(
        _ loss: (
            _ part: Int, _ consume: @escaping (Node, Tensor) throws(USPError) -> Void
        ) throws(USPError) -> Float
    ) throws(USPError) -> [Float] {
        var losses: [Float] = []
        defer { restoreStatistics() }
        for part in 0..<parts {
            restoreStatistics()
            var waiting = positions
            losses.append(
                try loss(part) { node, gradient throws(USPError) in
                    guard let position = waiting.removeValue(forKey: ObjectIdentifier(node)) else {
                        return
                    }
                    try self.add(gradient, at: position, of: part)
                })
            // A loss that leaves a parameter out.
            for position in waiting.values {
                try add(Tensor.zeros([parameters[position].count]), at: position, of: part)
            }
            for (position, _) in statistics {
                try add(parameters[position], at: position, of: part)
            }
        }
        return losses
    }

    /// Puts the values of a part beside, or onto, those of the parts before it.
    private func add(_ values: Tensor, at position: Int, of part: Int) throws(USPError) {
        let depth = part.nonzeroBitCount
        if part % 2 == 0 {
            try place(position, depth).copy(from: values)
        } else {
            try add(values, to: place(position, depth - 1))
            // As many sums of equal size are complete as the part's number ends with ones.
            for level in 1..<(~part).trailingZeroBitCount {
                try add(place(position, depth - level), to: place(position, depth - 1 - level))
            }
        }
        if part == parts - 1 { complete(position) }
    }

    private func add(_ values: Tensor, to sum: Tensor) throws(USPError) {
        if reduction == .bfloat16 {
            try addRounded(sum, values)
        } else {
            try addInPlace(sum, values)
        }
    }

    private func place(_ position: Int, _ slab: Int) -> Tensor {
        parameters.view(of: slabs[slab], at: position)
    }

    private func restoreStatistics() {
        for (position, start) in statistics {
            parameters[position].floats.update(from: start.floats, count: start.count)
        }
    }
}

extension Parameters {
    /// Positions of running statistics, which a forward pass moves.
    fileprivate var statistics: [Int] {
        specs.indices.filter {
            specs[$0].name.hasSuffix("running_mean") || specs[$0].name.hasSuffix("running_var")
        }
    }

    var hasStatistics: Bool { !statistics.isEmpty }

    /// Places in the slab of what is summed over parts, and changes.
    var summed: [Range<Int>] { (specs.indices.filter(isTrained) + statistics).map(elements) }

    /// A parameter's place in the slab.
    func elements(_ position: Int) -> Range<Int> {
        offsets[position]..<offsets[position] + specs[position].shape.count
    }

    /// Running statistics become the average of what the parts have made of them, whose sums stand
    /// among the gradients.
    func averageStatistics(_ parts: Int) throws(USPError) {
        guard let gradients else { return }
        for position in statistics {
            let (sums, values) = (view(of: gradients, at: position), self[position])
            for index in 0..<values.count {
                values.floats[index] = sums.floats[index] / Float(parts)
            }
        }
    }
}

extension TrainerOptions {
    /// What a batch is cut into.
    ///
    /// - batch: samples of all ranks
    /// - least: samples of a part, where the option does not say
    /// - Throws: `.argument` unless it is a power of two that divides the batch, and each rank gets
    ///   as many
    package func parts(of batch: Int, least: Int = 1) throws(USPError) -> Int {
        let ranks = ranks?.count ?? 1
        if let parts {
            try require(
                parts & (parts - 1) == 0 && batch % parts == 0, .argument,
                "parts: \(parts), expected a power of two that divides the batch of \(batch)")
        }
        var most = 1
        while most < 64, batch % (2 * most) == 0, batch / (2 * most) >= least { most *= 2 }
        let result = parts ?? most
        try require(
            result % ranks == 0, .argument,
            "\(ranks) ranks: the batch of \(batch) has \(result) parts"
                + (parts == nil ? ", the largest power of two up to 64 that divides it" : "")
                + (least > 1 && parts == nil ? " into \(least) samples or more" : "")
                + "; expected 1, 2, 4, ... up to as many ranks, or another batch")
        return result
    }

    func checkRanks() throws(USPError) {
        try require(
            accumulation == 1 || (parts == nil && ranks?.collectives == nil), .argument,
            "accumulation: \(accumulation), but parts cut the batch already: give parts, as many as "
                + "there are ranks or more, in its place")
        try require(
            !shard || ranks?.reduce == nil, .argument,
            "shard: these ranks can only sum; expected ranks of MPI, or with reduce-scatter and "
                + "all-gather")
        try require(
            reduction == .float32 || (parts ?? 0) > 0 || ranks?.collectives != nil, .argument,
            "reduction: \(reduction.name), but nothing is added in pairs: give parts, or ranks of MPI"
        )
        let isAlone = ranks.map { $0.count == 1 && $0.reduce == nil } ?? true
        try require(
            reduction == .float32 || isAlone || ranks?.collectives?.exchange != nil, .unsupported,
            "reduction: \(reduction.name) needs ranks of MPI, which exchange arrays with each other; "
                + "these add up f32")
        if ranks?.collectives != nil { try ranks?.expectPowerOfTwo() }
    }
}
