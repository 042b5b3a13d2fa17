// What a stage of the pipeline can be told: one row an option. A recipe is these with its paper's
// values.

import USPBase
import USPData
import USPModels
import USPTraining

/// A stage's length, batch and rate, the model that it trains, and the options of trainer and data.
public struct StageOptions: Sendable {
    public var batch = 64
    public var steps: Int?
    public var epochs: Double?
    public var rate: Float?
    public var blr: Float?
    public var minimumRate: Float = 0
    public var warmup: Int?
    public var warmupEpochs: Double?
    public var warmupShare = 0.0
    public var constant = false
    public var seed: UInt64 = 0
    public var from: String?
    public var model: String?
    public var patch: Int?
    public var width: Int?
    public var depth: Int?
    public var heads: Int?
    public var rmsNorm: Bool?
    public var swiglu: Bool?
    public var rope: Bool?
    public var queryKeyNorm: Bool?
    public var layerScale: Bool?
    public var registers: Int?
    public var decoderWidth: Int?
    public var decoderDepth: Int?
    public var decoderHeads: Int?
    public var pool: ViT.Pool?
    public var family: String?
    public var gateBias: Float = 0
    public var noiseSchedule: String?
    public var path: String?
    public var prediction: String?
    public var lossWeight: String?
    public var times: String?
    public var cosineLoss = false
    public var factor = 8
    public var latentChannels = 4
    public var baseWidth = 32
    public var heldOut = 0.05
    public var ignore: [String] = []
    public var table: String?
    public var strict = true
    public var classes: Int?
    public var headChannels: Int?
    public var relativePositions = false
    public var sampleEvery: Int?
    public var frechetEvery: Int?
    public var frechetSamples = 2_000
    public var sampleSteps = 20
    public var judge: String?
    public var buffer: Int?
    public var headWidth: Int?
    public var headDepth: Int?
    public var decoderRule: String?
    public var trainer = TrainerOptions()
    public var data = DataOptions()

    public init() {}
}

extension StageOptions: Described {
    public static let title = "stage"

    static let segmenters = ["segment", "segment-linear"]
    private static let generators = ["train", "autoregress"]
    static let transformers =
        ["pretrain", "finetune", "probe", "train", "autoregress"] + segmenters

    private static let blocks = ["pretrain", "finetune", "probe", "train"] + segmenters
    /// What only a fresh model is told of its blocks, by the names of its configuration.
    static let switches = ["rms_norm", "swiglu", "rope", "qk_norm", "layer_scale", "registers"]

