// What each model is trained for: a loss from samples, with all that is random drawn per sample.

import USPBase
import USPModels
import USPTensor

/// Gives the samples of a batch, `[B, C, H, W]` f32.
package typealias SampleSource = (_ indices: [Int]) throws(USPError) -> Tensor

/// Gives the labels of a batch.
package typealias LabelSource = (_ indices: [Int]) throws(USPError) -> [Int]

/// Losses for `TrainingRun`.
package enum TrainingTask {
    /// Reconstruction and divergence of an autoencoder; the posterior is sampled.
    package static func autoencoding(
        _ model: KLAutoencoder, images: @escaping SampleSource,
        error: KLAutoencoder.ReconstructionError = .squared, divergenceWeight: Float = 1e-6
    ) -> (Context, Batch) throws(USPError) -> Loss {
        { (context, batch) throws(USPError) in
            let x = try images(batch.indices)
            let sizes = model.configuration
            let noise = try Tensor.normal(
                [x.shape[0], sizes.latentChannels, x.shape[2] / sizes.factor, x.shape[3] / sizes.factor],
                batch.key.stream("posterior"), firstSample: batch.first)
            let loss = try model.loss(
                x, noise: noise, error: error, divergenceWeight: divergenceWeight, in: context)
            return .scalar(loss.total)
        }
    }

    /// Masked modelling of latents (or pixels): USP's pretraining.
    ///
    /// - ratio: share of the tokens that are removed
    /// - noisy: whether the input is √t·x + √(1 − t)·ε with t ∈ [0.5, 1), the target clean
    ///   (USP's `--add_noise`)
    package static func masking(
        _ model: MaskedAutoencoder, latents: @escaping SampleSource, ratio: Double = 0.75,
        normalisation: PatchNormalisation = .patch, noisy: Bool = false
    ) -> (Context, Batch) throws(USPError) -> Loss {
        { (context, batch) throws(USPError) in
            let x = try latents(batch.indices)
            let samples = x.shape[0]
            let masking = try Masking(
                noise: Tensor.uniform(
                    [samples, model.configuration.encoder.tokens], batch.key.stream("mask"),
                    firstSample: batch.first
                ).values, batch: samples, tokens: model.configuration.encoder.tokens, ratio: ratio)
            var input = x
            if noisy {
                let times = try Tensor.uniform(
                    [samples], batch.key.stream("time"), firstSample: batch.first)
                let noise = try Tensor.normal(
                    x.shape, batch.key.stream("noise"), firstSample: batch.first)
                input = try MaskedAutoencoder.noisy(x, t: times.values.map { 0.5 + 0.5 * $0 }, noise: noise)
            }
            let output = try model.forward(
                input, masking: masking, target: x, normalisation: normalisation, in: context)
            return .scalar(output.loss)
        }
    }

    /// Cross entropy of a classifier with label smoothing.
    package static func classifying(
        _ model: VisionTransformer, latents: @escaping SampleSource, labels: @escaping LabelSource,
        smoothing: Float = 0
    ) -> (Context, Batch) throws(USPError) -> Loss {
        { (context, batch) throws(USPError) in
            let logits = try model.logits(latents(batch.indices), trainsStatistics: true, in: context)
            let loss = try context.softmaxCrossEntropy(
                logits: logits, labels: labels(batch.indices), smoothing: smoothing)
            return .scalar(loss)
        }
    }

    /// Flow matching on the straight path from noise to latents, as SiT trains: velocity of
    /// x_t = t·x₁ + (1 − t)·x₀ at uniform t.
    ///
    /// - labelDropout: share of labels that become the null class
    package static func flowing(
        _ model: DiT, latents: @escaping SampleSource, labels: @escaping LabelSource,
        labelDropout: Float = 0.1
    ) -> (Context, Batch) throws(USPError) -> Loss {
        { (context, batch) throws(USPError) in
            let x = try latents(batch.indices)
            let samples = x.shape[0]
            let noise = try Tensor.normal(x.shape, batch.key.stream("noise"), firstSample: batch.first)
            let draws = try Tensor.uniform([samples, 2], batch.key.stream("time"), firstSample: batch.first).values
            var (times, classes) = ([Float](), try labels(batch.indices))
            let (mixed, velocity) = (try Tensor(x.shape), try Tensor(x.shape))
            let each = x.count / max(samples, 1)
            for sample in 0..<samples {
                let t = draws[2 * sample]
                times.append(t)
                if draws[2 * sample + 1] < labelDropout { classes[sample] = model.configuration.classes }
                for index in sample * each..<(sample + 1) * each {
                    mixed.floats[index] = t * x.floats[index] + (1 - t) * noise.floats[index]
                    velocity.floats[index] = x.floats[index] - noise.floats[index]
                }
            }
            let prediction = try model.forward(mixed, t: times, y: classes, in: context)
            return .scalar(try context.meanSquaredError(prediction, velocity))
        }
    }
}
