// One small training run of each kind, all on fixed samples, four at a step.

import TestSupport
import USPBase
import USPData
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
    /// - batch: of all ranks
    func start(
        accumulation: Int = 1, clipNorm: Float = 2, compute: DType = .float32,
        recomputes: Recomputation = .nothing, batch: Int = 4, parts: Int? = nil,
        ranks: Ranks? = nil, shard: Bool = false,
        reduction: DType = .float32, overlap: Bool = true
    ) throws -> SmallTraining {
        var options = TrainerOptions()
        (options.accumulation, options.clipNorm, options.dtype) = (accumulation, clipNorm, compute)
        options.recompute = self == .autoencoding ? .nothing : recomputes
        (options.weightDecay, options.averageDecay) = (0.05, 0.9)
        (options.rate, options.warmup, options.steps, options.beta2) = (1e-3, 2, 8, 0.95)
        (options.seed, options.parts, options.ranks, options.shard) = (5, parts, ranks, shard)
        (options.reduction, options.overlap) = (reduction, overlap)
        if self == .probing { (options.optimizer, options.headOnly) = (.lars, true) }
        if self == .fineTuning { options.dropPath = 0.2 }
        if self == .flowing { options.labelDropout = 0.1 }
        return SmallTraining(
            trainer: try Trainer(try network(RandomKey(seed: 3)), options),
            samples: try Tensor.normal([32, 4, 8, 8], RandomKey(seed: 4)),
            order: try EpochOrder(
                count: 32, batch: batch, key: RandomKey(seed: 5), rank: ranks?.rank ?? 0,
                ranks: ranks?.count ?? 1))
    }

    private func network(_ key: RandomKey) throws -> any Trainable {
        switch self {
        case .autoencoding:
            var sizes = VAE.Configuration()
            (sizes.imageChannels, sizes.baseWidth, sizes.groups) = (4, 8, 4)
            (sizes.multipliers, sizes.blocksPerLevel) = ([1, 2], 1)
            return try VAE(sizes, key: key)
        case .pretraining:
            return try MaskedAutoencoder(
                MaskedAutoencoder.Configuration(
                    Self.encoder, decoderWidth: 16, decoderDepth: 1, decoderHeads: 2),
                key: key)
        case .fineTuning, .probing:
            return try ViT(
                ViT.Configuration(
                    Self.encoder, pool: .avg,
                    head: self == .probing ? .probe : .linear, classes: 5), key: key)
        case .flowing:
            return try DiT(
                DiT.Configuration(
                    grid: Grid(4, 4), channels: 4, patch: 2, width: 24, depth: 2, heads: 2,
                    classes: 5, returnsSigma: false, affine: true), key: key)
        }
    }
}

/// A trainer with the order of its samples.
final class SmallTraining {
    let trainer: Trainer
    private let samples: Tensor
    private var order: EpochOrder

    init(trainer: Trainer, samples: Tensor, order: EpochOrder) {
        (self.trainer, self.samples, self.order) = (trainer, samples, order)
    }

    @discardableResult
    func advance() throws -> StepReport {
        let chosen = order.batch(atStep: trainer.steps).indices
        return try trainer.step(
            Batch(samples.gatherRows(chosen), labels: chosen.map { $0 % 5 }))
    }

    /// All slabs, one after the other, as they are here.
    var values: [Float] {
        get throws {
            try trainer.updates.state().filter { $0.tensor.dtype == .float32 }
                .flatMap(\.tensor.values)
        }
    }
}
