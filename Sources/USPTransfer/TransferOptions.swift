// What a transfer shall make, and how it deals with what the source has not.

import USPBase
import USPModels
import USPTensor

/// What the source's weights shall become.
package enum TransferTarget: Sendable {
    /// A published name such as `DiT-XL/2`, or a transformer family whose sizes are the source's.
    case named(String)
    case configuration(any TransformerConfiguration)
}

/// How a patch embedding for other channels is made.
public enum ChannelRule: String, Sendable, CaseIterable {
    /// Initialised afresh, as the original does.
    case fresh
    /// Channels that both have are copied; further ones start at zero.
    case copy
    /// The source's channels again and again, scaled to keep the size of the sum.
    case `repeat`
}

/// Which source block a target's block comes from when their numbers differ.
public enum DepthRule: String, Sendable, CaseIterable {
    /// Block i from block i; blocks beyond the source start afresh.
    case prefix
    /// Evenly over the source: block i from ⌊i·source/target⌋.
    case stride
    /// The source's blocks again and again: block i from i modulo source.
    case `repeat`
}

/// What becomes of layer norms where the target's are RMS norms.
public enum NormRule: String, Sendable, CaseIterable {
    /// γ moves by name and β has no place: the function changes.
    case copy
    /// The function stays: all that is added to the tokens gets a mean of zero over the width, so
    /// that there is none to be subtracted, and β goes into the bias behind the norm.
    case exact
}

/// How the head of a classifier or of a segmentation network starts.
public enum HeadRule: String, Sendable, CaseIterable {
    /// Linear with deviation 2e-5: fine-tuning.
    case fineTune = "fine-tune"
    /// Batch norm and linear with deviation 0.01: the linear probe.
    case probe
    /// A segmentation network's, which is UperNet without another word.
    case upernet
    case linear
}

/// What the target has and the source has not, and how geometry changes.
public struct TransferOptions: Sendable {
    /// The target's rows and columns of tokens; nil: the preset's, or the source's.
    public var grid: Grid?
    public var classes: Int?
    /// The target's patch and channels where they are not the preset's or the source's.
    public var patch: Int?
    public var channels: Int?
    /// Only this many blocks come from the source; nil: all.
    public var layers: Int?
    public var seed: UInt64 = 0
    /// Whether a diffusion transformer's blocks get norms with γ and β; off is the ablation.
    public var affine = true
    /// Whether the target's MLPs use the source's GELU instead of their family's.
    public var keepsActivation = false
    public var channelRule = ChannelRule.fresh
    public var depthRule = DepthRule.prefix
    /// A classifier's pooling; nil: class token where there is one.
    public var pool: ViT.Pool?
    public var head = HeadRule.fineTune
    /// Switches of the target's blocks where they are not the preset's or the source's; nil.
    public var rmsNorm: Bool?
    public var swiglu: Bool?
    public var rope: Bool?
    public var queryKeyNorm: Bool?
    public var shift: Bool?
    public var normRule = NormRule.copy
    /// γ and β of the source's norms go into the layers behind them, where the target's norms have
    /// none.
    public var foldNorms = false
    /// Start of the gates' biases in adaLN: 0 as published; 1 lets every block act from the start.
    public var gateBias: Float = 0
    /// A diffusion transformer as a feature extractor: after this block (nil: all), at this time
    /// and label (nil: the null class), which are folded into the weights exactly.
    public var block: Int?
    public var timestep: Float = 0
    public var label: Int?
    /// What the source's file does not tell: its table, heads and decoder's heads.
    public var table: String?
    public var heads: Int?
    public var decoderHeads: Int?
    /// Arrays of the source, by their names or the start of these, that are left aside.
    public var ignore: [String] = []

    /// Channels of UperNet's maps; nil: the width.
    public var headChannels: Int?
    /// A segmentation network's blocks get tables of relative positions, zero at first.
    public var relativePositions = false
    /// Of a masked autoregressive target: rows of its buffer, sizes of its head; nil: the preset's.
    public var buffer: Int?
    public var headWidth: Int?
    public var headDepth: Int?
    /// `continue` or `fresh`; nil takes the source's decoder where it fits.
    public var decoderRule: String?
    /// A diffusion transformer's last layer predicts a second set of channels; nil: as the preset's,
    /// or the source's.
    public var learnsSigma: Bool?
    /// Widths of the teachers' tokens that fresh projectors of the target predict (REPA); empty: the
    /// preset's, or the source's. Their hidden width, and the block that they read behind; nil
    /// likewise.
    public var projections: [Int] = []
    public var projector: Int?
    public var encoderDepth: Int?

    package var target = TransferTarget.named("")
    /// Whether a classifier's head starts by its rule: of a source of other classes.
    package var hasFreshHead = false
    package var resampling = PositionResampling.bicubic

    public init() {}
    package init(to target: TransferTarget) { self.target = target }

    /// How the source is read.
    var source: LoadOptions {
        var options = LoadOptions()
        (options.table, options.heads, options.decoderHeads) = (table, heads, decoderHeads)
        options.ignore = ignore
        return options
    }
}

extension TransferOptions: Described {
    public static let title = "transfer"
    /// Families whose blocks time and label modulate.
    private static let modulated = Family.transformers { $0.isModulated }

