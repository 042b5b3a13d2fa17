// VAE: reconstruction and divergence; the posterior is sampled. With a teacher its latents are aligned
// with features, as VA-VAE's.

import USPBase
import USPModels
import USPTensor

extension VAE: Trainable {
    package var layers: Int { 0 }

    private static let projection = "linear_proj.weight"
    /// The layer in which reconstruction and alignment are balanced.
    private static let lastLayer = "encoder.conv_out.weight"

    package func ownSpecs(_ options: TrainerOptions) throws(USPError) -> [ParameterSpec] {
        try require(
            options.align == 0 || options.teacherWidth > 0, .argument,
            "teacher_width: align needs the width of the teacher's features")
        guard options.align != 0 else { return [] }
        let latent = configuration.latentChannels
        return [
            ParameterSpec(
                Self.projection, [options.teacherWidth, latent], .torchDefault(fanIn: latent))
        ]
    }

    package func training(
        over parameters: Parameters, _ options: TrainerOptions
    ) throws(USPError) -> VAE {
        try require(
            options.recompute == .nothing, .unsupported,
            "recompute: an autoencoder has no transformer blocks")
        try require(
            options.align == 0 || parameters.contains(Self.lastLayer), .unsupported,
            "align: has no part in a tiny autoencoder")
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
        try part.expectFeatures(options)
        let loss = try loss(
            part.inputs, noise: noise, error: options.reconstruction,
            divergenceWeight: options.klWeight, in: context)
        try require(
            part.batch.features.count < 2, .argument,
            "features: of \(part.batch.features.count) teachers, expected one")
        guard let features = part.batch.features.first else { return .scalar(loss.total) }
        let (projected, alignment) = try aligned(loss.latents, features, options, in: context)
        let weight = try options.align * balance(part.inputs, noise, features, options)
        let slope = try Context().scale(alignment.slope, by: weight)
        let known = try context.known(weight * alignment.value, [(projected, slope)])
        return .scalar(try context.add(loss.total, known))
    }

    /// Projected latents beside a teacher's features.
    private func aligned(
        _ latents: Tensor, _ features: Tensor, _ options: TrainerOptions, in context: Context
    ) throws(USPError) -> (projected: Tensor, LatentAlignment) {
        let (batch, height, width) = (latents.shape[0], latents.shape[1], latents.shape[2])
        let tokens = height * width
        try require(
            features.shape == [batch, tokens, options.teacherWidth], .shape,
            "features: \(features.shape), expected [\(batch), \(tokens), \(options.teacherWidth)], one "
                + "for each latent of \(height) x \(width): show the teacher as many of its patches"
        )
        let projected = try context.linear(
            latents.reshaped([batch, tokens, configuration.latentChannels]),
            weights.parameters.tensor(Self.projection), nil)
        return (
            projected,
            try LatentAlignment(
                projected, features, distanceMargin: options.distmatMargin,
                cosineMargin: options.cosMargin)
        )
    }

    /// The norm of the reconstruction's gradient over that of the alignment's, in the encoder's last
    /// layer; the original limits it to 1e8.
    private func balance(
        _ images: Tensor, _ noise: Tensor, _ features: Tensor, _ options: TrainerOptions
    ) throws(USPError) -> Float {
        func norm(
            _ loss: (VAE, Context) throws(USPError) -> Loss
        ) throws(USPError) -> Float {
            let result = try lossGradients(
                of: weights.parameters, options.arithmetic, trains: { $0.name == Self.lastLayer }
            ) { parameters, context throws(USPError) in
                try loss(VAE(configuration, parameters, options.arithmetic), context)
            }
            let values = try result.gradients.tensor(Self.lastLayer).values
            return Float(values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot())
        }
        let reconstruction = try norm { model, context throws(USPError) in
            .scalar(
                try model.loss(
                    images, noise: noise, error: options.reconstruction, in: context
                ).reconstruction)
        }
        let alignment = try norm { model, context throws(USPError) in
            let latents = try model.sample(
                model.posterior(images, in: context), noise: noise, in: context)
            let (projected, alignment) = try model.aligned(latents, features, options, in: context)
            return .scalar(try context.known(alignment.value, [(projected, alignment.slope)]))
        }
        return min(reconstruction / (alignment + 1e-4), 1e8)
    }
}
