// How large a study is and what it compares: one row an option. A length is these with other values.

import USPBase
import USPTensor

/// How long a study may take on two cores.
public enum StudyLength: String, Sendable, CaseIterable {
    /// A minute or two: whether everything works.
    case quick
    /// Ten minutes a seed.
    case standard
    /// As long as it takes to make the effect unmistakable.
    case full
}

/// What a study looks at, beside the training of what it needs.
public enum StudyPart: String, Sendable, CaseIterable {
    case generation, autoregression, combinations, understanding, observations, solvers
}

/// What the transformers of a study are made of.
public enum StudyBlocks: String, Sendable, CaseIterable {
    case plain
    /// RMS norms, SwiGLU and rotary positions: LightningDiT's.
    case lightning
}

/// How an encoder that has seen smaller images gets its positions.
public enum StudyPositions: String, Sendable, CaseIterable {
    case bicubic
    /// Wider when shrinking, as timm does.
    case antialias
    /// Sines and cosines of the new grid.
    case fresh
}

/// Sizes, lengths and comparisons of a study.
public struct StudyOptions: Sendable {
    public var seed: UInt64 = 0
    public var seeds = 3
    public var parts = ["generation", "autoregression", "understanding", "observations"]
    public var ablate: [String] = []
    // Images.
    public var size = 64
    public var channels = 3
    public var crops = 1
    public var heldOut = 0.1
    public var images = 20_000
    public var testImages = 10_000
    public var mirror = true
    public var strict = false
    // The autoencoder.
    public var vae: String?
    public var factor = 4
    public var latentChannels = 4
    public var baseWidth = 16
    public var autoencoderSteps = 400
    public var autoencoderBatch = 64
    public var autoencoderRate: Float = 2e-3
    public var klWeight: Float = 1e-5
    // Whose features samples are judged by.
    public var inception: String?
    public var judgeSteps = 1_000
    public var judgeBatch = 128
    // The transformer that is pretrained, transferred and fine-tuned.
    public var patch = 2
    public var width = 128
    public var depth = 6
    public var heads = 4
    // The decoder is as wide as the encoder, so that it starts a MAR's.
    public var decoderWidth = 128
    public var decoderDepth = 3
    public var decoderHeads = 4
    public var dtype = DType.bfloat16
    // Masked latent modelling.
    public var maskRatio: Float = 0.5
    public var normPixLoss = true
    public var addNoise = true
    public var pretrainSteps = 8_000
    public var pretrainBatch = 64
    public var pretrainRate: Float = 1e-3
    public var pretrainSize: Int?
    public var positions = StudyPositions.bicubic
    public var supervisedSteps = 1_000
    // Generation.
    public var trainSteps = 800
    public var trainBatch = 64
    public var trainRate: Float = 5e-4
    public var layers: Int?
    public var gateBias: Float = 1
    public var affine = true
    public var blocks = StudyBlocks.plain
    public var align: Float = 0
    public var averageDecay: Float = 0.999
    public var evaluateEvery = 100
    public var samples = 2_000
    public var evaluations = 10
    // Masked autoregression.
    public var marSteps = 800
    public var marRate: Float = 1e-3
    public var marSamples = 500
    public var marIterations = 8
    public var marCopies = 2
    public var marBuffer = 4
    public var marHeadWidth = 192
    public var marHeadDepth = 2
    public var marControlSteps: Int?
    // Understanding.
    public var probeSteps = 5_400
    public var probeBatch = 1_000
    public var probeRate: Float = 1
    public var finetuneSteps = 300
    public var finetuneBatch = 128
    public var finetuneRate: Float = 5e-4
    public var fewLabels = 100
    public var fewLabelsSteps = 100
    // Solvers at equal numbers of evaluations: multiples of 4, for Runge-Kutta, of which DDIM's strides
    // through 1,000 steps give each (they never give 64).
    public var solverSamples = 500
    public var solverEvaluations = [8, 16, 32]
    public var ablationSteps = 400

    public init() {}

    /// The sizes of a study of this length.
    public init(_ length: StudyLength) {
        switch length {
        case .standard: break
        case .quick:
            (seeds, images, testImages) = (1, 8_000, 2_000)
            (autoencoderSteps, judgeSteps) = (100, 80)
            (pretrainSteps, supervisedSteps) = (1_000, 100)
            (trainSteps, evaluateEvery, samples) = (60, 20, 250)
            (marSteps, marSamples, marControlSteps) = (40, 100, 40)
            (solverSamples, solverEvaluations) = (100, [8])
            (probeSteps, finetuneSteps, fewLabelsSteps) = (400, 20, 20)
            ablationSteps = 40
        case .full:
            (images, testImages) = (200_000, 20_000)
            (autoencoderSteps, baseWidth, judgeSteps) = (4_000, 32, 4_000)
            (pretrainSteps, supervisedSteps) = (100_000, 20_000)
            (trainSteps, evaluateEvery, samples, evaluations) = (6_000, 500, 5_000, 20)
            (marSteps, marSamples) = (6_000, 2_000)
            (solverSamples, solverEvaluations) = (5_000, [8, 16, 32, 56])
            (finetuneSteps, fewLabelsSteps, ablationSteps) = (2_000, 600, 2_000)
        }
    }

