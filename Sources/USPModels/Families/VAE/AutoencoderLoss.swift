// What an autoencoder is trained on: reconstruction and divergence.

import USPBase
import USPTensor

/// How an autoencoder's reconstruction is compared with its image.
public enum ReconstructionError: String, Sendable, CaseIterable {
    /// Mean of squares.
    case squared
    /// Mean of absolute values, as latent diffusion.
    case absolute
}

extension VAE {
    /// The parts of a training loss; all but the image are `[]`.
    package struct LossParts {
        package let total: Tensor
        package let reconstruction: Tensor
        /// Mean over samples of the divergence from the standard normal; nil without a variance.
        package let divergence: Tensor?
        /// `[B, C, H, W]`
        package let image: Tensor
        /// `[B, h, w, z]`, as they were decoded.
        package let latents: Tensor
    }

    /// error(decode(sample), images) + weight·divergence (latent diffusion: absolute error and
    /// 1e-6).
    ///
    /// - images: `[B, C, H, W]` in −1 ... 1
    /// - noise: `[B, z, H/f, W/f]`, standard normal; nil decodes the mean
    package func loss(
        _ images: Tensor, noise: Tensor?, error: ReconstructionError = .absolute,
        divergenceWeight: Float = 1e-6, in context: Context
    ) throws(USPError) -> LossParts {
        let posterior = try posterior(images, in: context)
        let z = try sample(posterior, noise: noise, in: context)
        let image = try context.toChannelsFirst(decoder(z, context))
        let reconstruction =
            switch error {
            case .squared: try context.meanSquaredError(image, images)
            case .absolute: try context.meanAbsoluteError(image, images)
            }
        guard let logVariance = posterior.logVariance else {
            return LossParts(
                total: reconstruction, reconstruction: reconstruction, divergence: nil,
                image: image,
                latents: z)
        }
        let divergence = try context.klDivergence(mean: posterior.mean, logVariance: logVariance)
        let total = try context.add(reconstruction, context.scale(divergence, by: divergenceWeight))
        return LossParts(
            total: total, reconstruction: reconstruction, divergence: divergence, image: image,
            latents: z)
    }
}
