// What each family is trained on: what is random, what is noised, dropped, compared; ranks; a task
// with parameters of its own.

import Foundation
import TestSupport
import Testing
import USPBase
import USPData
import USPDiffusion
import USPModels
import USPTensor
import USPTraining

private let encoder = TransformerSizes(
    grid: Grid(4, 4), channels: 4, patch: 2, width: 24, depth: 1, heads: 2)

private func autoencoder() throws -> MaskedAutoencoder {
    try MaskedAutoencoder(
        MaskedAutoencoder.Configuration(
            encoder, decoderWidth: 16, decoderDepth: 1, decoderHeads: 2),
        key: RandomKey(seed: 1))
}

/// Every parameter is random: fresh ones ignore time and label.
private func transformer() throws -> DiT {
    let sizes = DiT.Configuration(
        grid: Grid(4, 4), channels: 4, patch: 2, width: 24, depth: 1, heads: 2, classes: 5,
        returnsSigma: false)
    let model = try DiT(sizes, Parameters(sizes.specs()))
    for (position, spec) in model.parameters.specs.enumerated() where spec.isTrainable {
        try model.parameters[position].copy(from: randomTensor(spec.shape, spec.name, scale: 0.1))
    }
    return model
}

@Suite struct TaskTests {
    /// Of the samples of a trainer's first step with seed 8.
    private let key = RandomKey(seed: 8).stream("batch").stream(0)
    private let data = { try normalTensor([4, 4, 8, 8], seed: 2) }

    private func options(_ change: (inout TrainerOptions) -> Void = { _ in }) -> TrainerOptions {
        var options = TrainerOptions()
        options.seed = 8
        change(&options)
        return options
    }

    /// USP's `--add_noise`: √t·x + √(1 − t)·ε with t = 0.5 + 0.5·u, and the target clean.
    @Test func noisyPretrainingIsTheOriginals() throws {
        let model = try autoencoder()
        let x = try data()
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
        let loss = try Trainer(model, options { $0.addNoise = true }).step(Batch(x)).loss
        #expect(abs(loss / expected.values[0] - 1) < 1e-5)
        // The same from outside: a noised input with its clean target.
        var batch = Batch(input)
        (batch.target, batch.noise) = (x, try Tensor([4, 16], masks))
        #expect(try abs(Trainer(model, options()).step(batch).loss / loss - 1) < 1e-5)
    }

    @Test func targetsAreNormalisedAsAsked() throws {
        let model = try autoencoder()
        let x = try data()
        let masks = try Tensor.uniform([4, 16], key.stream("mask"), firstSample: 0).values
        let masking = try Masking(noise: masks, batch: 4, tokens: 16, ratio: 0.75)
        var seen: Set<Float> = []
        for (normalisation, change) in [
            (PatchNormalisation.patch, { (_: inout TrainerOptions) in }),
            (.image, { $0.normImage = true }), (.none, { $0.normPixLoss = false }),
        ] {
            let expected = try model.forward(
                x, masking: masking, normalisation: normalisation, in: Context()
            ).loss.values[0]
            #expect(try Trainer(model, options(change)).step(Batch(x)).loss == expected)
            seen.insert(expected)
        }
        #expect(seen.count == 3)
    }

    /// All labels or none: a drop of 1 is the null class, of 0 the labels themselves.
    @Test(arguments: [0, 1] as [Float]) func droppedLabelsAreTheNullClass(_ drop: Float) throws {
        let model = try transformer()
        let (x, transport) = (try data(), try Transport())
        func flow(_ labels: [Int]) throws -> Float {
            let times = transport.drawTimes(key.stream("time"), count: 4)
            let noise = try Tensor.normal(x.shape, key.stream("noise"), firstSample: 0)
            let output = try model.forward(
                transport.noised(x, times: times, noise: noise), t: times, y: labels, in: Context())
            return try transport.losses(output: output, data: x, noise: noise, times: times).mean
        }
        let (given, null) = (try flow([1, 2, 3, 4]), try flow([5, 5, 5, 5]))
        #expect(abs(given - null) > 1e-4 * given)
        let trainer = try Trainer(model, options { $0.labelDropout = drop })
        let loss = try trainer.step(Batch(x, labels: [1, 2, 3, 4])).loss
        #expect(loss == (drop == 0 ? given : null))
    }