    /// Those of the stage itself; parts are names of recipes.
    static let own: [Field<StageOptions>] = [
        .integer("batch", \.batch, .from(1), "Samples of a step, over all ranks."),
        .integer("steps", \.steps, .from(0), "Steps in all; absent: as epochs say."),
        .real(
            "epochs", \.epochs, FieldRange(0, 1e9), "Passes over the data; absent: as steps say."),
        .real("rate", \.rate, .notNegative, "Peak learning rate; absent: as blr says."),
        .real(
            "blr", \.blr, .notNegative,
            "Peak learning rate for a batch of 256, in proportion for others; absent: as rate says."
        ),
        .real(
            "minimum_rate", \.minimumRate, .notNegative, "Where the rate's half cosine ends."),
        .integer("warmup", \.warmup, .from(0), "Steps of linear warm-up."),
        .real("warmup_epochs", \.warmupEpochs, .notNegative, "The same in passes over the data."),
        .real("warmup_share", \.warmupShare, .share, "The same as a share of all steps."),
        .flag("constant", \.constant, "The rate stays after the warm-up; else it falls."),
        .seed("seed", \.seed, "Of everything random."),
        .text(
            "from", \.from, "A file to start from, in place of a model that is given.",
            in: transformers),
        .text(
            "model", \.model, "Start fresh, with the sizes of this published name.",
            in: transformers),
        .integer("patch", \.patch, .size, "A fresh model's patch.", in: transformers),
        .integer("width", \.width, .size, "A fresh model's width.", in: transformers),
        .integer("depth", \.depth, .size, "A fresh model's blocks.", in: transformers),
        .integer(
            "heads", \.heads, .size,
            "Attention heads: a fresh model's, or those of a file that does not tell.",
            in: transformers),
        .flag("rms_norm", \.rmsNorm, "A fresh model's norms are RMS norms.", in: blocks),
        .flag("swiglu", \.swiglu, "A fresh model's MLPs are SwiGLU.", in: blocks),
        .flag("rope", \.rope, "A fresh model has rotary positions beside its table.", in: blocks),
        .flag("qk_norm", \.queryKeyNorm, "A fresh model norms queries and keys.", in: blocks),
        .flag(
            "layer_scale", \.layerScale,
            "Each half of a fresh model's blocks has a factor a channel.", in: blocks),
        .integer(
            "registers", \.registers, FieldRange(0, 4096),
            "A fresh model's learned tokens without a place.", in: blocks),
        .integer(
            "decoder_width", \.decoderWidth, .size, "A fresh decoder's width.",
            in: ["pretrain", "autoregress"]),
        .integer(
            "decoder_depth", \.decoderDepth, .size, "A fresh decoder's blocks.",
            in: ["pretrain", "autoregress"]),
        .integer(
            "decoder_heads", \.decoderHeads, .size, "A decoder's heads.",
            in: ["pretrain", "autoregress"]),
        .choice(
            "pool", named: \.pool,
            "What is classified; absent: the patches' average, in a probe the class token.",
            in: ["finetune", "probe"]),
        .choice(
            "family", \.family, ["SiT", "DiT", "LightningDiT"],
            "What weights of another model become; absent: SiT. Of MAR, autoregress is the recipe.",
            in: ["train"]),
        .real(
            "gate_bias", \.gateBias, .any,
            "Where the gates of transferred weights start: 0 as published; 1 lets every block act "
                + "from the first step.", in: ["train"]),
        .choice(
            "noise_schedule", \.noiseSchedule, ["linear", "cosine"],
            "DiT's noise schedule; absent: linear.",
            in: ["train"]),
        .text("path", \.path, "SiT's path: Linear, GVP, VP; absent: Linear.", in: ["train"]),
        .text(
            "prediction", \.prediction,
            "What is learned: DiT epsilon (absent), x0; SiT velocity (absent), score, noise.",
            in: ["train"]),
        .text(
            "loss_weight", \.lossWeight,
            "Weight of SiT's loss over time: none (absent), velocity, likelihood.", in: ["train"]),
        .choice(
            "times", \.times, ["uniform", "lognormal"],
            "How SiT's times are drawn; absent: uniform. LightningDiT was trained with lognormal.",
            in: ["train"]),
        .flag(
            "cosine_loss", \.cosineLoss,
            "SiT's loss has the cosine between velocities beside it, as LightningDiT's.",
            in: ["train"]),
        .integer(
            "factor", \.factor, FieldRange(1, 128),
            "Image pixels to a latent one, along each side: a power of 2.", in: ["autoencoder"]),
        .integer(
            "latent_channels", \.latentChannels, .size, "Channels of a latent.",
            in: ["autoencoder"]),
        .integer(
            "base_width", \.baseWidth, .size, "Channels at full resolution, a multiple of 8.",
            in: ["autoencoder"]),
        .real(
            "held_out", \.heldOut, .belowOne,
            "Share of the images that is kept to measure on, where nothing else is given for it.",
            in: ["autoencoder"]),
        .names(
            "ignore", \.ignore,
            "Arrays of a file to start from, by their names or the start of these, with commas "
                + "between, that are left aside.", in: transformers),
        .text(
            "table", \.table,
            "Nested table of a file to start from; absent: what the family's readers take.",
            in: transformers),
        .flag(
            "strict", \.strict,
            "Anything else of that file that does not fit is an error; off, it is told, and missing "
                + "parameters start by their rule.", in: transformers),
        .integer(
            "classes", \.classes, FieldRange(1, 255), "Classes of the masks: labels 0 to one less.",
            in: segmenters),
        .integer(
            "head_channels", \.headChannels, .size,
            "Channels of UperNet's maps; absent: the width.", in: ["segment"]),
        .flag(
            "relative_positions", \.relativePositions,
            "Blocks get biases by how far tokens are apart, zero at first.", in: segmenters),
        .integer(
            "sample_every", \.sampleEvery, .from(1),
            "A picture of 32 samples every so many steps, beside the model; absent: none.",
            in: generators),
        .integer(
            "frechet_every", \.frechetEvery, .from(1),
            "Every so many steps the Frechet distance of samples in the judge's features, to the data to "
                + "measure on or else to what is trained on, through the same autoencoder; absent: never.",
            in: generators),
        .integer(
            "frechet_samples", \.frechetSamples, FieldRange(2, 1e7), "How many.", in: generators),
        .integer(
            "sample_steps", \.sampleSteps, FieldRange(2, 1_000),
            "Points of time of the samples' solver (Adams-Bashforth for a flow, else DPM-Solver++); of a "
                + "MAR iterations, at most its tokens, each of 25 reverse steps from step 750.",
            in: generators),
        .text(
            "judge", \.judge,
            "Whose features are compared: the file of a classifier of latents or of images, or "
                + "Inception's weights.", in: generators),
        .integer(
            "buffer", \.buffer, FieldRange(1, 65536),
            "A fresh or transferred MAR's rows of the class in front of the patches.",
            in: ["autoregress"]),
        .integer(
            "head_width", \.headWidth, .size, "Width of its diffusion head.", in: ["autoregress"]),
        .integer(
            "head_depth", \.headDepth, FieldRange(1, 4096), "Residual blocks of that head.",
            in: ["autoregress"]),
        .choice(
            "decoder_rule", \.decoderRule, ["continue", "fresh"],
            "A transferred MAR's decoder, as transfer has it; absent: the source's where it fits.",
            in: ["autoregress"]),
    ]

