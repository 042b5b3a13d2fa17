// Training step by step from batches: a private copy of a model, its optimiser, its average.

import Synchronization
import USPBase
import USPData
import USPFiles
import USPModels
import USPTensor

/// Trains a copy of a model. One thread at a time, except for `cancel`.
///
/// What is minimised goes by the family: `Tasks/` has a file for each. Everything random depends on
/// seed, step and the sample's place in the batch of all ranks alone.
public final class Trainer: @unchecked Sendable {
    // SAFETY of @unchecked: `busy` lets one thread in at a time; cancellation is atomic.
    public let options: TrainerOptions
    package let network: any Trainable
    package let updates: ParameterTrainer
    /// How many of the trainer's parameters are the model's; the task's own come behind them.
    private let modelCount: Int
    /// The names in the file that the model came from.
    private let file: FileNames?
    private let ranks: Ranks
    /// Whether nothing has trained the null class that the model may have.
    private let isNullFresh: Bool
    /// Whether ranks train the same.
    private var hasAgreed = false
    /// Whether a step has seen samples without labels.
    private var sawNull = false
    private let busy = Atomic<Bool>(false)

    /// Starts from a copy of the model's parameters, at step 0.
    ///
    /// - Throws: `.argument` for options out of range or without a part in the model's family;
    ///   `.unsupported` for a family that is not trained
    public init(
        _ model: any Model, _ options: TrainerOptions = TrainerOptions()
    ) throws(USPError) {
        guard let network = model as? any Trainable else {
            throw USPError(.unsupported, "training a \(model.family)")
        }
        try require(
            network.arithmetic.compute != .int8, .unsupported,
            "training a \(network.family) that computes in int8, which is for inference; load it with "
                + "f32 or bf16")
        try options.checkFields()
        try options.checkParts(in: network.family)
        try options.checkRanks()
        let source = network.parameters
        isNullFresh = network.weights.loading == nil || network.notes.null != nil
        try require(
            !options.headOnly || source.specs.contains { network.isHead($0.name) },
            .argument, "head only: this \(network.family) has no head")
        let parameters = try Parameters(source.specs + network.ownSpecs(options))
        parameters.initialize(RandomKey(seed: options.seed).stream("task"))
        for position in source.specs.indices {
            try parameters[position].copy(from: source[position])
            source[position].releasePages()
        }
        parameters.notes = source.notes
        self.network = try network.training(over: parameters, options)
        (self.options, file) = (options, network.weights.file)
        (modelCount, ranks) = (source.specs.count, options.ranks ?? .alone)
        updates = try ParameterTrainer(
            parameters, options,
            rateScale: {
                options.layerDecay == 1
                    ? 1
                    : LayerDecay.scale(
                        of: $0.name, depth: network.layers, decay: options.layerDecay)
            },
            decays: network.decays, trains: { !options.headOnly || network.isHead($0.name) })
    }

    public var family: String { network.family }
    /// Steps done.
    public var steps: Int { updates.step }

    /// One update. The batch is this rank's share and is cut into `accumulation` equal parts.
    ///
    /// - Throws: `.cancelled`; `.notFinite` with the step, if the loss is. Parameters are then as
    ///   before.
    @discardableResult
    public func step(_ batch: Batch) throws(USPError) -> StepReport {
        try alone { () throws(USPError) in
            try check(batch)
            sawNull = sawNull || batch.labels == nil
            let parts = try parts(of: CheckedMath.multiply(batch.count, ranks.count, "batch"))
            try agree(parts)
            let size = batch.count / (parts.map { $0 / ranks.count } ?? options.accumulation)
            return try updates.train(parts: parts) { context, part throws(USPError) in
                try network.loss(
                    of: piece(batch, part * size..<(part + 1) * size), options, in: context)
            }
        }
    }

