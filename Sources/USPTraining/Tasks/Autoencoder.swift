// VAE: reconstruction and divergence; the posterior is sampled.

import USPBase
import USPModels
import USPTensor

extension VAE: Trainable {
    package var layers: Int { 0 }

    package func training(
        over parameters: Parameters, _ options: TrainerOptions
    ) throws(USPError) -> VAE {
        try require(
            options.recompute == .nothing, .unsupported,
            "recompute: an autoencoder has no transformer blocks")
        return try VAE(configuration, parameters, options.arithmetic)
    }

    package func loss(
        of part: BatchPart, _ options: TrainerOptions, in context: Context
    ) throws(USPError) -> Loss {
        let shape = part.inputs.shape
        try require(
            shape.rank == 4 && shape[1] == configuration.imageChannels, .shape,
            "images: shape \(shape), expected [B, \(configuration.imageChannels), H, W]")
        let noise = try part.normalNoise([
            part.count, configuration.latentChannels, shape[2] / configuration.factor,
            shape[3] / configuration.factor,
        ])
        let loss = try loss(
            part.inputs, noise: noise, error: options.reconstruction,
            divergenceWeight: options.klWeight, in: context)
        return .scalar(loss.total)
    }
}
