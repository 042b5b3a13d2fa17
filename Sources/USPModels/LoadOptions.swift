// How a model is loaded and computes.

import USPBase
import USPTensor

/// How a model is loaded and computes; what has no part in a family is refused. The defaults infer
/// everything that a file tells.
public struct LoadOptions: Sendable {
    /// Attention heads; nil goes by the file, else it takes the published number for the width.
    public var heads: Int?
    /// Those of a masked autoencoder's decoder; likewise.
    public var decoderHeads: Int?
    /// Rows and columns of patches, where the file does not tell: positions that are no square, or
    /// none. 16 of a ViT are read as 4x4 and none for the class token, even if they are 5x3 and
    /// one; files that this library wrote tell.
    public var grid: Grid?
    /// The name of a family; nil goes by the file, its names and shapes.
    public var family: String?
    /// A nested table or prefix of the file; nil goes by the family.
    public var table: String?
    /// Type of the products' inputs: f32, or bf16 with f32 sums, norms and softmax; or i8 in the
    /// linear layers of transformer blocks, for inference.
    public var compute = DType.float32
    /// Plain sums everywhere. Else large f32 products and 3x3 convolutions take fewer
    /// multiplications (Strassen's and Winograd's methods), with about twice the rounding.
    public var exact = false
    /// Pooling of a classifier; nil goes by the file.
    public var pool: ViT.Pool?
    /// The block, counted from 1, behind which a diffusion transformer's projectors read tokens; nil
    /// goes by the file, else 8.
    public var encoderDepth: Int?
    /// How positions are resampled for images of another size; nil goes by the file, else as its
    /// layout's code does.
    public var positions: PositionResampling?
    /// Activation of a vision transformer's MLPs, which names and shapes do not tell.
    public var activation: Activation?
    /// Latents of an autoencoder are (z − shift)·scale; nil takes the file's, else the layout's own.
    public var scale: Float?
    public var shift: Float?
    /// Arrays `mean` and `std` of an autoencoder's latent channels, in place of scale and shift:
    /// latents are (z − mean)/std·multiplier.
    public var statistics: Checkpoint?
    public var multiplier: Float = 1

    /// Groups of an autoencoder's norms; nil goes by the file, else 32.
    public var groups: Int?
    /// What a transformer's norms add to a variance; nil goes by the file, else what the layout's
    /// code uses.
    public var epsilon: Float?
    /// The blocks (from 0) that a segmentation network's head reads; nil goes by the file, else as
    /// published for the depth.
    public var outIndices: [Int]?

    /// Whether the label table's last row is the null class; nil goes by the file, else by the number
    /// of rows. True is also leave to guide away from one of which the file says that it was never
    /// trained.
    public var nullClass: Bool?
    /// Arrays of the file and parameters of the model, by their names or the start of these, that need
    /// not fit: the former are left aside, the latter start by their rule.
    public var ignore: [String] = []
    /// Whether anything else that does not fit is an error; otherwise it is told in the report, and
    /// missing parameters start by their rule.
    public var isStrict = true

    /// Whether heads that nothing tells are an error; otherwise there is one.
    package var needsHeads = true
    /// Whether f32 tensors may stay in the mapped file: no memory, but they cannot be trained.
    package var borrows = true
    /// For parameters that are not loaded.
    package var key = RandomKey(seed: 0)

    public init() {}

    var arithmetic: Arithmetic { Arithmetic(compute: compute, exact: exact) }

    var givesNormalization: Bool { scale != nil || shift != nil || statistics != nil }

    /// The normalisation of an autoencoder's latents, if it is given.
    ///
    /// - Throws: `.argument` if it is given twice, `.shape` for statistics of other channels
    func normalization(channels: Int) throws(USPError) -> LatentNormalization? {
        try require(
            multiplier == 1 || statistics != nil, .argument,
            "multiplier: has no part without statistics; give scale")
        guard let statistics else {
            return givesNormalization
                ? LatentNormalization(shift: [shift ?? 0], scale: [scale ?? 1]) : nil
        }
        try require(
            scale == nil && shift == nil, .argument,
            "statistics: scale and shift follow from them; give one or the other")
        return try LatentNormalization(
            reading: statistics, channels: channels, multiplier: multiplier)
    }
}

