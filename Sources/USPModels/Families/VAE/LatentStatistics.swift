// What is measured of an autoencoder: the scale of its latents, and how well it returns images.

import USPBase
import USPTensor

extension LatentNormalization {
    /// Arrays `mean` and `std` of a value each channel, in any shape: (z − mean)/std·multiplier.
    init(
        reading statistics: Checkpoint, channels: Int, multiplier: Float
    ) throws(USPError) {
        func values(_ name: String) throws(USPError) -> [Float] {
            let entry = try statistics.entry(name)
            try require(
                entry.count == channels, .shape,
                "\(statistics.path): \(name): \(entry.shape), the autoencoder has \(channels) latent "
                    + "channels")
            return try entry.tensor(as: .float32).values
        }
        let (mean, deviation) = (try values("mean"), try values("std"))
        try require(
            mean.allSatisfy(\.isFinite) && deviation.allSatisfy { $0 > 0 && $0.isFinite },
            .argument,
            "\(statistics.path): std: expected finite numbers above 0, and means that are finite")
        self.init(mean: mean, deviation: deviation, multiplier: multiplier)
    }

    /// The normalisation that gives these latents unit variance.
    ///
    /// Latent diffusion's scale is 1/deviation over all elements, its shift zero (0.18215 and
    /// 0.2325 were found so); per channel it is LightningDiT's: zero mean and unit variance for
    /// each.
    /// - latents: `[B, z, h, w]`, not normalised; some hundred images suffice
    /// - Throws: `.shape`; `.argument` if a deviation is zero or not finite
    package init(measuring latents: Tensor, perChannel: Bool = false) throws(USPError) {
        try require(
            latents.shape.rank == 4 && latents.count > 0, .shape,
            "latent statistics: latents \(latents.shape), [B, z, h, w] expected")
        let (batch, channels) = (latents.shape[0], latents.shape[1])
        let pixels = latents.shape[2] * latents.shape[3]
        func moments(_ planes: [Int]) -> (mean: Double, deviation: Double) {
            let count = Double(planes.count * pixels)
            func sum(_ term: (Double) -> Double) -> Double {
                planes.reduce(0) { total, plane in
                    let values = latents.floats + plane * pixels
                    return (0..<pixels).reduce(total) { $0 + term(Double(values[$1])) }
                }
            }
            let mean = sum { $0 } / count
            return (mean, (sum { ($0 - mean) * ($0 - mean) } / count).squareRoot())
        }
        let found =
            perChannel
            ? (0..<channels).map { channel in moments((0..<batch).map { $0 * channels + channel }) }
            : [moments(Array(0..<batch * channels))]
        try require(
            found.allSatisfy { $0.deviation > 0 && $0.deviation.isFinite }, .argument,
            "latent statistics: the latents do not vary, or are not finite")
        self.init(
            shift: perChannel ? found.map { Float($0.mean) } : [0],
            scale: found.map { Float(1 / $0.deviation) })
    }
}

extension VAE {
    /// Mean squared error of decode(mean of encode(images)), for images in −1 ... 1: below about
    /// 0.013 (25 dB) for an autoencoder with its own weights, above 0.13 (15 dB) for one with
    /// others'.
    package func roundTripError(_ images: Tensor, in context: Context) throws(USPError) -> Float {
        let plain = context.recording(on: nil)
        let again = try decode(
            encode(images, normalizes: false, in: plain), normalized: false, in: plain)
        let error = try plain.meanSquaredError(again, images)
        return withExtendedLifetime(error) { error.floats[0] }
    }
}
