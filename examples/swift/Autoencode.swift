// Encode an image into latents and decode it again.

import USPKit

func autoencode() throws(USPError) {
    var sizes = VAE.Configuration()
    sizes.baseWidth = 16
    sizes.multipliers = [1, 2, 2]
    sizes.groups = 8
    sizes.normalization.scale = [0.5]
    let vae = try VAE(sizes, seed: 1)  // or VAE.load("diffusion_pytorch_model.safetensors")

    // Stripes, in −1 … 1.
    let picture = try Tensor(
        [1, 3, 32, 32], (0..<3 * 32 * 32).map { Float($0 % 8) / 4 - 1 })
    let posterior = try vae.encode(picture)
    print("\(picture.shape) became \(posterior.mean.shape)")

    let again = try vae.decode(posterior.mean)
    let squares = zip(again.values, picture.values).map { ($0 - $1) * ($0 - $1) }
    print(
        "mean squared error \(squares.reduce(0, +) / Float(squares.count)), as nobody has trained it yet"
    )
}