    /// The loss that the next step would have on this batch in one part, with the gradient of every
    /// parameter that it would train, before clipping, in the names of the file that the model came
    /// from. Nothing changes.
    ///
    /// - Throws: `.notFinite` naming the first gradient that is
    public func gradients(_ batch: Batch) throws(USPError) -> LossGradients {
        try alone { () throws(USPError) in
            try check(batch)
            return try lossGradients(
                of: updates.parameters, options.arithmetic, file: file, own: modelCount,
                trains: { !options.headOnly || network.isHead($0.name) }
            ) { parameters, context throws(USPError) in
                try network.training(over: parameters, options).loss(
                    of: piece(batch, 0..<batch.count), options,
                    in: context.with(
                        random: updates.randomKey(part: ranks.rank * options.accumulation)))
            }
        }
    }

    /// Some samples of this rank's batch, with the random streams of the next step.
    private func piece(_ batch: Batch, _ range: Range<Int>) throws(USPError) -> BatchPart {
        BatchPart(
            batch: try batch.samples(range),
            key: RandomKey(seed: options.seed).stream("batch").stream(updates.step),
            first: ranks.rank * batch.count + range.lowerBound)
    }

    /// What a batch of all ranks is cut into, for bits that do not depend on their number; nil: the
    /// option is absent, and so are ranks that need it.
    ///
    /// - Throws: `.argument` unless it is a power of two that divides the batch, and each rank gets
    ///   as many
    func parts(of batch: Int) throws(USPError) -> Int? {
        guard options.parts != nil || ranks.collectives != nil else { return nil }
        return try options.parts(of: batch, least: updates.parameters.hasStatistics ? 16 : 1)
    }

    /// Before the first step: ranks train the same model in the same way.
    ///
    /// - Throws: `.argument` naming the first rank and option that differs
    private func agree(_ parts: Int?) throws(USPError) {
        guard !hasAgreed else { return }
        try ranks.agree(
            options.described + [
                ("parts", parts.map { "\($0)" } ?? "none"), ("steps done", "\(steps)"),
                ("model", "\(family) \(fingerprint)"),
            ])
        hasAgreed = true
    }

    /// Nothing is given in vain, and the samples can be cut into parts; labels come with images,
    /// whoever reads them.
    private func check(_ batch: Batch) throws(USPError) {
        try expectPart(in: family, batch.parts)
        try require(
            batch.count > 0 && batch.count % options.accumulation == 0, .shape,
            "batch of \(batch.count) samples, expected a multiple of the accumulation "
                + "\(options.accumulation)")
    }

    /// A copy of the model as it is now.
    ///
    /// - averaged: with the moving average's values, where there is one; with `shard` all ranks call
    ///   this together then
    public func model(averaged: Bool = false) throws(USPError) -> any Model {
        var plain = TrainerOptions()
        (plain.dtype, plain.exact) = (options.dtype, options.exact)
        return try network.training(over: parameters(averaged: averaged), plain)
    }

    /// What ranks do that do not write it while rank 0 makes a copy of the averaged model.
    package func helpAveraging() throws(USPError) {
        try alone { () throws(USPError) in try updates.helpAveraging() }
    }

    /// Its parameters alone.
    package func parameters(averaged: Bool = false) throws(USPError) -> Parameters {
        try alone { () throws(USPError) in
            let all = try averaged ? updates.averaged() : updates.parameters.copied()
            if steps > 0 { all.notes.null = isNullUntrained ? .untrained : nil }
            guard modelCount < all.specs.count else { return all }
            let result = try Parameters(Array(all.specs[..<modelCount]))
            for position in 0..<modelCount { try result[position].copy(from: all[position]) }
            result.notes = all.notes
            return result
        }
    }

    /// Whether the model has a null class that neither it nor this training has seen samples of.
    private var isNullUntrained: Bool {
        let hasNull = (network as? DiT)?.configuration.hasNullClass ?? (network is MAR)
        return hasNull && isNullFresh && options.labelDropout == 0 && !sawNull
    }

