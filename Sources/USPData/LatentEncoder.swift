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
    /// Whether nothing told those, and latents are given as they are.
    package let lacksStatistics: Bool
    /// What two of the same values have in common.
    package let fingerprint: String
    /// Images `[B, C, H, W]` in −1 … 1 to normalised latents `[B, z, h, w]`: drawn from the
    /// posterior with this noise, else its mean.
    package let latents: @Sendable (_ images: Tensor, _ noise: Tensor?) throws(USPError) -> Tensor
    /// The same images to `[B, 2z, h, w]`: mean of z itself, then its log variance.
    package let moments: @Sendable (_ images: Tensor) throws(USPError) -> Tensor

    package init(
        factor: Int, imageChannels: Int, latentChannels: Int, scale: [Float], shift: [Float],
        lacksStatistics: Bool = false, fingerprint: String,
        latents: @escaping @Sendable (Tensor, Tensor?) throws(USPError) -> Tensor,
        moments: @escaping @Sendable (Tensor) throws(USPError) -> Tensor
    ) {
        (self.factor, self.imageChannels) = (factor, imageChannels)
        (self.latentChannels, self.scale, self.shift) = (latentChannels, scale, shift)
        self.lacksStatistics = lacksStatistics
        (self.fingerprint, self.latents, self.moments) = (fingerprint, latents, moments)
    }

    /// Of latents; nil where nothing tells it.
    package var latentScale: LatentScale? {
        lacksStatistics ? nil : LatentScale(scale, shift)
    }

    /// The latent of a square image: `[z, h, w]`.
    ///
    /// - Throws: `.argument` for a side that cannot be halved so often
    package func sampleShape(side: Int) throws(USPError) -> Shape {
        try require(
            side % factor == 0, .argument,
            "size: \(side), expected a multiple of \(factor), the autoencoder's factor")
        return [latentChannels, side / factor, side / factor]
    }

    /// The posterior's mean for images of any number: as many at a time as have the pixels of four of
    /// 256x256.
    package func means(_ images: Tensor) throws(USPError) -> Tensor {
        let (count, side) = (images.shape[0], images.shape[2])
        let piece = max(1, 4 * 256 * 256 / max(side * side, 1))
        let result = try Tensor(Shape([count] + sampleShape(side: side).extents))
        for first in stride(from: 0, to: count, by: piece) {
            let range = first..<min(first + piece, count)
            try result.detachedRows(range).copy(from: latents(images.detachedRows(range), nil))
        }
        return result
    }

    /// - Throws: `.argument` for an autoencoder whose latents nobody should train on
    func expectStatistics(_ place: String) throws(USPError) {
        try require(
            !lacksStatistics, .argument,
            "\(place): the autoencoder does not tell mean and deviation of its \(latentChannels) "
                + "latent channels, and training on latents as they are fails (FID above 130 is "
                + "reported); load it with statistics (latents_stats.pt), or measure them by encode "
                + "--statistics")
    }
}
