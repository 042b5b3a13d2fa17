// Header section "vae".

import CUSP
import USPBase
import USPKit
import USPTensor

@_cdecl("usp_vae_create") @implementation public func usp_vae_create(
    _ config: UnsafePointer<usp_vae_config>?, _ seed: UInt64,
    _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_vae_create") { () throws(USPError) in
        try checkOut(out)
        let given = try options(config, zeros: usp_vae_config(), "config")
        try store(ModelHandle(VAE(vaeConfiguration(given), seed: seed)), in: out)
    }
}

private func vaeConfiguration(_ given: usp_vae_config) throws(USPError) -> VAE.Configuration {
    var sizes = VAE.Configuration()
    sizes.imageChannels = try count(
        given.image_channels, else: sizes.imageChannels, "image_channels")
    sizes.baseWidth = try count(given.base_width, else: sizes.baseWidth, "base_width")
    sizes.blocksPerLevel = try count(
        given.blocks_per_level, else: sizes.blocksPerLevel, "blocks_per_level")
    sizes.latentChannels = try count(
        given.latent_channels, else: sizes.latentChannels, "latent_channels")
    sizes.groups = try count(given.groups, else: sizes.groups, "groups")
    sizes.scale = [try real(given.scale, else: 1, "scale")]
    sizes.shift = [try real(given.shift, else: 0, "shift")]
    let levels = try count(given.levels, else: 0, "levels")
    guard levels <= 8 else { throw USPError(.argument, "levels: is \(levels), expected at most 8") }
    if levels > 0 {
        sizes.multipliers = withUnsafeBytes(of: given.multipliers) { bytes in
            (0..<levels).map { Int(bytes.load(fromByteOffset: $0 * 4, as: Int32.self)) }
        }
    }
    sizes.encoderAttentionLevels = (0..<32).filter { given.encoder_attention >> $0 & 1 == 1 }
    sizes.decoderAttentionLevels = (0..<32).filter { given.decoder_attention >> $0 & 1 == 1 }
    return sizes
}

@_cdecl("usp_vae_describe") @implementation public func usp_vae_describe(
    _ vae: OpaquePointer?, _ out: UnsafeMutablePointer<usp_vae_config>?
) -> usp_status {
    guarded("usp_vae_describe") { () throws(USPError) in
        let sizes = try model(vae, as: VAE.self, "vae").configuration
        var result = usp_vae_config()
        result.image_channels = Int32(sizes.imageChannels)
        result.base_width = Int32(sizes.baseWidth)
        result.levels = Int32(sizes.multipliers.count)
        withUnsafeMutableBytes(of: &result.multipliers) { bytes in
            for (level, value) in sizes.multipliers.enumerated() {
                bytes.storeBytes(of: Int32(value), toByteOffset: level * 4, as: Int32.self)
            }
        }
        result.blocks_per_level = Int32(sizes.blocksPerLevel)
        result.latent_channels = Int32(sizes.latentChannels)
        result.groups = Int32(sizes.groups)
        result.encoder_attention = bits(sizes.encoderAttentionLevels)
        result.decoder_attention = bits(sizes.decoderAttentionLevels)
        result.scale = sizes.scale[0]
        result.shift = sizes.shift[0]
        try returnOptions(result, in: out)
    }
}

private func bits(_ levels: [Int]) -> UInt32 { levels.reduce(0) { $0 | 1 << UInt32($1) } }

@_cdecl("usp_vae_normalization") @implementation public func usp_vae_normalization(
    _ vae: OpaquePointer?, _ outScale: UnsafeMutablePointer<usp_tensor>?,
    _ outShift: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_vae_normalization") { () throws(USPError) in
        let vae = try model(vae, as: VAE.self, "vae")
        let channels = [Axis.extent(vae.scales.count)]
        let scale = try optionalOutput(outScale, "out_scale", channels)
        let shift = try optionalOutput(outShift, "out_shift", channels)
        try scale?.write(Tensor([vae.scales.count], vae.scales))
        try shift?.write(Tensor([vae.shifts.count], vae.shifts))
    }
}

private func vaeOptions(_ pointer: UnsafePointer<usp_vae_options>?) throws(USPError) -> VAE.Options
{
    let given = try options(pointer, zeros: usp_vae_options())
    var result = VAE.Options()
    result.normalizes = given.raw == 0
    result.exact = given.exact != 0
    result.tile = try count(given.tile, else: 0, "tile")
    result.overlap = try count(given.overlap, else: min(result.overlap, result.tile / 4), "overlap")
    return result
}

@_cdecl("usp_vae_encode") @implementation public func usp_vae_encode(
    _ vae: OpaquePointer?, _ images: UnsafePointer<usp_tensor>?,
    _ options: UnsafePointer<usp_vae_options>?, _ outMean: UnsafeMutablePointer<usp_tensor>?,
    _ outLogvar: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_vae_encode") { () throws(USPError) in
        let vae = try model(vae, as: VAE.self, "vae")
        let images = try tensor(
            images, "images", ["B", .extent(vae.configuration.imageChannels), "H", "W"])
        let (height, width, factor) = (images.shape[2], images.shape[3], vae.factor)
        guard height % factor == 0, width % factor == 0 else {
            throw USPError(
                .shape, "images: shape \(images.shape), expected H and W multiples of \(factor)")
        }
        let shape: [Axis] = [
            .extent(images.shape[0]), .extent(vae.configuration.latentChannels),
            .extent(height / factor), .extent(width / factor),
        ]
        let mean = try output(outMean, "out_mean", shape)
        let logVariance = try optionalOutput(outLogvar, "out_logvar", shape)
        let posterior = try vae.encode(images, vaeOptions(options))
        try mean.write(posterior.mean)
        try logVariance?.write(posterior.logVariance)
    }
}

@_cdecl("usp_vae_sample") @implementation public func usp_vae_sample(
    _ vae: OpaquePointer?, _ mean: UnsafePointer<usp_tensor>?, _ logvar: UnsafePointer<usp_tensor>?,
    _ noise: UnsafePointer<usp_tensor>?, _ options: UnsafePointer<usp_vae_options>?,
    _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_vae_sample") { () throws(USPError) in
        let vae = try model(vae, as: VAE.self, "vae")
        let mean = try tensor(
            mean, "mean", ["B", .extent(vae.configuration.latentChannels), "h", "w"])
        let posterior = VAE.Posterior(
            mean: mean, logVariance: try tensor(logvar, "logvar", axes(mean.shape)))
        let target = try output(out, "out", axes(mean.shape))
        try target.write(
            vae.sample(
                posterior, noise: tensor(noise, "noise", axes(mean.shape)), vaeOptions(options)))
    }
}

@_cdecl("usp_vae_decode") @implementation public func usp_vae_decode(
    _ vae: OpaquePointer?, _ latents: UnsafePointer<usp_tensor>?,
    _ options: UnsafePointer<usp_vae_options>?, _ outImages: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_vae_decode") { () throws(USPError) in
        let vae = try model(vae, as: VAE.self, "vae")
        let latents = try tensor(
            latents, "latents", ["B", .extent(vae.configuration.latentChannels), "h", "w"])
        let target = try output(
            outImages, "out_images",
            [
                .extent(latents.shape[0]), .extent(vae.configuration.imageChannels),
                .extent(latents.shape[2] * vae.factor), .extent(latents.shape[3] * vae.factor),
            ])
        try target.write(vae.decode(latents, vaeOptions(options)))
    }
}