    /// Models tell what this data is: its classes, where they have some, and its autoencoder.
    package func describe(_ data: DataSet) throws(USPError) {
        let hasClasses = network.configuration.described.contains { $0.name == "classes" }
        try alone { () throws(USPError) in
            var notes = updates.parameters.notes
            if hasClasses, !data.classNames.isEmpty { notes.classNames = data.classNames }
            if let autoencoder = data.autoencoder {
                (notes.autoencoder, notes.latents) = (autoencoder, data.latentScale)
            }
            if let seen = data.normalization {
                notes.normalization = seen == .half ? nil : seen.rawValue
            }
            updates.parameters.notes = notes
        }
    }

    /// What two models of the same parameters have in common.
    package var fingerprint: String {
        updates.parameters.fingerprint(of: modelCount)
    }

    /// Writes everything that `restore` needs: parameters, moments, average, counts; and texts of
    /// the caller's own. The file appears complete or not at all; only rank 0 writes. With `shard` all
    /// ranks call this together.
    public func save(
        _ path: String, metadata: [(key: String, value: String)] = []
    ) throws(USPError) {
        try save(path, metadata: metadata, beside: [])
    }

    /// The same with other arrays in the file.
    package func save(
        _ path: String, metadata: [(key: String, value: String)], beside: [ArrayOutput]
    ) throws(USPError) {
        guard ranks.writes else {
            return try alone { () throws(USPError) in try updates.save(nil) }
        }
        try alone { () throws(USPError) in
            try updates.save { state throws(USPError) in
                try Safetensors.write(
                    path, state + beside, metadata: [(key: "format", value: "pt")] + metadata)
            }
        }
    }

    /// Continues from what `save` wrote, as if training had never stopped.
    ///
    /// - Throws: naming what does not fit.
    public func restore(_ path: String) throws(USPError) {
        try alone { () throws(USPError) in
            let archive = try Archive.open(path)
            try locating(path) { () throws(USPError) in
                try updates.restore { name throws(USPError) in try archive.entry(name).tensor() }
            }
        }
    }

    /// The learning rate of the steps from now on, in place of the schedule's; nil goes back to it.
    /// Not part of what is saved.
    ///
    /// - Throws: `.argument` for a negative one, and for one that is not a number
    public func setRate(_ rate: Float?) throws(USPError) {
        let value = rate ?? 0
        try require(
            value.isFinite && value >= 0, .argument, "rate: \(value), expected 0 or more")
        try alone { () throws(USPError) in updates.rate = rate }
    }

    /// The learning rate that the schedule has for the next step: any thread.
    public var scheduledRate: Float { updates.options.rates.rate(at: updates.step) }

    /// Stops the step under way on another thread, or else the next one.
    public func cancel() { updates.cancellation.cancel() }

    private func alone<Result>(_ body: () throws(USPError) -> Result) throws(USPError) -> Result {
        guard busy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
        else {
            throw USPError(.argument, "trainer: is in use by another thread")
        }
        defer { busy.store(false, ordering: .releasing) }
        return try body()
    }
}

extension Batch {
    /// What only some families have a use for.
    fileprivate var parts: [(name: String, isSet: Bool, families: [String])] {
        var (shares, map) = (false, false)
        if case .shares = labels { shares = true }
        if case .map = labels { map = true }
        return [
            ("labels as shares", shares, ["ViT"]), ("labels as maps", map, ["Segmenter"]),
            ("times", times != nil, DiT.families.map(\.name)),
            ("times of tokens", tokenTimes != nil, ["MAR"]), ("mask", mask != nil, ["MAR"]),
            ("noise", noise != nil, ["VAE", "MAE", "MAR"] + DiT.families.map(\.name)),
            ("target", target != nil, ["MAE"]),
            ("features", !features.isEmpty, Family.flows + ["VAE"]),
        ]
    }
}

extension ArchiveEntry {
    /// The array as a tensor of its own, in its own element type.
    package func tensor() throws(USPError) -> Tensor {
        let result = try Tensor(shape, dtype)
        try copy(into: UnsafeMutableRawBufferPointer(start: result.raw, count: result.byteCount))
        return result
    }
}
