// AdamW and LARS over a model's slab: one pass for update, decay and moving average.

import USPBase
import USPModels
import USPTensor

/// Which rule updates the parameters, and its constants.
package enum OptimizerKind: Sendable, Equatable {
    case adamW(beta1: Float, beta2: Float, epsilon: Float)
    /// You, Gitman, Ginsburg 2017, as MAE's linear probe uses it.
    case lars(momentum: Float, trust: Float)

    /// The constants of masked pretraining: β = (0.9, 0.95).
    package static let pretraining = OptimizerKind.adamW(beta1: 0.9, beta2: 0.95, epsilon: 1e-8)
    /// The constants of DiT, SiT and of fine-tuning: β = (0.9, 0.999).
    package static let standard = OptimizerKind.adamW(beta1: 0.9, beta2: 0.999, epsilon: 1e-8)
    package static let probe = OptimizerKind.lars(momentum: 0.9, trust: 0.001)

    var hasOneMoment: Bool { if case .lars = self { true } else { false } }
}

/// The numbers of one update; the average, if any, follows in the same pass.
package struct OptimizerStep {
    package var rate: Float
    package var gradientScale: Float = 1
    package var average: Tensor?
    package var averageDecay: Float = 0

    package init(
        rate: Float, gradientScale: Float = 1, average: Tensor? = nil, averageDecay: Float = 0
    ) {
        (self.rate, self.gradientScale) = (rate, gradientScale)
        (self.average, self.averageDecay) = (average, averageDecay)
    }

    fileprivate func numbers(
        _ beta1: Float, _ beta2: Float, _ epsilon: Float, _ time: Int
    ) -> AdamWStep {
        AdamWStep(
            rate: rate, beta1: beta1, beta2: beta2, epsilon: epsilon, time: time,
            gradientScale: gradientScale, emaDecay: averageDecay)
    }
}

