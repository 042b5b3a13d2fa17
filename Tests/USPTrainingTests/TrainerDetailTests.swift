// What whole runs do not show: ends of schedules, scales, parameters without gradients, refusals,
// what is random.

import TestSupport
import Testing
import USPBase
import USPDiffusion
import USPModels
import USPTensor
import USPTraining

/// A matrix `w` and a vector `b` of two ones each.
func smallParameters() throws -> Parameters {
    let parameters = try Parameters([
        ParameterSpec("w", [1, 2], .ones), ParameterSpec("b", [2], .ones),
    ])
    parameters.initialize(RandomKey(seed: 0))
    return parameters
}

/// A loss whose gradient with respect to `b` is this, and which leaves `w` out.
func lossOfVector(
    _ parameters: Parameters, _ gradient: [Float]
) -> (Context, Int) throws(USPError) -> Loss {
    { (context, _) throws(USPError) in
        let output = try context.scale(parameters[1], by: 1)
        return .seeded(value: 1, output: output, gradient: try Tensor([2], gradient))
    }
}

private func values(_ parameters: Parameters) -> [[Float]] {
    parameters.specs.indices.map { parameters[$0].values }
}

@Suite struct ScheduleTests {
    @Test func ratesOfEveryPart() {
        let schedule = Schedule(rate: 1, warmup: 4, steps: 10, minimum: 0.2)
        #expect([0, 1, 4].map { schedule.rate(at: $0) } == [0, 0.25, 1])
        #expect(abs(schedule.rate(at: 7) - 0.6) < 1e-6)
        #expect(schedule.rate(at: 10) == 0.2)
        #expect([11, 13, 16, 1000].allSatisfy { schedule.rate(at: $0) == 0.2 })
        #expect(Schedule(rate: 1, warmup: 2).rate(at: 1000) == 1)
    }

    /// mmengine 0.10.7's own rates: LinearLR from 1e-6 over 1,500 steps, PolyLR to 160,000.
    @Test(
        arguments: [
            (0, 1e-10), (1499, 1e-4), (1500, 1e-4), (80_000, 5.0473e-5), (159_999, 0), (200_000, 0),
        ] as [(Int, Float)])
    func linesAreMmengines(_ index: Int, _ rate: Float) {
        let schedule = Schedule(rate: 1e-4, warmup: 1500, steps: 160_000, shape: .poly)
        #expect(abs(schedule.rate(at: index) - rate) <= 1e-5 * rate)
    }
}

@Suite struct OptimizerDetailTests {
    /// You et al. 2017: v = trust · ‖p‖/‖g + decay·p‖ · (g + decay·p), and for vectors v = g.
    @Test func ratiosOfTrustSeeScaledGradients() throws {
        let parameters = try smallParameters()
        try parameters.makeTrainable()
        let optimizer = try Optimizer(
            .lars(momentum: 0.9, trust: 0.25), parameters, weightDecay: 0.5)
        let gradients = try #require(parameters.gradient(0))
        let vector = try #require(parameters.gradient(1))
        try gradients.copy(from: Tensor([1, 2], [6, 8]))
        try vector.copy(from: Tensor([2], [6, 8]))
        try optimizer.step(OptimizerStep(rate: 0.1, gradientScale: 0.5))
        // g + decay·p = (3.5, 4.5); ‖p‖ = √2.
        let norm = Float(3.5 * 3.5 + 4.5 * 4.5).squareRoot()
        let scale = 0.1 * 0.25 * Float(2).squareRoot() / norm
        #expect(relativeError(parameters[0], [1 - scale * 3.5, 1 - scale * 4.5]) < 1e-6)
        #expect(relativeError(parameters[1], [1 - 0.1 * 3, 1 - 0.1 * 4]) < 1e-6)
    }

    /// A parameter that a loss leaves out still decays, one by one as all together.
    @Test(arguments: [0, 1e9] as [Float])
    func parametersWithoutGradientsDecay(clipNorm: Float) throws {
        let parameters = try smallParameters()
        var options = TrainerOptions()
        (options.rate, options.weightDecay, options.clipNorm) = (0.1, 0.5, clipNorm)
        let trainer = try ParameterTrainer(parameters, options)
        try trainer.train(lossOfVector(parameters, [1, 1]))
        #expect(relativeError(parameters[0], [0.95, 0.95]) < 1e-6)
        #expect(relativeError(parameters[1], [0.9, 0.9]) < 1e-6)
    }
}

@Suite struct TrainerDetailTests {
    private func trainer(
        _ parameters: Parameters, clipNorm: Float = 0, ranks: Ranks? = nil
    ) throws -> ParameterTrainer {
        var options = TrainerOptions()
        (options.rate, options.clipNorm, options.ranks) = (1, clipNorm, ranks)
        return try ParameterTrainer(parameters, options, rule: .lars(momentum: 0, trust: 1))
    }

    /// torch's clip_grad_norm_: the scale is limit / (norm + 1e-6), at most 1.
    @Test func smallGradientsAreClippedAsPyTorchDoes() throws {
        let parameters = try smallParameters()
        try parameters[1].copy(from: Tensor.zeros([2]))
        let trainer = try trainer(parameters, clipNorm: 1e-6)
        try trainer.train(lossOfVector(parameters, [1e-6, 0]))
        #expect(relativeError(parameters[1], [-0.5e-6, 0]) < 1e-3)
    }

