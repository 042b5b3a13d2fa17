// Sizes of an autoencoder from its tensors, and the published statistics of its latents.

import USPBase
import USPFiles

extension FileModel {
    /// Sizes of a KL autoencoder. The latents' scale is the folder's own (`config.json`), else the
    /// published one of its shape: 0.18215 for 4 channels, 0.2325 for MAR's 16.
    package func autoencoderConfiguration(
        _ options: LoadOptions
    ) throws(USPError) -> VAE.Configuration {
        if isTinyAutoencoder { return try tinyConfiguration(options) }
        let input = try convolution("encoder.conv_in.weight")
        let latent = try convolution("decoder.conv_in.weight")
        let moments = try convolution(
            sources["quant_conv.weight"] == nil ? "encoder.conv_out.weight" : "quant_conv.weight")
        let told = told(as: VAE.Configuration.self)
        var sizes = told ?? VAE.Configuration()
        (sizes.baseWidth, sizes.imageChannels) = (input[0], input[1])
        sizes.multipliers = try multipliers(base: input[0])
        sizes.blocksPerLevel = count { "encoder.down.0.block.\($0).conv1.weight" }
        let levels = sizes.multipliers.indices
        sizes.encoderAttentionLevels = levels.filter {
            sources["encoder.down.\($0).attn.0.q.weight"] != nil
        }
        sizes.decoderAttentionLevels = levels.filter {
            sources["decoder.up.\($0).attn.0.q.weight"] != nil
        }
        sizes.hasMiddleAttention = sources["encoder.mid.attn_1.q.weight"] != nil
        sizes.hasLatentConvolutions = sources["quant_conv.weight"] != nil
        sizes.latentChannels = latent[1]
        sizes.doublesLatent = moments[0] == 2 * latent[1]
        sizes.groups =
            options.groups ?? told?.groups ?? toldNumber("usp.groups") ?? folder?.groups ?? 32
        sizes.normalization =
            try options.normalization(channels: latent[1]) ?? told?.normalization
            ?? toldNormalization ?? folder?.normalization ?? FileModel.published(sizes)
        try expectFolder(sizes)
        return sizes
    }

    /// - Throws: `.format` for a `config.json` of another autoencoder
    private func expectFolder(_ sizes: VAE.Configuration) throws(USPError) {
        try folder?.expect("in_channels", [sizes.imageChannels])
        try folder?.expect("out_channels", [sizes.imageChannels])
        try folder?.expect("latent_channels", [sizes.latentChannels])
        try folder?.expect("layers_per_block", [sizes.blocksPerLevel])
        try folder?.expect("block_out_channels", sizes.multipliers.indices.map(sizes.width))
        try folder?.expect("mid_block_add_attention", sizes.hasMiddleAttention)
        try folder?.expect("use_quant_conv", sizes.hasLatentConvolutions)
        try folder?.expect("use_post_quant_conv", sizes.hasLatentConvolutions)
    }

    /// The statistics that our files kept beside the tensors before `usp.config`.
    private var toldNormalization: LatentNormalization? {
        func numbers(_ key: String) -> [Float]? {
            told(key)?.split(separator: ",").compactMap { Float($0) }
        }
        guard let scale = numbers("usp.scale"), !scale.isEmpty else { return nil }
        return LatentNormalization(shift: numbers("usp.shift") ?? [0], scale: scale)
    }

    /// What a load report says about a scale that neither the file nor its folder tells.
    func assumedScale(_ sizes: VAE.Configuration, isGiven: Bool) -> [SkippedItem] {
        guard !isGiven, toldNormalization == nil,
            folder?.normalization == nil, !sizes.isTiny
        else { return [] }
        let scale = sizes.normalization.scale.map { "\($0)" }.joined(separator: ", ")
        let known = sizes.normalization != LatentNormalization()
        let others =
            switch (sizes.latentChannels, sizes.factor) {
            case (4, _): "SDXL's is 0.13025"
            case (16, 8): "SD3's is 1.5305 with shift 0.0609, FLUX.1's 0.3611 with shift 0.1159"
            default: "others may have another"
            }
        return [
            SkippedItem(
                name: "latent scale \(scale)",
                reason: (known ? "the published one" : "none is published")
                    + " for \(sizes.latentChannels) latent channels; the file does not tell it "
                    + "(\(others)): give scale (--vae-scale)")
        ]
    }

    /// Whether these are VA-VAE's latents, and nothing tells mean and deviation of their channels,
    /// which come in a file of their own.
    func lacksStatistics(_ configuration: any ModelConfiguration, _ options: LoadOptions) -> Bool {
        guard let sizes = configuration as? VAE.Configuration else { return false }
        return sizes.latentChannels == VAE.Configuration.vavae.latentChannels
            && sizes.factor == VAE.Configuration.vavae.factor
            && (self.configuration == nil || told("usp.untold") != nil)
            && !assumedScale(sizes, isGiven: options.givesNormalization).isEmpty
    }

    private static func published(_ sizes: VAE.Configuration) -> LatentNormalization {
        switch (sizes.latentChannels, sizes.factor) {
        case (4, _): VAE.Configuration.f8.normalization
        case (16, 16...): VAE.Configuration.mar.normalization
        default: LatentNormalization()
        }
    }

    private func convolution(_ name: String) throws(USPError) -> Shape {
        let shape = try shape(name)
        try require(
            shape.rank == 4 && shape.count > 0, .format,
            "\(path): \(name) is \(shape), not a convolution")
        return shape
    }

    func count(_ name: (Int) -> String) -> Int {
        var count = 0
        while count < 64 && sources[name(count)] != nil { count += 1 }
        return count
    }

    private func multipliers(base: Int) throws(USPError) -> [Int] {
        var result: [Int] = []
        for level in 0..<count({ "encoder.down.\($0).block.0.conv2.weight" }) {
            let width = try convolution("encoder.down.\(level).block.0.conv2.weight")[0]
            try require(
                width % base == 0, .format,
                "\(path): level \(level) has \(width) channels, no multiple of the first's \(base)")
            result.append(width / base)
        }
        return result
    }
}
