// Sizes of a vision transformer's encoder, shared by masked autoencoders and classifiers.

import USPBase
import USPTensor

package struct ViTConfiguration: Sendable, Equatable {
    /// Rows and columns of tokens.
    package var grid: Grid
    /// Channels of an image or latent.
    package var channels: Int
    /// Side of a patch in pixels (of the latent).
    package var patch: Int
    /// Width of a token, D.
    package var width: Int
    /// Blocks.
    package var depth: Int
    /// Attention heads; they divide the width.
    package var heads: Int
    /// Hidden width of the MLP over D.
    package var mlpRatio: Float
    /// A class token in front of the patches' tokens.
    package var classToken: Bool
    /// Whether the position table has a row for the class token; it has none in timm's
    /// `no_embed_class` files.
    package var embedsClass: Bool
    /// Of the MLPs; the originals use the exact GELU.
    package var activation: Activation
    /// Of the layer norms.
    package var epsilon: Float

    package init(
        grid: Grid, channels: Int, patch: Int, width: Int, depth: Int, heads: Int,
        mlpRatio: Float = 4, classToken: Bool = true, embedsClass: Bool = true,
        activation: Activation = .geluErf, epsilon: Float = 1e-6
    ) {
        (self.grid, self.channels, self.patch) = (grid, channels, patch)
        (self.width, self.depth, self.heads, self.mlpRatio) = (width, depth, heads, mlpRatio)
        (self.classToken, self.embedsClass) = (classToken, embedsClass)
        (self.activation, self.epsilon) = (activation, epsilon)
    }

    /// Patches of an image.
    package var tokens: Int { grid.count }
    /// Tokens in front of them.
    package var leading: Int { classToken ? 1 : 0 }
    /// Rows of the position table in front of the patches'.
    package var leadingPositions: Int { classToken && embedsClass ? 1 : 0 }
    /// Values of a patch: P·P·C.
    package var patchSize: Int { patch * patch * channels }
    /// `[B, C, H, W]` for this many images.
    package func imageShape(_ batch: Int) -> Shape {
        [batch, channels, grid.height * patch, grid.width * patch]
    }

    /// The encoder's blocks; `start` is their linear layers' initialisation.
    package func block(_ start: LinearStart) -> BlockConfiguration {
        BlockConfiguration(
            width: width, heads: heads, hidden: Int(Float(width) * mlpRatio),
            activation: activation, epsilon: epsilon, start: start)
    }

    /// Throws `.argument` for sizes that no model has.
    package func check() throws(USPError) {
        try checkSizes(
            [
                ("grid height", grid.height), ("grid width", grid.width), ("channels", channels),
                ("patch", patch), ("width", width), ("heads", heads),
            ])
        try require(depth >= 0 && depth <= 4096, .argument, "depth \(depth), expected 0 to 4096")
        try require(
            width % heads == 0, .argument, "\(heads) heads do not divide the width \(width)")
        try require(
            mlpRatio > 0 && mlpRatio <= 64, .argument, "MLP ratio \(mlpRatio), expected 0 to 64")
    }
}

/// Throws `.argument` unless every size is in 1 ... 65536.
func checkSizes(_ sizes: [(name: String, value: Int)]) throws(USPError) {
    for (name, value) in sizes {
        try require(
            value >= 1 && value <= 1 << 16, .argument, "\(name) \(value), expected 1 to 65536")
    }
}