    public static let fields: [Field<TransferOptions>] = [
        .grid(
            "grid", \.grid,
            "The target's rows and columns of tokens; without it the preset's, or the source's."),
        .integer(
            "classes", \.classes, FieldRange(1, 1e6), "The target's classes.",
            in: Family.having("classes")),
        .integer("patch", \.patch, .size, "The target's patch."),
        .integer("channels", \.channels, .size, "The target's channels."),
        .integer(
            "layers", \.layers, .notNegative,
            "Only so many blocks come from the source; without it all."),
        .seed("seed", \.seed, "Of everything fresh."),
        .flag(
            "affine", \.affine,
            "Norms with gamma and beta in a diffusion transformer's blocks, which take a ViT's; "
                + "off is the ablation.", in: modulated),
        .flag(
            "keep_activation", \.keepsActivation,
            "The source's GELU instead of the target family's."),
        .choice(
            "channel_rule", \.channelRule,
            "Where channels differ: a fresh patch embedding, a copy of the channels that both have, "
                + "or the source's again and again, scaled."),
        .choice(
            "depth_rule", \.depthRule,
            "Where depths differ: the first blocks, evenly over the source, or its blocks again and "
                + "again."),
        .choice(
            "pool", named: \.pool,
            "A classifier's pooling; without it the class token where there is one.",
            in: Family.having("pool")),
        .choice(
            "head", \.head,
            "How a classifier's head starts, fine-tune or, with a batch norm before it, probe; what "
                + "a segmentation network's is, upernet (which fine-tune is there) or linear.",
            in: Family.having("head")),
        .real(
            "gate_bias", \.gateBias, .any,
            "Where adaLN's gates start: 0 as published; 1 lets every block act from the first step.",
            in: modulated),
        .integer(
            "block", \.block, .from(1),
            "A diffusion source becomes a feature extractor after this block; without it after all."
        ),
        .real("timestep", \.timestep, .any, "At this time, folded into the weights."),
        .integer("label", \.label, .notNegative, "And this label; without it the null class."),
        .text(
            "table", \.table, "The source's table; without it what the family's readers take."),
        .integer(
            "heads", \.heads, .size,
            "The source's attention heads, where its file does not tell and its width is not a "
                + "published one."),
        .integer(
            "decoder_heads", \.decoderHeads, .size, "Those of its decoder; likewise."),
        .names(
            "ignore", \.ignore,
            "Arrays of the source, by their names or the start of these, with commas between, that "
                + "are left aside; what they would fill starts afresh."),
        .integer(
            "head_channels", \.headChannels, .size,
            "Channels of UperNet's maps; without it the width.", in: ["Segmenter"]),
        .flag(
            "relative_positions", \.relativePositions,
            "A segmentation network's blocks get biases by how far tokens are apart, zero at first.",
            in: ["Segmenter"]),
        .integer(
            "buffer", \.buffer, FieldRange(1, 65536),
            "Rows of the class in front of the target's patches; without it the preset's.",
            in: ["MAR"]),
        .integer(
            "head_width", \.headWidth, .size,
            "Width of the target's diffusion head; without it the preset's.", in: ["MAR"]),
        .integer(
            "head_depth", \.headDepth, FieldRange(1, 4096),
            "Its residual blocks; without it the preset's.", in: ["MAR"]),
        .choice(
            "decoder_rule", \.decoderRule, ["continue", "fresh"],
            "The target's decoder: the source's blocks behind those of the encoder, or a fresh one; "
                + "without it the source's decoder where width, depth and heads fit.", in: ["MAR"]),
        .flag(
            "rms_norm", \.rmsNorm,
            "RMS norms in the target; without it the preset's, LightningDiT's own, or the source's. So "
                + "are the next four."),
        .flag("swiglu", \.swiglu, "Gated MLPs in the target."),
        .flag("rope", \.rope, "Rotary positions in the target, beside its table."),
        .flag("qk_norm", \.queryKeyNorm, "Norms of queries and keys in the target."),
        .flag(
            "shift", \.shift, "Shifts in the modulation of the target's blocks.", in: modulated),
        .choice(
            "norm_rule", \.normRule,
            "Where the source has layer norms and the target RMS norms: copy gamma, which changes the "
                + "function; or keep it exactly, by making what writes the tokens zero-mean and "
                + "putting beta into the next bias.", in: modulated),
        .flag(
            "fold_norms", \.foldNorms,
            "Where the target's norms have no gamma and beta: put the source's into the layers behind "
                + "them, exactly.", in: modulated),
        .flag(
            "learn_sigma", \.learnsSigma,
            "The target's last layer predicts a second set of channels, which REPA's has not; without "
                + "it as the preset's, or the source's.", in: Family.having("learn_sigma")),
        .integers(
            "projections", \.projections, .size,
            "Widths of teachers' tokens, such as 768: a projector for each (REPA), whose model's noise "
                + "is at time 1 unless it is a trained flow's; without it the source's.",
            in: Family.having("projections")),
        .integer(
            "projector", \.projector, .size,
            "Width of a projector's hidden layers; without it 2048, or the source's.",
            in: Family.having("projector")),
        .integer(
            "encoder_depth", \.encoderDepth, FieldRange(1, 4096),
            "Projectors read the tokens behind this block, counted from 1; without it 8, or the "
                + "source's. REPA has 8 in its SiT-L and SiT-XL, 4 in its SiT-B.",
            in: Family.having("encoder_depth")),
    ]
}
