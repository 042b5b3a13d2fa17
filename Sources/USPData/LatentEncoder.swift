// A frozen autoencoder, as a data set knows it.

import USPBase
import USPTensor

/// What makes latents of images.
public struct LatentEncoder: Sendable {
    /// Image pixels to a latent one, along each side.
    package let factor: Int
    package let imageChannels: Int
    package let latentChannels: Int
    /// Latents are (z − shift)·scale, one a channel.
    package let scale: [Float]
    package let shift: [Float]
    /// What two of the same values have in common.
    package let fingerprint: String
    /// Images `[B, C, H, W]` in −1 … 1 to normalised latents `[B, z, h, w]`: drawn from the
    /// posterior with this noise, else its mean.
    package let latents: @Sendable (_ images: Tensor, _ noise: Tensor?) throws(USPError) -> Tensor
    /// The same images to `[B, 2z, h, w]`: mean of z itself, then its log variance.
    package let moments: @Sendable (_ images: Tensor) throws(USPError) -> Tensor

    package init(
        factor: Int, imageChannels: Int, latentChannels: Int, scale: [Float], shift: [Float],
        fingerprint: String,
        latents: @escaping @Sendable (Tensor, Tensor?) throws(USPError) -> Tensor,
        moments: @escaping @Sendable (Tensor) throws(USPError) -> Tensor
    ) {
        (self.factor, self.imageChannels) = (factor, imageChannels)
        (self.latentChannels, self.scale, self.shift) = (latentChannels, scale, shift)
        (self.fingerprint, self.latents, self.moments) = (fingerprint, latents, moments)
    }
}
