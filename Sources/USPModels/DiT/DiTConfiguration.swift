// Sizes and parameter table of a diffusion transformer, in the names of DiT's and SiT's releases.

import USPBase
import USPTensor

package struct DiTConfiguration: Sendable, Equatable {
    /// Rows and columns of tokens.
    package var grid: Grid
    /// Channels of a latent.
    package var channels: Int
    /// Side of a patch in latent pixels.
    package var patch: Int
    /// Width of a token, D.
    package var width: Int
    /// Blocks.
    package var depth: Int
    /// Attention heads; they divide the width.
    package var heads: Int
    /// Hidden width of the MLP over D.
    package var mlpRatio: Float
    /// Classes; the label `classes` itself is the null class, if there is one.
    package var classes: Int
    /// The label table has a row for the null class.
    package var hasNullClass: Bool
    /// The network predicts a second set of channels (the variance).
    package var learnsSigma: Bool
    /// That second set is given out; SiT computes and drops it.
    package var returnsSigma: Bool
    /// The blocks' norms have γ and β (USP's variant, which can take a ViT's).
    package var affineNorms: Bool
    /// Of the MLPs; the originals use the tanh form.
    package var activation: Activation
    /// Of the layer norms.
    package var epsilon: Float
    /// Width of the timesteps' sines and cosines.
    package var frequencies: Int
    /// Their shift: 0; diffusers' DiT uses 1.
    package var frequencyShift: Int

    package init(
        grid: Grid, channels: Int = 4, patch: Int = 2, width: Int, depth: Int, heads: Int,
        mlpRatio: Float = 4, classes: Int = 1000, hasNullClass: Bool = true,
        learnsSigma: Bool = true, returnsSigma: Bool = true, affineNorms: Bool = false,
        activation: Activation = .geluTanh, epsilon: Float = 1e-6, frequencies: Int = 256,
        frequencyShift: Int = 0
    ) {
        (self.grid, self.channels, self.patch) = (grid, channels, patch)
        (self.width, self.depth, self.heads, self.mlpRatio) = (width, depth, heads, mlpRatio)
        (self.classes, self.hasNullClass) = (classes, hasNullClass)
        (self.learnsSigma, self.returnsSigma) = (learnsSigma, returnsSigma)
        (self.affineNorms, self.activation, self.epsilon) = (affineNorms, activation, epsilon)
        (self.frequencies, self.frequencyShift) = (frequencies, frequencyShift)
    }

    package var tokens: Int { grid.count }
    /// Channels that the network computes.
    package var predictedChannels: Int { learnsSigma ? 2 * channels : channels }
    /// Channels that `forward` gives.
    package var outputChannels: Int { learnsSigma && returnsSigma ? 2 * channels : channels }
    package var labels: Int { classes + (hasNullClass ? 1 : 0) }
    /// `[B, C, H, W]` for this many latents.
    package func latentShape(_ batch: Int) -> Shape {
        [batch, channels, grid.height * patch, grid.width * patch]
    }

    package var block: BlockConfiguration {
        BlockConfiguration(
            width: width, heads: heads, hidden: Int(Float(width) * mlpRatio),
            activation: activation, epsilon: epsilon, affine: affineNorms, modulated: true)
    }

    /// Throws `.argument` for sizes that no model has.
    package func check() throws(USPError) {
        try checkSizes(
            [
                ("grid height", grid.height), ("grid width", grid.width), ("channels", channels),
                ("patch", patch), ("width", width), ("heads", heads), ("frequencies", frequencies),
            ])
        try require(depth >= 0 && depth <= 4096, .argument, "depth \(depth), expected 0 to 4096")
        try require(
            classes >= 0 && labels >= 1 && classes <= 1 << 24, .argument, "\(classes) classes")
        try require(
            width % heads == 0, .argument, "\(heads) heads do not divide the width \(width)")
        try require(
            mlpRatio > 0 && mlpRatio <= 64, .argument, "MLP ratio \(mlpRatio), expected 0 to 64")
    }
}

extension DiT {
    /// The parameter table: names, shapes and initialisation of the original (adaLN and the final
    /// layer start at zero, so every block starts as the identity).
    /// - Throws: `.argument` for sizes that no model has
    package static func specs(
        _ configuration: DiTConfiguration
    ) throws(USPError) -> [ParameterSpec] {
        try configuration.check()
        let (width, patch) = (configuration.width, configuration.patch)
        let table = try PositionTable.sincos(width: width, grid: configuration.grid)
        var specs = [
            ParameterSpec(
                "pos_embed", [1, configuration.tokens, width], .table(table), isTrainable: false)
        ]
        specs += PatchEmbedding.specs(
            "x_embedder", width: width, channels: configuration.channels, patch: patch,
            xavier: true)
        specs += LinearLayer.specs(
            "t_embedder.mlp.0", inputs: configuration.frequencies, outputs: width, .normal(0.02))
        specs += LinearLayer.specs(
            "t_embedder.mlp.2", inputs: width, outputs: width, .normal(0.02))
        specs.append(
            ParameterSpec(
                "y_embedder.embedding_table.weight", [configuration.labels, width],
                .normal(deviation: 0.02)))
        for index in 0..<configuration.depth {
            specs += configuration.block.specs("blocks.\(index)")
        }
        specs += LinearLayer.specs(
            "final_layer.linear", inputs: width,
            outputs: patch * patch * configuration.predictedChannels, .zeros)
        return specs
            + LinearLayer.specs(
                "final_layer.adaLN_modulation.1", inputs: width, outputs: 2 * width, .zeros)
    }
}