/// The state of one optimiser: slabs in the layout of the parameters, or this rank's share of them,
/// and a count of steps.
package final class Optimizer {
    package let kind: OptimizerKind
    package let parameters: Parameters
    /// nil: all of the state is here.
    let shard: Shard?
    private let segments: [UpdateSegment]
    /// What this rank updates, in cuts.
    private let pieces: [UpdateSegment]
    /// First moment (AdamW) or velocity (LARS).
    package let first: Tensor
    /// Second moment; empty for LARS.
    package let second: Tensor
    package internal(set) var time = 0

    /// Updates what `makeTrainable` has marked.
    ///
    /// - rateScale: multiplies the learning rate of a parameter (layer-wise decay)
    /// - decays: which parameters weight decay applies to
    /// - Throws: `.unsupported` for parameters in a mapped file
    package init(
        _ kind: OptimizerKind, _ parameters: Parameters, weightDecay: Float,
        rateScale: (ParameterSpec) -> Float = { _ in 1 },
        decays: (ParameterSpec) -> Bool = \.decays, shard: Shard? = nil
    ) throws(USPError) {
        guard let slab = parameters.slab else {
            throw USPError(.unsupported, "optimiser: the parameters are read-only")
        }
        self.kind = kind
        self.parameters = parameters
        self.shard = shard
        var segments: [UpdateSegment] = []
        for (position, spec) in parameters.specs.enumerated()
        where parameters.isTrained(position) {
            segments.append(
                UpdateSegment(
                    offset: parameters.offsets[position], count: spec.shape.count,
                    weightDecay: decays(spec) ? weightDecay : 0, rateScale: rateScale(spec)))
        }
        self.segments = segments
        pieces = UpdateSegment.cut(shard?.own(segments) ?? segments)
        let shape = shard.map { [$0.count] } ?? slab.shape
        first = try Tensor.zeros(shape)
        if case .adamW = kind {
            second = try Tensor.zeros(shape)
        } else {
            second = try Tensor.zeros([0])
        }
    }

    /// Norm of all gradients together.
    package func gradientNorm() throws(USPError) -> Float {
        guard let gradients = parameters.gradients else { return 0 }
        let sums = try sumsOfSquares(segments) { squares(of: $0, gradients: gradients) }
        return Float(sums.reduce(0, +).squareRoot())
    }

    /// What `body` gives for pieces of segments, added up for each segment; the pieces are this rank's
    /// and the sums those of all, in an order that does not depend on whose they are.
    private func sumsOfSquares(
        _ segments: [UpdateSegment], _ body: ([UpdateSegment]) -> [Double]
    ) throws(USPError) -> [Double] {
        let cuts = segments.map { UpdateSegment.cut([$0], grain: SlabPieces.grain) }
        let pieces = cuts.flatMap(\.self)
        var rest: ArraySlice<Double>
        if let shard { rest = try shard.share(pieces, body)[...] } else { rest = body(pieces)[...] }
        return cuts.map { cut in
            defer { rest = rest.dropFirst(cut.count) }
            return rest.prefix(cut.count).reduce(0, +)
        }
    }

    /// One update of everything from the kept gradients; of a share, all ranks' together.
    package func step(_ step: OptimizerStep) throws(USPError) {
        guard let slab = parameters.slab, let gradients = parameters.gradients else { return }
        switch kind {
        case .adamW(let beta1, let beta2, let epsilon):
            adamW(
                step.numbers(beta1, beta2, epsilon, time + 1), pieces, values: slab,
                gradients: gradients, first: first, second: second, average: step.average)
        case .lars(let momentum, let trust):
            let ratios = try trustRatios(trust, step.gradientScale)
            for (segment, ratio) in zip(segments, ratios) {
                for piece in shard?.own([segment]) ?? [segment] {
                    lars(
                        rate: step.rate, momentum: momentum, trust: ratio,
                        gradientScale: step.gradientScale, emaDecay: step.averageDecay,
                        piece, values: slab, gradients: gradients, velocity: first,
                        average: step.average)
                }
            }
        }
        time += 1
        try shard?.gather(slab)
    }

    /// Whether parameters can be updated one by one, each as soon as its gradient is complete.
    package var updatesOneByOne: Bool { shard == nil && !kind.hasOneMoment }

    /// The update of each trained parameter by itself, to the same bits as `step`: `body` calls
    /// what it is given with a parameter and its gradient. Those that it leaves out have none:
    /// zeros.
    package func stepOneByOne(
        _ step: OptimizerStep,
        _ body: (_ update: @escaping (Node, Tensor) throws(USPError) -> Void) throws(USPError) ->
            Void
    ) throws(USPError) {
        guard let slab = parameters.slab, case .adamW(let beta1, let beta2, let epsilon) = kind
        else { throw USPError(.unsupported, "optimiser: \(kind) updates all parameters together") }
        let numbers = step.numbers(beta1, beta2, epsilon, time + 1)
        var waiting = segmentsByNode
        func update(_ segment: UpdateSegment, _ gradient: Tensor) {
            adamW(
                numbers, UpdateSegment.cut([segment]), values: slab, gradients: gradient,
                from: segment.offset, first: first, second: second, average: step.average)
        }
        try body { node, gradient throws(USPError) in
            guard let segment = waiting.removeValue(forKey: ObjectIdentifier(node)) else { return }
            update(segment, gradient)
        }
        for segment in waiting.values { update(segment, try Tensor.zeros([segment.count])) }
        time += 1
    }

    private var segmentsByNode: [ObjectIdentifier: UpdateSegment] {
        let trained = parameters.specs.indices.filter { parameters.isTrained($0) }
        return Dictionary(
            uniqueKeysWithValues: zip(trained, segments).map {
                (ObjectIdentifier(parameters[$0].node), $1)
            })
    }

    private var trainedSpecs: [ParameterSpec] {
        parameters.specs.enumerated().filter { parameters.isTrained($0.offset) }.map(\.element)
    }

    /// trust · ‖p‖ / ‖g + decay·p‖ of each matrix, or 1 where one of them is zero; 1 of vectors.
    private func trustRatios(_ trust: Float, _ scale: Float) throws(USPError) -> [Float] {
        guard let slab = parameters.slab, let gradients = parameters.gradients else { return [] }
        let specs = trainedSpecs
        let values = try sumsOfSquares(segments) { squares(of: $0, gradients: slab) }
        let updates = try sumsOfSquares(segments) { pieces in
            pieces.flatMap {
                squares(
                    of: [$0], gradients: gradients, values: slab, scale: scale,
                    decay: $0.weightDecay)
            }
        }
        return specs.indices.map { index in
            guard specs[index].shape.rank > 1, values[index] > 0, updates[index] > 0 else {
                return 1
            }
            return Float(
                Double(trust) * values[index].squareRoot() / updates[index].squareRoot())
        }
    }
}
