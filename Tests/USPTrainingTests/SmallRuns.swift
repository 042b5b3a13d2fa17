// One small training run of each kind, all on fixed samples, four at a step.

import TestSupport
import USPBase
import USPDiffusion
import USPModels
import USPTensor
import USPTraining

enum SmallRun: String, Sendable, CaseIterable {
    case autoencoding, pretraining, fineTuning, probing, flowing

    private static let encoder = TransformerSizes(
        grid: Grid(4, 4), channels: 4, patch: 2, width: 24, depth: 2, heads: 2)

    /// - clipNorm: 0 updates each parameter as soon as its gradient is there
    /// - compute: type of the products' inputs
    /// - recomputes: of the transformers, instead of keeping it for the gradients
    func start(
        accumulation: Int = 1, clipNorm: Float = 2, compute: DType = .float32,
        recomputes: Recomputation = .nothing
    ) throws -> TrainingRun {
        var options = TrainerOptions()
        (options.accumulation, options.clipNorm) = (accumulation, clipNorm)
        options.arithmetic.compute = compute
        let key = RandomKey(seed: 3)
        let latents = try Tensor.normal([32, 4, 8, 8], RandomKey(seed: 4))
        let samples: SampleSource = { (indices) throws(USPError) in try latents.gatherRows(indices)
        }
        let labels: LabelSource = { (indices) in indices.map { $0 % 5 } }
        switch self {
        case .autoencoding:
            let model = try VAE(Self.autoencoder, key: key)
            return try run(
                model.parameters, options, TrainingTask.autoencoding(model, images: samples))
        case .pretraining:
            let sizes = MaskedAutoencoder.Configuration(
                Self.encoder, decoderWidth: 16, decoderDepth: 1, decoderHeads: 2)
            let model = try MaskedAutoencoder(sizes, key: key)
            model.recomputes = recomputes
            return try run(
                model.parameters, options, TrainingTask.masking(model, latents: samples))
        case .fineTuning, .probing:
            let sizes = ViT.Configuration(
                Self.encoder, pool: .avg, head: self == .probing ? .probe : .linear,
                classes: 5, dropPath: self == .probing ? 0 : 0.2)
            let model = try ViT(sizes, key: key)
            model.recomputes = recomputes
            return try run(
                model.parameters, options,
                TrainingTask.classifying(model, latents: samples, labels: labels))
        case .flowing:
            let sizes = DiT.Configuration(
                grid: Grid(4, 4), channels: 4, patch: 2, width: 24, depth: 2, heads: 2, classes: 5,
                returnsSigma: false, affine: true)
            let model = try DiT(sizes, key: key)
            model.recomputes = recomputes
            return try run(
                model.parameters, options,
                TrainingTask.flowing(model, Transport(), latents: samples, labels: labels))
        }
    }

    private static var autoencoder: VAE.Configuration {
        var sizes = VAE.Configuration()
        (sizes.imageChannels, sizes.baseWidth, sizes.groups) = (4, 8, 4)
        (sizes.multipliers, sizes.blocksPerLevel) = ([1, 2], 1)
        return sizes
    }

    private func run(
        _ parameters: Parameters, _ given: TrainerOptions,
        _ loss: @escaping (Context, Batch) throws(USPError) -> Loss
    ) throws -> TrainingRun {
        var options = given
        options.optimizer = self == .probing ? .probe : .pretraining
        options.weightDecay = 0.05
        options.averageDecay = 0.9
        options.schedule = Schedule(rate: 1e-3, warmup: 2, steps: 8)
        let trainer = try Trainer(
            parameters, options, trains: { self != .probing || $0.name.hasPrefix("head.") })
        return try TrainingRun(trainer, count: 32, batch: 4, seed: 5, loss: loss)
    }
}

extension TrainingRun {
    /// All slabs, one after the other.
    var values: [Float] {
        get throws {
            try trainer.state().filter { $0.tensor.dtype == .float32 }.flatMap(\.tensor.values)
        }
    }
}
