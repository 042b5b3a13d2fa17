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

/// The state of one optimiser: slabs in the layout of the parameters, and a count of steps.
package final class Optimizer {
    package let kind: OptimizerKind
    package let parameters: Parameters
    private let segments: [UpdateSegment]
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
        decays: (ParameterSpec) -> Bool = \.decays
    ) throws(USPError) {
        guard let slab = parameters.slab else {
            throw USPError(.unsupported, "optimiser: the parameters are read-only")
        }
        self.kind = kind
        self.parameters = parameters
        var segments: [UpdateSegment] = []
        for (position, spec) in parameters.specs.enumerated()
        where parameters.isTrained(position) {
            segments.append(
                UpdateSegment(
                    offset: parameters.offsets[position], count: spec.shape.count,
                    weightDecay: decays(spec) ? weightDecay : 0, rateScale: rateScale(spec)))
        }
        self.segments = segments
        pieces = UpdateSegment.cut(segments)
        first = try Tensor.zeros(slab.shape)
        if case .adamW = kind {
            second = try Tensor.zeros(slab.shape)
        } else {
            second = try Tensor.zeros([0])
        }
    }

    /// Norm of all gradients together.
    package func gradientNorm() -> Float {
        guard let gradients = parameters.gradients else { return 0 }
        return Float(sumOfSquares(segments, gradients: gradients).squareRoot())
    }

    /// One update of everything from the kept gradients.
    package func step(_ step: OptimizerStep) {
        guard let slab = parameters.slab, let gradients = parameters.gradients else { return }
        time += 1
        switch kind {
        case .adamW(let beta1, let beta2, let epsilon):
            adamW(
                step.numbers(beta1, beta2, epsilon, time), pieces, values: slab,
                gradients: gradients, first: first, second: second, average: step.average)
        case .lars(let momentum, let trust):
            for (segment, spec) in zip(segments, trainedSpecs) {
                lars(
                    rate: step.rate, momentum: momentum,
                    trust: spec.shape.rank > 1
                        ? trustRatio(segment, trust, step.gradientScale) : 1,
                    gradientScale: step.gradientScale, emaDecay: step.averageDecay,
                    segment, values: slab, gradients: gradients, velocity: first,
                    average: step.average)
            }
        }
    }

    /// Whether parameters can be updated one by one, each as soon as its gradient is complete.
    package var updatesOneByOne: Bool { if case .adamW = kind { true } else { false } }

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

    /// trust · ‖p‖ / ‖g + decay·p‖, or 1 where one of them is zero.
    private func trustRatio(_ segment: UpdateSegment, _ trust: Float, _ scale: Float) -> Float {
        guard let slab = parameters.slab, let gradients = parameters.gradients else { return 1 }
        let value = sumOfSquares([segment], gradients: slab).squareRoot()
        let update = sumOfSquares(
            [segment], gradients: gradients, values: slab, scale: scale, decay: segment.weightDecay
        ).squareRoot()
        return value > 0 && update > 0 ? Float(Double(trust) * value / update) : 1
    }
}