    @Test func gradientsThatAreNotFiniteChangeNothing() throws {
        let parameters = try smallParameters()
        let trainer = try trainer(parameters, clipNorm: 1)
        let before = values(parameters)
        #expect(throws: USPError(.notFinite, "training step 1: the gradients' norm is inf")) {
            try trainer.train(lossOfVector(parameters, [.infinity, 0]))
        }
        #expect(values(parameters) == before && trainer.step == 0)
    }

    @Test func ranksAreAveraged() throws {
        let parameters = try smallParameters()
        let ranks = try Ranks(rank: 0, count: 4) { data, count throws(USPError) in
            for i in 0..<count { data[i] *= 3 }
        }
        let trainer = try trainer(parameters, ranks: ranks)
        try trainer.train(lossOfVector(parameters, [1, 2]))
        #expect(relativeError(parameters[1], [1 - 0.75, 1 - 1.5]) < 1e-6)
    }

    @Test func cancellingWhileRanksAreSummedChangesNothing() throws {
        let parameters = try smallParameters()
        let cancellation = Lock<Cancellation?>(nil)
        let ranks = try Ranks(rank: 0, count: 2) { _, _ throws(USPError) in
            cancellation.withLock { $0?.cancel() }
        }
        let trainer = try trainer(parameters, ranks: ranks)
        cancellation.withLock { $0 = trainer.cancellation }
        let before = values(parameters)
        let error = #expect(throws: USPError.self) {
            try trainer.train(lossOfVector(parameters, [1, 2]))
        }
        #expect(error?.kind == .cancelled && values(parameters) == before && trainer.step == 0)
    }

    @Test func everyPartOfEveryStepHasItsOwnNumbers() throws {
        let parameters = try smallParameters()
        var options = TrainerOptions()
        options.accumulation = 2
        let trainer = try ParameterTrainer(parameters, options)
        var seen: Set<Float> = []
        let loss = lossOfVector(parameters, [1, 1])
        for _ in 0..<2 {
            try trainer.train { (context, part) throws(USPError) in
                if let key = context.random {
                    var stream = RandomStream(key)
                    seen.insert(stream.uniform())
                }
                return try loss(context, part)
            }
        }
        #expect(seen.count == 4)
        options.averageDecay = 1
        let told = #expect(throws: USPError.self) { try ParameterTrainer(parameters, options) }
        #expect(told?.message == "average_decay: 1, expected a number of 0 to below 1")
    }

    @Test func statesThatDoNotFitChangeNothing() throws {
        let parameters = try smallParameters()
        let trainer = try trainer(parameters)
        let saved = try trainer.state().map { (name: $0.name, tensor: try $0.tensor.copied()) }
        let before = values(parameters)
        func restoring(_ changed: String, _ tensor: Tensor) -> USPError? {
            #expect(throws: USPError.self) {
                try trainer.restore { (name) throws(USPError) in
                    if name == changed { return tensor }
                    guard let found = saved.first(where: { $0.name == name }) else {
                        throw USPError(.missingWeight, name)
                    }
                    found.tensor.fillWithZeros()
                    return found.tensor
                }
            }
        }
        let counts = try Tensor([2], .int64)
        counts.raw.storeBytes(of: -1, as: Int64.self)
        counts.raw.storeBytes(of: 0, toByteOffset: 8, as: Int64.self)
        #expect(restoring("counts", counts)?.kind == .format)
        let floats = try Tensor([2], .float64)
        #expect(restoring("counts", floats)?.kind == .dtype)
        #expect(restoring("first", try Tensor.zeros([1]))?.kind == .shape)
        #expect(values(parameters) == before)
    }

    /// The frozen part too, whose packed copies are of the values before.
    @Test func restoredModelsComputeWithWhatWasSaved() throws {
        try alone {
            let sizes = ViT.Configuration(
                TransformerSizes(
                    grid: Grid(4, 4), channels: 4, patch: 2, width: 24, depth: 1, heads: 2),
                pool: .avg, head: .linear, classes: 5, headDeviation: 0.1)
            let x = try normalTensor([2, 4, 8, 8], seed: 1)
            func start(_ seed: UInt64) throws -> (ViT, ParameterTrainer, [Float]) {
                let model = try ViT(sizes, key: RandomKey(seed: seed))
                let trainer = try ParameterTrainer(
                    model.parameters, TrainerOptions(), trains: { $0.name.hasPrefix("head.") })
                return (model, trainer, try model.logits(x, in: Context()).values)
            }
            let ((model, trainer, before), (_, other, expected)) = (try start(1), try start(2))
            let saved = try other.state()
            try trainer.restore { (name) throws(USPError) in
                guard let found = saved.first(where: { $0.name == name }) else {
                    throw USPError(.missingWeight, name)
                }
                return found.tensor
            }
            #expect(before != expected)
            #expect(try model.logits(x, in: Context()).values == expected)
        }
    }
}