    /// Two ranks with their halves of a batch, and what they draw, are one process with all of it.
    @Test func ranksDrawByTheirPlaceInTheBatch() throws {
        let (x, labels) = (try data(), [1, 2, 3, 4])
        let model = try transformer()
        func loss(_ ranks: Ranks?, _ rows: Range<Int>) throws -> Float {
            let trainer = try Trainer(
                model,
                options {
                    $0.labelDropout = 0.5
                    $0.ranks = ranks
                })
            return try trainer.step(Batch(x.detachedRows(rows), labels: Array(labels[rows]))).loss
        }
        let whole = try loss(nil, 0..<4)
        let halves = try (0..<2).map { rank in
            try loss(Ranks(rank: rank, count: 2) { _, _ in }, 2 * rank..<2 * rank + 2)
        }
        #expect(abs((halves[0] + halves[1]) / 2 / whole - 1) < 1e-6)
        #expect(halves[0] != halves[1])
        let told = #expect(throws: USPError.self) { try Ranks(rank: 2, count: 2) { _, _ in } }
        #expect(told?.message == "rank: 2, expected 0 to 1, one less than the number of ranks")
    }
}

/// A model `y = w·x` whose task maps it by `projection`, its own, to the batch's target.
private final class Projected: Trainable {
    struct Configuration: ModelConfiguration {
        static let title = "projected"
        static let fields: [Field<Configuration>] = []
        var family: String { "MAE" }
        func specs() -> [ParameterSpec] { [ParameterSpec("w", [3, 4], .ones)] }
        func checkTogether() {}
    }

    static let families: [Family] = []
    let configuration: Configuration
    let weights: ModelWeights
    let arithmetic: Arithmetic
    let layers = 0

    init(_ configuration: Configuration, _ weights: ModelWeights, _ arithmetic: Arithmetic) {
        (self.configuration, self.weights, self.arithmetic) = (configuration, weights, arithmetic)
    }

    func inputShape(batch: Int) -> Shape { [batch, 4] }

    func ownSpecs(_ options: TrainerOptions) throws(USPError) -> [ParameterSpec] {
        [ParameterSpec("projection", [2, 3], .normal(deviation: 1))]
    }

    func training(over parameters: Parameters, _ options: TrainerOptions) -> Projected {
        Projected(configuration, ModelWeights(parameters), options.arithmetic)
    }

    func loss(
        of part: BatchPart, _ options: TrainerOptions, in context: Context
    ) throws(USPError) -> Loss {
        let y = try context.linear(part.batch.inputs, parameters.tensor("w"), nil)
        let z = try context.linear(y, parameters.tensor("projection"), nil)
        guard let target = part.batch.target else { throw USPError(.argument, "no target") }
        return .scalar(try context.meanSquaredError(z, target))
    }
}

@Suite struct OwnParameterTests {
    private func batch() throws -> Batch {
        var batch = Batch(try normalTensor([5, 4], seed: 1))
        batch.target = try normalTensor([5, 2], seed: 2)
        return batch
    }

    private func start(_ seed: UInt64 = 7) throws -> Trainer {
        var options = TrainerOptions()
        (options.rate, options.averageDecay, options.seed) = (0.05, 0.5, seed)
        return try Trainer(Projected(Projected.Configuration(), key: RandomKey(seed: 1)), options)
    }

    @Test func theyAreTrainedSavedAndNeverTheModels() throws {
        let path = NSTemporaryDirectory() + "usp-own-\(getpid()).safetensors"
        defer { unlink(path) }
        let trainer = try start()
        let first = try trainer.gradients(batch())
        #expect(try first.gradients.tensor("w").shape == [3, 4])
        #expect(try first.gradients.tensor("projection").shape == [2, 3])
        let own = try trainer.updates.parameters.tensor("projection").values
        for _ in 0..<50 { try trainer.step(batch()) }
        #expect(try trainer.gradients(batch()).loss < 0.5 * first.loss)
        #expect(try trainer.updates.parameters.tensor("projection").values != own)
        #expect(try trainer.model().weights.names == ["w"])
        #expect(
            try trainer.parameters(averaged: true)[0].values != trainer.parameters()[0].values)
        try trainer.save(path)
        let again = try start(8)
        #expect(try again.updates.parameters.tensor("projection").values != own)
        try again.restore(path)
        let (loss, next) = (try trainer.step(batch()).loss, try again.step(batch()).loss)
        #expect(loss == next)
    }
}