    /// Side of the latents.
    var side: Int { size / factor }
    /// Side of the token grid.
    var grid: Int { side / patch }

    func has(_ part: StudyPart) -> Bool { parts.contains(part.rawValue) }

    /// Whether samples are drawn after this step.
    func evaluates(at step: Int) -> Bool { step % evaluateEvery == 0 || step == trainSteps }

    /// - Throws: `.argument` for values out of range, and for sizes that do not fit each other
    func check() throws(USPError) {
        try checkFields()
        for part in parts where StudyPart(rawValue: part) == nil {
            throw unknownName(part, what: "part", known: StudyPart.allCases.map(\.rawValue))
        }
        for name in ablate { _ = try Ablation.named(name) }
        try require(
            channels != 2, .argument, "channels: 2, expected 1 (grey) or 3 (RGB)")
        try require(
            size % factor == 0 && side % patch == 0, .argument,
            "size \(size): expected a multiple of factor x patch, \(factor * patch)")
        let seen = pretrainSize ?? size
        try require(
            seen % (factor * patch) == 0, .argument,
            "pretrain_size \(seen): expected a multiple of factor x patch, \(factor * patch)")
        try require(
            size % 8 == 0, .argument, "size: \(size), expected a multiple of 8, as the judge takes")
        try require(
            width % heads == 0 && decoderWidth % decoderHeads == 0, .argument,
            "heads: \(heads) and \(decoderHeads), expected divisors of width and decoder_width")
    }
}

extension StudyOptions: Described {
    public static let title = "study"

