// The stages of the pipeline, each with the values of its paper: the tool, C and Python read them
// here.

import USPBase
import USPData
import USPModels
import USPTraining

/// A stage of the pipeline, and what it does where nothing is said.
public struct Recipe: Sendable {
    /// That of the stage, or of published values for it.
    public let name: String
    /// `autoencoder`, `pretrain`, `finetune`, `probe`, `train`, `autoregress`, `segment` or
    /// `segment-linear`.
    public let stage: String
    /// What is trained, in one sentence.
    public let sentence: String
    public var options: StageOptions

    init(_ name: String, _ sentence: String, _ change: (inout StageOptions) -> Void) {
        (self.name, stage, self.sentence) = (name, name, sentence)
        options = StageOptions()
        change(&options)
    }

    /// Other values for a stage.
    init(
        _ name: String, of base: Recipe, _ sentence: String,
        _ change: (inout StageOptions) -> Void
    ) {
        (self.name, stage, self.sentence, options) = (name, base.stage, sentence, base.options)
        change(&options)
    }

    public static let all =
        [
            autoencoder, pretrain, finetune, probe, train, autoregress, segment, segmentLinear,
        ] + fineTunings

    /// Fine-tuning as published, with what changes images and labels.
    public static let fineTunings = [uspB, maeB, maeL]

    /// - Throws: `.argument` with the known names and the nearest
    public static func fineTuning(_ name: String) throws(USPError) -> Recipe {
        if let recipe = fineTunings.first(where: { $0.name == name }) { return recipe }
        throw unknownName(name, what: "recipe", known: fineTunings.map(\.name))
    }

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

    /// MAE's and USP's fine-tuning for images few enough for a CPU: without RandAugment and random
    /// erasing, which take longer to learn from.
    public static let finetune = Recipe("finetune", "A classifier, from pretrained weights.") {
        ($0.batch, $0.epochs, $0.blr, $0.minimumRate) = (64, 50, 1e-3, 1e-6)
        ($0.warmupShare, $0.trainer.weightDecay) = (1 / 10, 0.05)
        ($0.model, $0.trainer.layerDecay) = ("ViT-B/2", 0.75)
        ($0.trainer.dropPath, $0.trainer.labelSmoothing) = (0.1, 0.1)
        $0.data.augmentation = .classification
    }

    /// What USP's code fine-tunes with where nothing is said; the paper's own settings are not
    /// published.
    public static let uspB = Recipe("usp-b", of: finetune, "Fine-tuning as in USP's code.") {
        $0.data.randAugment = "rand-m9-mstd0.5-inc1"
        $0.data.erasing.probability = 0.25
    }

    /// MAE's for ViT-B.
    public static let maeB = Recipe("mae-b", of: uspB, "MAE's fine-tuning of ViT-B.") {
        ($0.batch, $0.epochs, $0.blr, $0.warmupShare) = (1024, 100, 5e-4, 1 / 20)
        $0.trainer.layerDecay = 0.65
        ($0.data.mixing.mixup, $0.data.mixing.cutmix) = (0.8, 1)
    }

    /// MAE's for ViT-L.
    public static let maeL = Recipe("mae-l", of: maeB, "MAE's fine-tuning of ViT-L.") {
        ($0.epochs, $0.blr, $0.warmupShare, $0.model) = (50, 1e-3, 1 / 10, "ViT-L/2")
        ($0.trainer.layerDecay, $0.trainer.dropPath) = (0.75, 0.2)
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
        try result.change(given, in: stage)
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
        result.mixing.smoothing = Double(trainer.labelSmoothing.description) ?? 0
        return result
    }

    /// Leaves out what the recipe does to images, where samples are latents, which were images once.
    ///
    /// - Returns: what there is to say about it
    /// - Throws: `.argument` for what is not the recipe's but was asked for
    public mutating func leaveImages(_ recipe: Recipe) throws(USPError) -> [String] {
        let names = data.imagesAlone
        guard !names.isEmpty else { return [] }
        let usual = recipe.options.data
        for (name, isUsual) in [
            ("rand_augment", data.randAugment == usual.randAugment),
            ("erasing", data.erasing == usual.erasing),
            ("mix_pixels", data.mixesPixels == usual.mixesPixels),
        ] where names.contains(name) && !isUsual {
            throw USPError(
                .argument,
                "\(name): has no part in latents, whose images were cut and encoded before; mixup, "
                    + "cutmix and mirror images are what latents can have")
        }
        data = data.withoutImagesAlone
        return [
            "\(names.joined(separator: ", ")): left out, latents' images were cut and encoded before; "
                + "without a cache, from images, the recipe is whole"
        ]
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
