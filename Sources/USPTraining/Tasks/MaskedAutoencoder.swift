// MAE: masked patches of latents (or pixels), USP's pretraining.

import USPBase
import USPModels
import USPTensor

extension MaskedAutoencoder: Trainable {
    package var layers: Int { configuration.depth }

    package func training(
        over parameters: Parameters, _ options: TrainerOptions
    ) throws(USPError) -> MaskedAutoencoder {
        let result = try MaskedAutoencoder(configuration, parameters, options.arithmetic)
        result.recomputes = options.recompute
        return result
    }

    package func loss(
        of part: BatchPart, _ options: TrainerOptions, in context: Context
    ) throws(USPError) -> Loss {
        let tokens = configuration.tokens
        try expect(part.inputs, configuration.imageShape(part.count), "latents")
        let noise =
            if let given = part.batch.noise { given.values } else {
                try part.uniform("mask", count: tokens)
            }
        let masking = try Masking(
            noise: noise, batch: part.count, tokens: tokens, ratio: options.maskRatio)
        var input = part.inputs
        if options.addNoise {
            input = try MaskedAutoencoder.noisy(
                input, t: part.uniform("time").map { 0.5 + 0.5 * $0 },
                noise: part.drawnNoise(input.shape))
        }
        let output = try forward(
            input, masking: masking, target: part.batch.target ?? part.inputs,
            normalisation: options.normImage ? .image : options.normPixLoss ? .patch : .none,
            in: context)
        return .scalar(output.loss)
    }
}