    public static let fields: [Field<StudyOptions>] = [
        .seed("seed", \.seed, "Of everything random."),
        .integer(
            "seeds", \.seeds, FieldRange(1, 100),
            "Runs of each comparison, with other seeds; pretraining is made once."),
        .names(
            "parts", \.parts,
            "What is looked at: generation, autoregression, combinations, understanding, observations, "
                + "solvers; with commas."),
        .names(
            "ablate", \.ablate, "Ablations by name, with commas: \(Ablation.list)."),
        .integer(
            "size", \.size, FieldRange(8, 1024), "Side of the squares that images become."),
        .integer("channels", \.channels, FieldRange(1, 3), "1: grey, 3: colour."),
        .integer(
            "crops", \.crops, FieldRange(1, 100_000),
            "Squares cut out of each photograph; 1: its middle. Those to measure on come out of the right "
                + "fifth, which no other reaches into."),
        .real(
            "held_out", \.heldOut, .belowOne,
            "Share of each class's images (or of each photograph's squares) that is kept to measure on."
        ),
        .integer("images", \.images, FieldRange(2, 1e9), "Images to train on, at most."),
        .integer("test_images", \.testImages, FieldRange(2, 1e9), "Images to measure on, at most."),
        .flag(
            "mirror", \.mirror, "Half of the latents that are trained on are of mirrored images."),
        .flag(
            "strict", \.strict,
            "An image that cannot be read is an error; else it is left out and said."),
        .text(
            "vae", \.vae,
            "An autoencoder's file, or small, the one that comes along; absent: one is trained."),
        .integer(
            "factor", \.factor, FieldRange(1, 128),
            "Image pixels to a latent one of the autoencoder that is trained."),
        .integer("latent_channels", \.latentChannels, .size, "Channels of its latents."),
        .integer(
            "base_width", \.baseWidth, .size, "Its channels at full resolution, a multiple of 8."),
        .integer("autoencoder_steps", \.autoencoderSteps, .from(1), "Steps of its training."),
        .integer("autoencoder_batch", \.autoencoderBatch, .from(1), "Images of a step."),
        .real("autoencoder_rate", \.autoencoderRate, .notNegative, "Peak learning rate."),
        .real("kl_weight", \.klWeight, .notNegative, "Weight of the divergence."),
        .text(
            "inception", \.inception,
            "Inception's weights, in whose features samples are judged; absent: a small network that is "
                + "trained on the same images, as a classifier, or masked where there are no classes."
        ),
        .integer("judge_steps", \.judgeSteps, .from(1), "Steps of that network's training."),
        .integer("judge_batch", \.judgeBatch, .from(1), "Images of a step."),
        .integer("patch", \.patch, .size, "Latent pixels of a token's side."),
        .integer("width", \.width, .size, "Width of the transformer."),
        .integer("depth", \.depth, .size, "Its blocks."),
        .integer("heads", \.heads, .size, "Its attention heads."),
        .integer(
            "decoder_width", \.decoderWidth, .size, "Width of the masked autoencoder's decoder."),
        .integer("decoder_depth", \.decoderDepth, .size, "Its blocks."),
        .integer("decoder_heads", \.decoderHeads, .size, "Its heads."),
        .dtype("dtype", \.dtype, [.float32, .bfloat16], "Type of the transformers' products."),
        .real(
            "mask_ratio", \.maskRatio, .belowOne,
            "Share of masked tokens. Of few tokens half is better: a quarter tells too little."),
        .flag("norm_pix_loss", \.normPixLoss, "Pretraining's patches are normalised."),
        .flag(
            "add_noise", \.addNoise,
            "Pretraining sees noised latents, as the diffusion transformer will."),
        .integer("pretrain_steps", \.pretrainSteps, .from(1), "Steps of pretraining."),
        .integer("pretrain_batch", \.pretrainBatch, .from(1), "Latents of a step."),
        .real("pretrain_rate", \.pretrainRate, .notNegative, "Peak learning rate."),
        .integer(
            "pretrain_size", \.pretrainSize, .size,
            "Side of the images that pretraining sees; absent: size. Positions are resampled after it."
        ),
        .choice(
            "positions", \.positions,
            "How they are, where pretrain_size is another one; fresh are the grid's own."),
        .integer(
            "supervised_steps", \.supervisedSteps, .notNegative,
            "Steps of the encoder that learns classes, a control; 0: without it."),
        .integer("train_steps", \.trainSteps, .from(1), "Steps of each diffusion transformer."),
        .integer("train_batch", \.trainBatch, .from(1), "Latents of a step."),
        .real("train_rate", \.trainRate, .notNegative, "Constant learning rate."),
        .integer("layers", \.layers, .notNegative, "Blocks that are carried over; absent: all."),
        .real(
            "gate_bias", \.gateBias, .any,
            "Where the gates of all diffusion transformers start: 0 as published, at which pretrained blocks "
                + "stay silent for much of a short run."),
        .flag(
            "affine", \.affine,
            "Norms of the diffusion transformer have beta and gamma, which take the encoder's."),
        .choice(
            "blocks", \.blocks,
            "Blocks of encoder and diffusion transformer: plain, or LightningDiT's (RMS norms, SwiGLU, "
                + "rotary positions)."),
        .real(
            "align", \.align, .notNegative,
            "Weight of the diffusion transformer's alignment with the pretrained encoder's tokens of the "
                + "clean latents (REPA's 0.5, whose teacher has seen more)."),
        .real(
            "average_decay", \.averageDecay, .belowOne,
            "Of the averaged weights that are sampled from."),
        .integer(
            "evaluate_every", \.evaluateEvery, .from(1), "Samples are judged every so many steps."),
        .integer("samples", \.samples, FieldRange(66, 1e7), "How many."),
        .integer(
            "evaluations", \.evaluations, FieldRange(2, 1e4), "Model evaluations of a sample."),
        .integer("probe_steps", \.probeSteps, .from(1), "Steps of a linear probe."),
        .integer("probe_batch", \.probeBatch, .from(1), "Features of a step."),
        .real("probe_rate", \.probeRate, .notNegative, "Learning rate for a batch of 256."),
        .integer("finetune_steps", \.finetuneSteps, .from(1), "Steps of fine-tuning."),
        .integer("finetune_batch", \.finetuneBatch, .from(1), "Latents of a step."),
        .real("finetune_rate", \.finetuneRate, .notNegative, "Peak learning rate."),
        .integer("few_labels", \.fewLabels, .from(1), "Labels a class where there are few."),
        .integer("few_labels_steps", \.fewLabelsSteps, .from(1), "Steps of fine-tuning on these."),
        .integer("solver_samples", \.solverSamples, FieldRange(66, 1e7), "Samples of each solver."),
        .integers(
            "solver_evaluations", \.solverEvaluations, FieldRange(4, 500),
            "Evaluations at which solvers are compared, multiples of 4."),
        .integer(
            "ablation_steps", \.ablationSteps, .from(1), "Steps of generation in an ablation."),
        .integer(
            "mar_steps", \.marSteps, .from(1), "Steps of each masked autoregressive model."),
        .real("mar_rate", \.marRate, .notNegative, "Their constant learning rate."),
        .integer("mar_samples", \.marSamples, FieldRange(66, 1e7), "Their samples at each point."),
        .integer(
            "mar_iterations", \.marIterations, FieldRange(1, 1e6),
            "Iterations of these samples, at most as many as tokens."),
        .integer(
            "mar_copies", \.marCopies, FieldRange(1, 4096), "How often a token is denoised a step."),
        .integer(
            "mar_buffer", \.marBuffer, FieldRange(1, 65536), "Rows of the class before the patches."
        ),
        .integer("mar_head_width", \.marHeadWidth, .size, "Width of their diffusion heads."),
        .integer(
            "mar_head_depth", \.marHeadDepth, FieldRange(1, 4096), "Residual blocks of the heads."),
        .integer(
            "mar_control_steps", \.marControlSteps, .notNegative,
            "Steps that the one from scratch goes on for; absent: as many as the pretraining took "
                + "multiply-adds."),
    ]
}
