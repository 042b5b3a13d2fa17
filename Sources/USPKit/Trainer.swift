// Training step by step with one's own batches: a private copy of a model, its optimiser, its
// average.

import Synchronization
import USPBase
import USPDiffusion
import USPModels
import USPTensor
import USPTraining

/// Trains a copy of a model. One thread at a time, except for `cancel`.
///
/// What is minimised goes by the family: reconstruction and divergence (VAE), masked patches (MAE),
/// cross entropy (ViT), the Gaussian process's loss (DiT) or flow matching (SiT). Everything random
/// depends on seed, step and the sample's place in the batch alone.
public final class Trainer: @unchecked Sendable {
    // SAFETY of @unchecked: `busy` lets one thread in at a time; cancellation is atomic.

    /// What one step did.
    public struct Report: Sendable, Equatable {
        /// Steps done, this one included.
        public let step: Int
        public let loss: Float
        public let rate: Float
        /// Norm of the gradients before clipping; 0 without clipping.
        public let gradientNorm: Float
    }

    /// One batch. Samples are cut into `accumulation` equal parts.
    public struct Batch {
        /// `[B, C, H, W]`; with `headOnly` also the features of images, `[B, D]`: they do not
        /// change while only the head is trained, so they can be computed once.
        public var inputs: Tensor
        /// ViT, DiT and SiT: one a sample; others do not read them.
        public var labels: [Int]?
        /// ViT, in place of labels: `[B, K]` shares of the classes, as mixup makes them.
        public var targets: Tensor?
        /// DiT (0 … steps − 1) and SiT (0 … 1): one a sample; nil draws them.
        public var times: [Float]?
        /// MAE: `[B, T]` of masking; DiT, SiT: of the inputs' shape; VAE: of the latents'. nil
        /// draws it.
        public var noise: Tensor?

        public init(_ inputs: Tensor, labels: [Int]? = nil) {
            self.inputs = inputs
            self.labels = labels
        }
    }

    public let options: TrainerOptions
    let task: TrainingTaskKind
    private let trainer: USPTraining.Trainer
    /// The names in the file that the model came from.
    private let file: FileNames?
    private let family: String
    private let busy = Atomic<Bool>(false)

    /// Starts from a copy of the model's parameters, at step 0.
    public init(_ model: any Model, _ options: TrainerOptions = TrainerOptions()) throws(USPError) {
        self.options = options
        try options.check(for: model.family)
        let parameters = try model.weights.parameters.copied()
        try require(
            !options.headOnly || parameters.specs.contains { $0.name.hasPrefix("head.") },
            .argument, "head only: this \(model.family) has no head")
        task = try TrainingTaskKind(model, parameters, options)
        let depth = task.depth
        trainer = try USPTraining.Trainer(
            parameters, options.internal(),
            rateScale: {
                options.layerDecay == 1
                    ? 1 : LayerDecay.scale(of: $0.name, depth: depth, decay: options.layerDecay)
            },
            decays: task.decays,
            trains: options.trains)
        file = model.weights.file
        family = model.family
    }

    /// Sums gradients over ranks in place: the flat slab, blocking, the same order on all ranks.
    public func reduce(
        over ranks: Int,
        _ reduce: @escaping (UnsafeMutablePointer<Float>, Int) throws(USPError) -> Void
    ) throws(USPError) {
        try require(ranks >= 1, .argument, "ranks: \(ranks), expected 1 or more")
        trainer.allReduce = (
            { tensor throws(USPError) in try reduce(tensor.floats, tensor.count) }, ranks
        )
    }

    /// Steps done.
    public var steps: Int { trainer.step }

    /// One update.
    ///
    /// - Throws: `.cancelled`; `.notFinite` with the step, if the loss is. Parameters are then as
    ///   before.
    @discardableResult
    public func step(_ batch: Batch) throws(USPError) -> Report {
        try alone { () throws(USPError) in
            let parts = options.accumulation
            let size = try samples(batch) / parts
            let report = try trainer.train { context, part throws(USPError) in
                let piece = try TrainingPiece(batch, part * size..<(part + 1) * size, key)
                return try task.loss(piece, options, context)
            }
            return Report(
                step: report.step, loss: report.loss, rate: report.rate,
                gradientNorm: report.gradientNorm)
        }
    }

    /// The loss that the next step would have on this batch in one part, with the gradient of every
    /// parameter that it would train, before clipping, in the names of the file that the model came
    /// from. Nothing changes.
    public func gradients(_ batch: Batch) throws(USPError) -> LossGradients {
        try alone { () throws(USPError) in
            let whole = 0..<(try samples(batch))
            return try USPKit.gradients(
                of: ModelWeights(trainer.parameters, file: file), options.arithmetic,
                trains: options.trains
            ) { parameters, context throws(USPError) in
                let model = try task.model(parameters, options.arithmetic)
                return try TrainingTaskKind(model, parameters, options).loss(
                    TrainingPiece(batch, whole, key), options,
                    context.with(random: trainer.randomKey(part: 0)))
            }
        }
    }

    /// Of what is drawn for the next step's samples.
    private var key: RandomKey {
        RandomKey(seed: options.seed).stream("batch").stream(trainer.step)
    }

    /// The number of samples, if they can be cut into parts and nothing is given in vain; labels
    /// come with images, whoever reads them.
    private func samples(_ batch: Batch) throws(USPError) -> Int {
        try expectPart(
            in: family,
            [
                ("targets", batch.targets != nil, ["ViT"]),
                ("times", batch.times != nil, ["DiT", "SiT"]),
                ("noise", batch.noise != nil, ["VAE", "MAE", "DiT", "SiT"]),
            ])
        let samples = batch.inputs.shape.rank > 0 ? batch.inputs.shape[0] : 0
        try require(
            samples > 0 && samples % options.accumulation == 0, .shape,
            "batch of \(samples) samples, expected a multiple of the accumulation "
                + "\(options.accumulation)")
        return samples
    }

    /// A copy of the model as it is now.
    ///
    /// - averaged: with the moving average's values, where there is one
    public func model(averaged: Bool = false) throws(USPError) -> any Model {
        try alone { () throws(USPError) in
            let parameters = try averaged ? trainer.averaged() : trainer.parameters.copied()
            return try task.model(parameters, options.arithmetic)
        }
    }

    /// Writes everything that `restore` needs: parameters, moments, average, counts; and texts of
    /// the caller's own.
    public func save(
        _ path: String, metadata: [(key: String, value: String)] = []
    ) throws(USPError) {
        try alone { () throws(USPError) in
            var saving = Checkpoint.SaveOptions()
            saving.format = "safetensors"
            let state = try Checkpoint(trainer.state())
            try Checkpoint(entries: state.table.entries, metadata: metadata).save(path, saving)
        }
    }

    /// Continues from what `save` wrote, as if training had never stopped.
    ///
    /// - Throws: naming what does not fit.
    public func restore(_ path: String) throws(USPError) {
        try alone { () throws(USPError) in
            let saved = try Checkpoint.open(path)
            try trainer.restore { name throws(USPError) in try saved.tensor(name) }
        }
    }

    /// Stops the step under way on another thread, or else the next one.
    public func cancel() { trainer.cancellation.cancel() }

    private func alone<Result>(_ body: () throws(USPError) -> Result) throws(USPError) -> Result {
        guard busy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
        else {
            throw USPError(.argument, "trainer: is in use by another thread")
        }
        defer { busy.store(false, ordering: .releasing) }
        return try body()
    }
}
