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
private func smallParameters() throws -> Parameters {
    let parameters = try Parameters([
        ParameterSpec("w", [1, 2], .ones), ParameterSpec("b", [2], .ones),
    ])
    parameters.initialize(RandomKey(seed: 0))
    return parameters
}

/// A loss whose gradient with respect to `b` is this, and which leaves `w` out.
private func lossOfVector(
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
        optimizer.step(OptimizerStep(rate: 0.1, gradientScale: 0.5))
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
        options.schedule = Schedule(rate: 0.1)
        (options.weightDecay, options.clipNorm) = (0.5, clipNorm)
        let trainer = try Trainer(parameters, options)
        try trainer.train(lossOfVector(parameters, [1, 1]))
        #expect(relativeError(parameters[0], [0.95, 0.95]) < 1e-6)
        #expect(relativeError(parameters[1], [0.9, 0.9]) < 1e-6)
    }
}

@Suite struct TrainerDetailTests {
    private func trainer(
        _ parameters: Parameters, clipNorm: Float = 0
    ) throws -> Trainer {
        var options = TrainerOptions()
        options.optimizer = .lars(momentum: 0, trust: 1)
        options.schedule = Schedule(rate: 1)
        options.clipNorm = clipNorm
        return try Trainer(parameters, options)
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
        let trainer = try trainer(parameters)
        trainer.allReduce = (
            { slab throws(USPError) in for i in 0..<slab.count { slab.floats[i] *= 3 } }, 4
        )
        try trainer.train(lossOfVector(parameters, [1, 2]))
        #expect(relativeError(parameters[1], [1 - 0.75, 1 - 1.5]) < 1e-6)
    }

    @Test func cancellingWhileRanksAreSummedChangesNothing() throws {
        let parameters = try smallParameters()
        let trainer = try trainer(parameters)
        trainer.allReduce = ({ _ throws(USPError) in trainer.cancellation.cancel() }, 2)
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
        let trainer = try Trainer(parameters, options)
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
        #expect(throws: USPError(.argument, "average decay: 1.0, expected 0 ..< 1")) {
            try Trainer(parameters, options)
        }
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
        let sizes = ViT.Configuration(
            TransformerSizes(
                grid: Grid(4, 4), channels: 4, patch: 2, width: 24, depth: 1, heads: 2),
            pool: .avg, head: .linear, classes: 5, headDeviation: 0.1)
        let x = try normalTensor([2, 4, 8, 8], seed: 1)
        func start(_ seed: UInt64) throws -> (ViT, Trainer, [Float]) {
            let model = try ViT(sizes, key: RandomKey(seed: seed))
            let trainer = try Trainer(
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

@Suite struct TaskTests {
    /// Of the samples of a run's first step.
    private let key = RandomKey(seed: 8).stream("samples").stream(0)
    private let data = { try normalTensor([4, 4, 8, 8], seed: 2) }

    /// The loss of a first step.
    private func loss(
        _ parameters: Parameters, _ task: @escaping (Context, Batch) throws(USPError) -> Loss
    ) throws -> Float {
        let trainer = try Trainer(parameters, TrainerOptions())
        return try TrainingRun(trainer, count: 4, batch: 4, seed: 8, loss: task).advance().loss
    }

    /// USP's `--add_noise`: √t·x + √(1 − t)·ε with t = 0.5 + 0.5·u, and the target clean.
    @Test func noisyPretrainingIsTheOriginals() throws {
        let sizes = MaskedAutoencoder.Configuration(
            TransformerSizes(
                grid: Grid(4, 4), channels: 4, patch: 2, width: 24, depth: 1, heads: 2),
            decoderWidth: 16, decoderDepth: 1, decoderHeads: 2)
        let model = try MaskedAutoencoder(sizes, key: RandomKey(seed: 1))
        let x = try data()
        let task = TrainingTask.masking(model, latents: { _ in x }, noisy: true)
        let u = try Tensor.uniform([4], key.stream("time"), firstSample: 0).values
        let noise = try Tensor.normal(x.shape, key.stream("noise"), firstSample: 0)
        let input = try Tensor(
            x.shape,
            (0..<x.count).map { i in
                let t = (1 + u[i / 256]) / 2
                return t.squareRoot() * x.floats[i] + (1 - t).squareRoot() * noise.floats[i]
            })
        let masks = try Tensor.uniform([4, 16], key.stream("mask"), firstSample: 0).values
        let masking = try Masking(noise: masks, batch: 4, tokens: 16, ratio: 0.75)
        let expected = try model.forward(input, masking: masking, target: x, in: Context()).loss
        let loss = try loss(model.parameters, task)
        #expect(abs(loss / expected.values[0] - 1) < 1e-5)
    }

    /// All labels or none: a drop of 1 is the null class, of 0 the labels themselves.
    @Test(arguments: [0, 1] as [Float]) func droppedLabelsAreTheNullClass(_ drop: Float) throws {
        let sizes = DiT.Configuration(
            grid: Grid(4, 4), channels: 4, patch: 2, width: 24, depth: 1, heads: 2, classes: 5,
            returnsSigma: false)
        let model = try DiT(sizes, Parameters(sizes.specs()))
        for (position, spec) in model.parameters.specs.enumerated() where spec.isTrainable {
            try model.parameters[position].copy(
                from: randomTensor(spec.shape, spec.name, scale: 0.1))
        }
        let (x, transport) = (try data(), try Transport())
        let task = TrainingTask.flowing(
            model, transport, latents: { _ in x }, labels: { _ in [1, 2, 3, 4] },
            labelDropout: drop)
        func flow(_ labels: [Int]) throws -> Float {
            try TrainingTask.flowLoss(
                model, transport, data: x,
                noise: Tensor.normal(x.shape, key.stream("noise"), firstSample: 0),
                times: transport.drawTimes(key.stream("time"), count: 4), labels: labels,
                in: Context()
            ).value
        }
        let (given, null) = (try flow([1, 2, 3, 4]), try flow([5, 5, 5, 5]))
        #expect(abs(given - null) > 1e-4 * given)
        #expect(try loss(model.parameters, task) == (drop == 0 ? given : null))
    }
}
