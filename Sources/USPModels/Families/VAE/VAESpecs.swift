// The parameters of the autoencoder, under the names of CompVis' latent diffusion.

import USPBase
import USPTensor

extension VAE.Configuration {
    /// Every parameter in the order of the original's modules.
    public func specs() throws(USPError) -> [ParameterSpec] {
        try check()
        if isTiny { return tinySpecs() }
        var table = SpecTable()
        addEncoder(&table)
        addDecoder(&table)
        if hasLatentConvolutions {
            table.convolution("quant_conv", momentChannels, momentChannels, kernel: 1)
            table.convolution("post_quant_conv", latentChannels, latentChannels, kernel: 1)
        }
        return table.specs
    }

    private func addEncoder(_ table: inout SpecTable) {
        table.convolution("encoder.conv_in", imageChannels, baseWidth)
        var width = baseWidth
        for level in multipliers.indices {
            for block in 0..<blocksPerLevel {
                table.block("encoder.down.\(level).block.\(block)", width, self.width(level))
                width = self.width(level)
            }
            if encoderAttentionLevels.contains(level) {
                for block in 0..<blocksPerLevel {
                    table.attention("encoder.down.\(level).attn.\(block)", width)
                }
            }
            if level < multipliers.count - 1 {
                table.convolution("encoder.down.\(level).downsample.conv", width, width)
            }
        }
        addMiddle("encoder", width, &table)
        table.norm("encoder.norm_out", width)
        table.convolution("encoder.conv_out", width, momentChannels)
    }

    private func addDecoder(_ table: inout SpecTable) {
        var width = self.width(multipliers.count - 1)
        table.convolution("decoder.conv_in", latentChannels, width)
        addMiddle("decoder", width, &table)
        for level in multipliers.indices.reversed() {
            for block in 0...blocksPerLevel {
                table.block("decoder.up.\(level).block.\(block)", width, self.width(level))
                width = self.width(level)
            }
            if decoderAttentionLevels.contains(level) {
                for block in 0...blocksPerLevel {
                    table.attention("decoder.up.\(level).attn.\(block)", width)
                }
            }
            if level > 0 { table.convolution("decoder.up.\(level).upsample.conv", width, width) }
        }
        table.norm("decoder.norm_out", width)
        table.convolution("decoder.conv_out", width, imageChannels)
    }

    private func addMiddle(_ side: String, _ width: Int, _ table: inout SpecTable) {
        table.block("\(side).mid.block_1", width, width)
        if hasMiddleAttention { table.attention("\(side).mid.attn_1", width) }
        table.block("\(side).mid.block_2", width, width)
    }
}

/// Collects rows of the table, a layer at a time.
private struct SpecTable {
    var specs: [ParameterSpec] = []

    mutating func convolution(_ name: String, _ inputs: Int, _ outputs: Int, kernel: Int = 3) {
        let start = Initializer.torchDefault(fanIn: inputs * kernel * kernel)
        specs.append(ParameterSpec("\(name).weight", [outputs, inputs, kernel, kernel], start))
        specs.append(ParameterSpec("\(name).bias", [outputs], start))
    }

    mutating func norm(_ name: String, _ width: Int) {
        specs.append(ParameterSpec("\(name).weight", [width], .ones))
        specs.append(ParameterSpec("\(name).bias", [width], .zeros))
    }

    mutating func block(_ name: String, _ inputs: Int, _ outputs: Int) {
        norm("\(name).norm1", inputs)
        convolution("\(name).conv1", inputs, outputs)
        norm("\(name).norm2", outputs)
        convolution("\(name).conv2", outputs, outputs)
        if inputs != outputs { convolution("\(name).nin_shortcut", inputs, outputs, kernel: 1) }
    }

    mutating func attention(_ name: String, _ width: Int) {
        norm("\(name).norm", width)
        for part in ["q", "k", "v", "proj_out"] {
            convolution("\(name).\(part)", width, width, kernel: 1)
        }
    }
}