    public static let fields: [Field<StageOptions>] = {
        // What the stage says in another form, or decides by itself.
        let said = Set(
            own.map(\.name) + [
                "steps", "head_only", "size", "channels", "cache", "masks", "reduce_zero_label",
            ])
        let trainer = TrainerOptions.fields.filter { !said.contains($0.name) }
        // Of shares, data smooths labels as the trainer does others.
        let data = DataOptions.fields.filter {
            !said.contains($0.name) && !["ranks", "label_smoothing"].contains($0.name)
        }
        return own + trainer.map { $0.within(\.trainer) } + data.map { $0.within(\.data) }
    }()

    /// Pairs of which one is enough: what is given takes the place of the recipe's other.
    private static let alternatives = [
        ["steps", "epochs"], ["rate", "blr"], ["warmup", "warmup_epochs", "warmup_share"],
        ["from", "model"],
    ]

    /// Changes what is given.
    ///
    /// - Throws: `.argument` for unknown names with the nearest, values out of range, two options
    ///   that say the same thing
    public mutating func change(
        _ given: [(name: String, value: String)], in recipe: String
    ) throws(USPError) {
        let names = given.map(\.name)
        for group in Self.alternatives {
            let said = group.filter(names.contains)
            guard let first = said.first else { continue }
            try require(
                said.count == 1, .argument, "\(said.joined(separator: ", ")): exclude each other")
            for other in group where other != first {
                let plain = StageOptions()
                let field = try Self.field(other)
                try set(field, field.get(plain))
            }
        }
        for (name, value) in given {
            try set(name, value)
            if let field = Self.own.first(where: { $0.name == name }) {
                try requirePart(name, in: recipe, called: "the recipe \(recipe)", of: field.parts)
            }
        }
    }

    /// The same from a text: `steps=100 batch=8`.
    public mutating func change(_ text: String, in recipe: String) throws(USPError) {
        try change(assignments(text, Self.title), in: recipe)
    }
}
