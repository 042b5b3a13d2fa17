// Data sets with the models that they go through.

import USPBase
import USPData
import USPModels
import USPTensor

extension VAE {
    /// The autoencoder as a data set knows it.
    public var latentEncoder: LatentEncoder {
        let vae = self
        return LatentEncoder(
            factor: factor, imageChannels: configuration.imageChannels,
            latentChannels: configuration.latentChannels, scale: scales, shift: shifts,
            lacksStatistics: lacksStatistics, fingerprint: parameters.fingerprint,
            latents: { images, noise throws(USPError) in
                let posterior = try vae.encode(images)
                guard let noise else { return posterior.mean }
                return try vae.sample(posterior, noise: noise)
            },
            moments: { images throws(USPError) in
                var options = VAE.Options()
                options.scaled = false
                let posterior = try vae.encode(images, options)
                return try joined(posterior.mean, posterior.logVariance)
            })
    }
}

extension ViT {
    /// The encoder as a data set knows a teacher. Its position table is resampled as the model does it:
    /// REPA's is by `positions` antialias.
    ///
    /// - Throws: `.argument` for an encoder of latents
    public var featureTeacher: FeatureTeacher {
        get throws(USPError) {
            try require(
                configuration.channels == 3, .argument,
                "teacher: takes \(configuration.channels) channels, expected 3, of images")
            let encoder = self
            return FeatureTeacher(
                patch: configuration.patch, width: width, fingerprint: fingerprint,
                kind: ["DINOv2": .dinov2, "MoCo v3": .mocov3, "CLIP": .clip][
                    weights.loading?.dialect ?? ""],
                tokens: { images, normed throws(USPError) in
                    try encoder.tokens(images, norm: normed)
                })
        }
    }
}

/// Two `[B, z, h, w]` as `[B, 2z, h, w]`.
private func joined(_ first: Tensor, _ second: Tensor) throws(USPError) -> Tensor {
    let shape = first.shape
    let result = try Tensor([shape[0], 2 * shape[1], shape[2], shape[3]])
    let size = first.count / shape[0]
    for sample in 0..<shape[0] {
        let target = result.floats + 2 * sample * size
        target.update(from: first.floats + sample * size, count: size)
        (target + size).update(from: second.floats + sample * size, count: size)
    }
    return result
}

extension DataSet {
    /// Images or latents, as the path's content says.
    ///
    /// - path: a folder of PNG and JPEG images, with one subfolder for each class or without any;
    ///   a file of latents: what `cache` and `writeLatents` write, or an array `latents`,
    ///   normalised, with `labels` if there are some; a folder of the original's npz files, or of
    ///   LightningDiT's shards
    /// - vae: images become its latents, else they stay images in −1 … 1; latents take from it the
    ///   scale that their file does not tell
    /// - progress: told how many of all encodings of a cache are done; its error ends the call
    /// - Throws: for a folder without images, a size that the autoencoder cannot halve so often, a
    ///   file of something else or of another autoencoder's latents
    public convenience init(
        _ path: String, _ vae: VAE? = nil, _ options: DataOptions = DataOptions(),
        progress: EncodingProgress = { _, _ in }
    ) throws(USPError) {
        try self.init(path, encoder: vae?.latentEncoder, options, progress: progress)
    }

    /// Mean and unbiased deviation of each latent channel, of a folder of images or of latents.
    ///
    /// - vae: only images need it
    public static func latentStatistics(
        of path: String, _ vae: VAE? = nil, _ options: DataOptions = DataOptions(),
        progress: EncodingProgress = { _, _ in }
    ) throws(USPError) -> LatentMoments {
        try latentStatistics(of: path, encoder: vae?.latentEncoder, options, progress: progress)
    }

    /// What a frozen encoder makes of latents that are encoded: a probe's inputs, `[B, D]`.
    public func features(
        of model: ViT, progress: EncodingProgress = { _, _ in }
    ) throws(USPError) -> DataSet {
        let wanted = Shape(Array(model.inputShape(batch: 1).extents.dropFirst()))
        try require(
            sampleShape == wanted, .shape, "latents \(sampleShape), expected \(wanted)")
        return try features(width: model.width, progress: progress) { latents throws(USPError) in
            try model.features(latents)
        }
    }
}

extension Model {
    /// What there is to say where latents of an autoencoder are not those that the model was trained
    /// on, or are scaled in another way; nil where they are, or where too little is known.
    public func otherLatents(than vae: VAE) -> String? {
        notes.difference(
            from: vae.fingerprint, vae.latentEncoder.latentScale,
            words: ("this one is", "this autoencoder's are of")
        ).map { "the model \($0): what it decodes may be noise" }
    }

    /// The same of a data set's latents.
    public func otherLatents(than data: DataSet) -> String? {
        notes.difference(
            from: data.autoencoder, data.latentScale,
            words: ("the data's are of", "the data's are of")
        ).map { $0 + ": what it has learned may be of no use to it" }
    }
}
