// Configurations by their published names.

import USPBase
import USPModels

extension MaskedAutoencoder.Configuration {
    /// Such as `MAE-B/2`: USP's sizes on f8 latents; `/1` on f16 latents, `/16` on pixels.
    ///
    /// - Throws: for an unknown name, with the nearest known one
    public init(named name: String) throws(USPError) {
        guard case .maskedAutoencoder(let sizes) = try Presets.find(name) else {
            throw otherFamily(name, "MAE")
        }
        self.init(sizes)
    }
}

extension ViT.Configuration {
    /// Such as `ViT-B/2`: the classifier of USP's sizes, pooling the class token.
    ///
    /// - Throws: for an unknown name, with the nearest known one
    public init(named name: String) throws(USPError) {
        guard case .classifier(let sizes) = try Presets.find(name) else {
            throw otherFamily(name, "ViT")
        }
        self.init(sizes)
    }
}

extension DiT.Configuration {
    /// Such as `DiT-XL/2` or `SiT-B/4`; `-VAE-simple` behind it is USP's variant with affine norms.
    ///
    /// - Throws: for an unknown name, with the nearest known one
    public init(named name: String) throws(USPError) {
        guard case .diffusion(let sizes) = try Presets.find(name) else {
            throw otherFamily(name, "DiT or SiT")
        }
        self.init(sizes)
    }
}

private func otherFamily(_ name: String, _ family: String) -> USPError {
    USPError(.argument, "model \(name): expected a \(family)")
}
