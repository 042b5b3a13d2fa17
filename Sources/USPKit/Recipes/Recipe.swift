// The stages of the pipeline, each with the values of its paper: the tool, C and Python read them
// here.

import USPBase
import USPData
import USPModels
import USPTraining

/// A stage of the pipeline, and what it does where nothing is said.
public struct Recipe: Sendable {
    /// `autoencoder`, `pretrain`, `finetune`, `probe`, `train` or `autoregress`.
    public let name: String
    /// What is trained, in one sentence.
    public let sentence: String
    public var options: StageOptions

    init(_ name: String, _ sentence: String, _ change: (inout StageOptions) -> Void) {
        (self.name, self.sentence) = (name, sentence)
        options = StageOptions()
        change(&options)
    }

    public static let all = [
        autoencoder, pretrain, finetune, probe, train, autoregress, segment, segmentLinear,
    ]

    /// - Throws: `.argument` with the known names and the nearest
    public static func named(_ name: String) throws(USPError) -> Recipe {
        if let recipe = all.first(where: { $0.name == name }) { return recipe }
        throw unknownName(name, what: "recipe", known: all.map(\.name))
    }

    /// A convolutional autoencoder, small enough for a CPU; not from a paper.
    public static let autoencoder = Recipe("autoencoder", "An autoencoder of images.") {
        ($0.batch, $0.steps, $0.rate, $0.warmup) = (16, 2_000, 1e-3, 50)
        ($0.minimumRate, $0.trainer.clipNorm) = (1e-5, 1)
        ($0.trainer.klWeight, $0.trainer.reconstruction) = (1e-6, .absolute)
        ($0.data.augmentation, $0.data.samplePosterior) = (.pretraining, false)
    }

    /// USP's and MAE's pretraining.
    public static let pretrain = Recipe("pretrain", "A masked autoencoder on latents.") {
        ($0.batch, $0.epochs, $0.blr, $0.warmupShare) = (64, 800, 1.5e-4, 1 / 20)
        ($0.model, $0.trainer.weightDecay) = ("MAE-B/2", 0.05)
        ($0.trainer.beta1, $0.trainer.beta2) = (0.9, 0.95)
        $0.data.augmentation = .pretraining
    }

    /// MAE's and USP's fine-tuning, without RandAugment and random erasing.
    public static let finetune = Recipe("finetune", "A classifier, from pretrained weights.") {
        ($0.batch, $0.epochs, $0.blr, $0.minimumRate) = (64, 50, 1e-3, 1e-6)
        ($0.warmupShare, $0.trainer.weightDecay) = (1 / 10, 0.05)
        ($0.model, $0.trainer.layerDecay) = ("ViT-B/2", 0.75)
        ($0.trainer.dropPath, $0.trainer.labelSmoothing) = (0.1, 0.1)
        $0.data.augmentation = .classification
    }

    /// MAE's linear probe.
    public static let probe = Recipe("probe", "A linear classifier on a frozen encoder.") {
        ($0.batch, $0.epochs, $0.blr, $0.warmupShare) = (512, 90, 0.1, 1 / 9)
        ($0.model, $0.trainer.optimizer, $0.trainer.headOnly) = ("ViT-B/2", .lars, true)
        $0.data.augmentation = .probe
    }

    /// DiT's, SiT's and USP's.
    public static let train = Recipe("train", "A diffusion transformer.") {
        ($0.batch, $0.epochs, $0.rate, $0.constant) = (256, 1400, 1e-4, true)
        ($0.model, $0.trainer.averageDecay) = ("SiT-B/2", 0.9999)
        // The originals' average does not warm up; theirs are never as short as a first try is.
        ($0.trainer.labelDropout, $0.trainer.averageWarmsUp) = (0.1, true)
        ($0.data.augmentation, $0.data.samplePosterior) = (.generation, true)
    }

