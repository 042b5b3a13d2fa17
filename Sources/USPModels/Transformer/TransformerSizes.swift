// Sizes of a stack of transformer blocks with what is before it: what vision transformers, masked
// autoencoders and diffusion transformers share. What a block can be is a row here, once.

import USPBase
import USPTensor

public struct TransformerSizes: Sendable, Equatable {
    /// Rows and columns of tokens.
    public var grid: Grid
    /// Channels of an image or latent.
    public var channels: Int
    /// Side of a patch in pixels (of the latent).
    public var patch: Int
    /// Width of a token, D.
    public var width: Int
    /// Blocks.
    public var depth: Int
    /// Attention heads; they divide the width.
    public var heads: Int
    /// Hidden width of the MLP over D; a SwiGLU's is two thirds of that.
    public var mlpRatio: Float
    /// Activation of the MLPs: the exact GELU in vision transformers, its tanh form in diffusion
    /// transformers.
    public var activation: Activation
    /// What the blocks' norms add to a variance.
    public var epsilon: Float
    /// The same of the norms in front of attention, where it differs: diffusers' DiT fixes it.
    public var attentionEpsilon: Float?
    /// The blocks' layer norms have γ and β; RMS norms have γ.
    public var affine: Bool
    /// A class token in front of the patches' tokens.
    public var classToken: Bool
    /// The position table has a row for the class token; it has none in timm's `no_embed_class`
    /// files.
    public var embedsClass: Bool
    /// Norms are x/√(mean of x² + ε)·γ instead of layer norms: those of blocks, of queries and
    /// keys, and the last one.
    public var rmsNorm = false
    /// MLPs are silu(a)·b of the halves of their first layer, instead of its activation.
    public var swiglu = false
    /// Queries and keys are turned by their token's row and column. The position table stays.
    public var rope = false
    /// Norms of queries and keys over a head: RMS norms, or layer norms with ε = 1e-5.
    public var queryKeyNorm = false
    /// The modulation of blocks has shifts beside scales and gates.
    public var shift = true
    /// Learned tokens without a place, after the class token.
    public var registers = 0
    /// Each half of a block has a factor a channel.
    public var layerScale = false
    /// Each pair of tokens has a bias in attention's scores, by how far apart they are (BEiT).
    public var relativePositions = false
    /// A layer norm between positions and blocks, and patches without a bias (CLIP).
    public var preNorm = false

    public init() { self.init(grid: Grid(14, 14)) }

    public init(
        grid: Grid, channels: Int = 4, patch: Int = 2, width: Int = 384,
        depth: Int = 12, heads: Int = 6, mlpRatio: Float = 4, classToken: Bool = true,
        embedsClass: Bool = true, activation: Activation = .geluErf, epsilon: Float = 1e-6,
        affine: Bool = true
    ) {
        (self.grid, self.channels, self.patch) = (grid, channels, patch)
        (self.width, self.depth, self.heads, self.mlpRatio) = (width, depth, heads, mlpRatio)
        (self.classToken, self.embedsClass) = (classToken, embedsClass)
        (self.activation, self.epsilon, self.affine) = (activation, epsilon, affine)
    }

    /// Patches of an image.
    public var tokens: Int { grid.count }
    /// Tokens in front of them.
    public var leading: Int { (classToken ? 1 : 0) + registers }
    /// Rows of the position table in front of the patches'.
    public var leadingPositions: Int { classToken && embedsClass ? 1 : 0 }
    /// Values of a patch: P·P·C.
    public var patchSize: Int { patch * patch * channels }
    /// Hidden width of the MLP; 0 for sizes that are none.
    public var hidden: Int {
        let whole = Int(exactly: (Float(width) * mlpRatio).rounded(.down)) ?? 0
        return swiglu ? whole * 2 / 3 : whole
    }
    /// Width of a head.
    public var headWidth: Int { width / max(heads, 1) }
    /// Of every norm but those of queries and keys.
    var norm: NormKind { rmsNorm ? .rms : .layer }
    /// `[B, C, H, W]` for this many images.
    public func imageShape(_ batch: Int) -> Shape {
        [batch, channels, grid.height * patch, grid.width * patch]
    }

    /// One of the blocks; `start` is its linear layers' initialisation.
    package func block(
        _ start: LinearStart = .xavier, modulated: Bool = false
    ) -> BlockConfiguration {
        var block = BlockConfiguration(
            width: width, heads: heads, hidden: hidden, activation: activation, epsilon: epsilon,
            affine: affine, modulation: modulated ? ModulationParts(shifts: shift) : nil,
            start: start)
        (block.norm, block.isGatedUnit) = (norm, swiglu)
        (block.queryKeyNorm, block.layerScale) = (queryKeyNorm, layerScale)
        block.attentionEpsilon = attentionEpsilon
        block.relations =
            relativePositions ? (2 * grid.height - 1) * (2 * grid.width - 1) + 3 : 0
        return block
    }

