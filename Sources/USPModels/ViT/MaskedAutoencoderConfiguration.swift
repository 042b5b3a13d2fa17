// Sizes and parameter table of a masked autoencoder, in the names of MAE's checkpoints.

import USPBase
import USPTensor

package struct MaskedAutoencoderConfiguration: Sendable, Equatable {
    package var encoder: ViTConfiguration
    /// Width of the decoder's tokens; 0: no decoder, features only.
    package var decoderWidth: Int
    package var decoderDepth: Int
    package var decoderHeads: Int

    package init(
        encoder: ViTConfiguration, decoderWidth: Int = 512, decoderDepth: Int = 8,
        decoderHeads: Int = 16
    ) {
        self.encoder = encoder
        (self.decoderWidth, self.decoderDepth) = (decoderWidth, decoderDepth)
        self.decoderHeads = decoderHeads
    }

    package var hasDecoder: Bool { decoderWidth > 0 }

    var decoderBlock: BlockConfiguration {
        BlockConfiguration(
            width: decoderWidth, heads: decoderHeads,
            hidden: Int(Float(decoderWidth) * encoder.mlpRatio), activation: encoder.activation,
            epsilon: encoder.epsilon)
    }

    /// Throws `.argument` for sizes that no model has.
    package func check() throws(USPError) {
        try encoder.check()
        guard hasDecoder else { return }
        try checkSizes([("decoder width", decoderWidth), ("decoder heads", decoderHeads)])
        try require(
            decoderDepth >= 0 && decoderDepth <= 4096, .argument,
            "decoder depth \(decoderDepth), expected 0 to 4096")
        try require(
            decoderWidth % decoderHeads == 0, .argument,
            "\(decoderHeads) heads do not divide the decoder's width \(decoderWidth)")
    }
}

extension MaskedAutoencoder {
    /// The parameter table: names, shapes and initialisation of the original.
    /// - Throws: `.argument` for sizes that no model has
    package static func specs(
        _ configuration: MaskedAutoencoderConfiguration
    ) throws(USPError) -> [ParameterSpec] {
        try configuration.check()
        let encoder = configuration.encoder
        let width = encoder.width
        var specs: [ParameterSpec] = []
        if encoder.classToken {
            specs.append(ParameterSpec("cls_token", [1, 1, width], .normal(deviation: 0.02)))
        }
        specs.append(
            try positionSpec(
                "pos_embed", width: width, encoder.grid, leading: encoder.leadingPositions))
        if configuration.hasDecoder {
            let token: Shape = [1, 1, configuration.decoderWidth]
            specs.append(ParameterSpec("mask_token", token, .normal(deviation: 0.02)))
            specs.append(
                try positionSpec(
                    "decoder_pos_embed", width: configuration.decoderWidth, encoder.grid,
                    leading: encoder.leading))
        }
        specs += PatchEmbedding.specs(
            "patch_embed", width: width, channels: encoder.channels, patch: encoder.patch,
            xavier: true)
        for index in 0..<encoder.depth { specs += encoder.block(.xavier).specs("blocks.\(index)") }
        specs += NormLayer.specs("norm", width: width)
        return configuration.hasDecoder ? specs + decoderSpecs(configuration) : specs
    }

    private static func decoderSpecs(
        _ configuration: MaskedAutoencoderConfiguration
    ) -> [ParameterSpec] {
        let width = configuration.decoderWidth
        var specs = LinearLayer.specs(
            "decoder_embed", inputs: configuration.encoder.width, outputs: width, .xavier)
        for index in 0..<configuration.decoderDepth {
            specs += configuration.decoderBlock.specs("decoder_blocks.\(index)")
        }
        specs += NormLayer.specs("decoder_norm", width: width)
        return specs
            + LinearLayer.specs(
                "decoder_pred", inputs: width, outputs: configuration.encoder.patchSize, .xavier)
    }

    /// A frozen sine-cosine table with a row of zeros for the class token.
    private static func positionSpec(
        _ name: String, width: Int, _ grid: Grid, leading: Int
    ) throws(USPError) -> ParameterSpec {
        let table = try PositionTable.sincos(width: width, grid: grid, leading: leading)
        return ParameterSpec(
            name, [1, leading + grid.count, width], .table(table), isTrainable: false)
    }
}