    /// MAR's; its average does warm up here, for first tries.
    public static let autoregress = Recipe("autoregress", "A masked autoregressive model.") {
        ($0.batch, $0.epochs, $0.blr, $0.warmupEpochs) = (2048, 400, 1e-4, 100)
        ($0.constant, $0.model, $0.trainer.averageDecay) = (true, "MAR-B", 0.9999)
        ($0.trainer.beta1, $0.trainer.beta2, $0.trainer.weightDecay) = (0.9, 0.95, 0.02)
        ($0.trainer.clipNorm, $0.trainer.labelDropout, $0.trainer.dropout) = (3, 0.1, 0.1)
        $0.trainer.averageWarmsUp = true
        ($0.data.augmentation, $0.data.samplePosterior) = (.generation, true)
    }

    /// mmsegmentation's for masked autoencoders: UperNet.
    public static let segment = Recipe("segment", "A class for every pixel, by UperNet.") {
        ($0.batch, $0.steps, $0.rate, $0.warmupShare) = (16, 160_000, 1e-4, 1_500 / 160_000)
        ($0.model, $0.trainer.schedule) = ("Segmenter-B/2", .poly)
        ($0.trainer.weightDecay, $0.trainer.layerDecay) = (0.05, 0.65)
        ($0.trainer.dropPath, $0.trainer.dropout) = (0.1, 0.1)
    }

    /// DINOv2's: batch norm and a linear layer on a frozen encoder, on the middle of each image, so
    /// that its maps are made once.
    public static let segmentLinear = Recipe(
        "segment-linear", "A class for every pixel, by a linear layer on a frozen encoder."
    ) {
        ($0.batch, $0.steps, $0.rate, $0.warmupShare) = (16, 40_000, 1e-3, 1_500 / 40_000)
        ($0.model, $0.trainer.schedule) = ("Segmenter-B/2", .poly)
        ($0.trainer.weightDecay, $0.trainer.headOnly) = (1e-4, true)
        $0.data.augmentation = .middle
    }

    /// The same, or what stands for it: of a masked autoregressive model, by what it starts from or by
    /// the family that is wanted, training is `autoregress`.
    ///
    /// - given: what differs from the recipe; of `autoregress` without the family
    public func serving(
        _ start: StageStart, table: String? = nil, _ given: inout [(name: String, value: String)]
    ) -> Recipe {
        guard name == "train" else { return self }
        let said = { [given] (wanted: String) in given.first { $0.name == wanted }?.value }
        let first = said("from").map(StageStart.file) ?? start
        let family =
            said("family")
            ?? (first.isAutoregressive(table: table ?? said("table")) ? "MAR" : nil)
        guard family == "MAR" else { return self }
        given.removeAll { $0.name == "family" }
        return .autoregress
    }

    /// The recipe's options with what was given in their place.
    public func with(_ given: [(name: String, value: String)]) throws(USPError) -> StageOptions {
        var result = options
        try result.change(given, in: name)
        return result
    }

    /// What the recipe says where nothing is given, as text.
    public var text: String { options.text(differingFrom: StageOptions()) }
}

extension StageOptions {
    /// How the stage reads its images.
    public var reading: DataOptions {
        var result = data
        (result.batch, result.seed) = (batch, seed)
        return result
    }

    /// Steps of all, for an epoch of so many.
    func length(_ stepsPerEpoch: Int) throws(USPError) -> Int {
        if let steps { return steps }
        if let epochs { return Int(epochs * Double(stepsPerEpoch)) }
        throw USPError(.argument, "steps, epochs: one of them is needed")
    }

    /// The trainer's options for a run of so many steps.
    func scheduled(_ length: Int, stepsPerEpoch: Int) throws(USPError) -> TrainerOptions {
        var result = trainer
        let scaled = blr.map { $0 * Float(batch) / 256 }
        guard let peak = rate ?? scaled else {
            throw USPError(.argument, "rate, blr: one of them is needed")
        }
        (result.rate, result.minimumRate, result.seed) = (peak, minimumRate, seed)
        result.warmup =
            warmup ?? warmupEpochs.map { Int($0 * Double(stepsPerEpoch)) }
            ?? Int(warmupShare * Double(length))
        result.steps = constant ? 0 : length
        return result
    }
}