    /// Their parameter, if there are any.
    func registerSpecs(deviation: Float) -> [ParameterSpec] {
        registers == 0
            ? []
            : [
                ParameterSpec(
                    "register_tokens", [1, registers, width], .normal(deviation: deviation))
            ]
    }

    /// - Throws: `.argument` for sizes that do not go together.
    func check() throws(USPError) {
        try require(
            width % heads == 0, .argument, "\(heads) heads do not divide the width \(width)")
        try require(
            !rope || headWidth % 4 == 0, .argument,
            "rope: \(heads) heads of \(headWidth) each, expected a multiple of 4")
        try require(
            !relativePositions || classToken && registers == 0, .argument,
            "relative positions: their table is of a class token and the patches' tokens")
    }
}

extension TransformerSizes: Described {
    public static let title = "transformer"
    public static let fields: [Field<TransformerSizes>] = [
        .grid("grid", \.grid, "Rows and columns of patches."),
        .integer("channels", \.channels, .size, "Channels of an image or latent."),
        .integer("patch", \.patch, .size, "Side of a patch in pixels."),
        .integer("width", \.width, .size, "Width of a token, D."),
        .integer("depth", \.depth, FieldRange(1, 4096), "Blocks."),
        .integer("heads", \.heads, .size, "Attention heads; they divide the width."),
        .real(
            "mlp_ratio", \.mlpRatio, FieldRange(0, 64, excludesLower: true),
            "Hidden width of the MLPs over D."),
        .choice("activation", \.activation, "Activation of the MLPs."),
        .real("epsilon", \.epsilon, .positive, "What the blocks' norms add to a variance."),
        .flag("affine", \.affine, "The blocks' layer norms have gamma and beta."),
        .flag("class_token", \.classToken, "A class token in front of the patches' tokens."),
        .flag(
            "class_position", \.embedsClass, "The position table has a row for the class token."),
        .flag("rms_norm", \.rmsNorm, "RMS norms with gamma in place of all layer norms."),
        .flag("swiglu", \.swiglu, "Gated MLPs, silu(a) b, two thirds as wide."),
        .flag(
            "rope", \.rope,
            "Queries and keys are turned by their token's row and column; the table stays."),
        .flag(
            "qk_norm", \.queryKeyNorm,
            "Norms of queries and keys: RMS norms with rms_norm, else layer norms (epsilon 1e-5)."),
        .flag("shift", \.shift, "The modulation of blocks has shifts beside scales and gates."),
        .integer(
            "registers", \.registers, FieldRange(0, 4096),
            "Learned tokens without a place, after the class token."),
        .flag("layer_scale", \.layerScale, "Each half of a block has a factor a channel."),
        .real(
            "attention_epsilon", \.attentionEpsilon, .positive,
            "What the norms in front of attention add instead; without it epsilon."),
        .flag(
            "relative_positions", \.relativePositions,
            "Attention's scores have a bias by how far apart two tokens are, as BEiT's."),
        .flag(
            "pre_norm", \.preNorm,
            "A norm between positions and blocks, and patches without a bias, as CLIP's."),
    ]

    /// The table's rows for a family that leaves out some.
    static func rows<Owner: TransformerConfiguration>(
        without names: [String], _ path: FieldPath<Owner, TransformerSizes>
    ) -> [Field<Owner>] {
        fields.filter { !names.contains($0.name) }.map { $0.within(path) }
    }
}

/// A configuration around a stack of transformer blocks, whose sizes are its own:
/// `configuration.width`.
@dynamicMemberLookup
public protocol TransformerConfiguration: ModelConfiguration {
    var transformer: TransformerSizes { get set }
    /// Whether time and label modulate the blocks.
    var isModulated: Bool { get }
    /// The name of the patch embedding.
    var patchEmbedding: String { get }
    /// What the encoder's names start with, where it is a part of the model.
    var encoderPrefix: String { get }
}

extension TransformerConfiguration {
    public var isModulated: Bool { false }
    public var patchEmbedding: String { "patch_embed" }
    public var encoderPrefix: String { "" }
    /// `[B, C, H, W]` for this many images.
    public func imageShape(_ batch: Int) -> Shape { transformer.imageShape(batch) }

    public subscript<Value>(dynamicMember path: KeyPath<TransformerSizes, Value>) -> Value {
        transformer[keyPath: path]
    }
    public subscript<Value>(
        dynamicMember path: WritableKeyPath<TransformerSizes, Value>
    ) -> Value {
        get { transformer[keyPath: path] }
        set { transformer[keyPath: path] = newValue }
    }
}