extension LoadOptions: Described {
    public static let title = "model"
    public static let fields: [Field<LoadOptions>] = [
        .integer(
            "heads", \.heads, .size,
            "Attention heads; without it as the file says, else the published number of the width.",
            in: Family.having("heads")),
        .integer(
            "decoder_heads", \.decoderHeads, .size,
            "Those of a masked autoencoder's decoder; likewise.", in: Family.having("decoder_heads")
        ),
        .real(
            "scale", \.scale, .any,
            "Latents are (z - shift) * scale; without it as the file or its layout says.",
            in: Family.having("scale")),
        .real("shift", \.shift, .any, "See scale.", in: Family.having("scale")),
        .grid(
            "grid", \.grid,
            "Rows and columns of patches, where the file does not tell: positions that are no "
                + "square, or none.", in: Family.having("grid")),
        .flag(
            "exact", \.exact,
            "Plain sums everywhere. By default large f32 products and 3x3 convolutions take fewer "
                + "multiplications (Strassen, Winograd): results within 1e-5 of the largest value "
                + "of exact arithmetic."),
        .choice(
            "family", \.family, Family.all.map(\.name),
            "The family; without it by the file, its names and shapes (files of DiT and SiT do not "
                + "differ: DiT)."),
        .text(
            "table", \.table, "Nested table of the file; without it what the family's readers take."
        ),
        .dtype(
            "compute", \.compute, [.float32, .bfloat16, .int8],
            "Type of the products' inputs; sums and norms are f32. In int8 the linear layers of "
                + "transformer blocks multiply integers of 8 bits, a scale for each output and each "
                + "token; all else is f32, or bf16 in attention where the processor has it. For "
                + "inference alone."),
        .choice(
            "pool", named: \.pool, "Pooling of a classifier; without it by the file.",
            in: Family.having("pool")),
        .integer(
            "groups", \.groups, .size,
            "Groups of an autoencoder's norms; without it by the file, else 32.",
            in: Family.having("groups")),
        .real(
            "epsilon", \.epsilon, .positive,
            "What a transformer's norms add to a variance; without it by the file, else what the "
                + "layout's code uses.", in: Family.having("epsilon")),
        .flag(
            "null_class", \.nullClass,
            "The label table's last row is the null class, and guidance may use it though the file says "
                + "that it was never trained; without it by the file, else by the number of rows.",
            in: Family.having("null_class")),
        .names(
            "ignore", \.ignore,
            "Arrays of the file and parameters of the model, by their names or the start of these, "
                + "with commas between, that need not fit: the former are left aside, the latter "
                + "start by their rule."),
        .flag(
            "strict", \.isStrict,
            "Anything else that does not fit is an error; off, it is told in the report, and missing "
                + "parameters start by their rule."),
        .integers(
            "out_indices", \.outIndices, FieldRange(0, 4096),
            "The blocks (from 0) that a segmentation network's head reads; without it by the file, "
                + "else as published for the depth.", in: Family.having("out_indices")),
        .object(
            "statistics", \.statistics, "usp_checkpoint",
            "Arrays mean and std of an autoencoder's latent channels (latents_stats.pt), in place of "
                + "scale and shift: latents are (z - mean) / std * multiplier.",
            in: Family.having("scale")),
        .real(
            "multiplier", \.multiplier, FieldRange(0, .infinity, excludesLower: true),
            "See statistics.", in: Family.having("scale")),
        .choice(
            "positions", named: \.positions,
            "How positions are resampled for images of another size; without it by the file, else as "
                + "its layout's code does.", in: Family.having("positions")),
        .integer(
            "encoder_depth", \.encoderDepth, FieldRange(1, 4096),
            "Projectors (REPA) read the tokens behind this block, counted from 1; without it by the "
                + "file's names or arguments of training, else 8.",
            in: Family.having("encoder_depth")),
        .choice(
            "activation", \.activation,
            "Activation of a vision transformer's MLPs; without it by the file, else gelu_quick for "
                + "CLIP's names and gelu_erf for others.", in: Family.having("pre_norm")),
    ]
}
