// Header section "vae".

import CUSP
import USPBase
import USPKit
import USPTensor

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
    try options(pointer, VAE.Options.self, usp_vae_options()).options
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
