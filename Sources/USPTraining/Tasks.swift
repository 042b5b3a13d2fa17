// What each model is trained for: a loss from samples, with all that is random drawn per sample.

import USPBase
import USPDiffusion
import USPModels
import USPTensor

/// Gives the samples of a batch, `[B, C, H, W]` (or features, `[B, D]`) f32.
package typealias SampleSource = (_ indices: [Int]) throws(USPError) -> Tensor

/// Gives the labels of a batch.
package typealias LabelSource = (_ indices: [Int]) throws(USPError) -> [Int]

/// Losses for `TrainingRun`.
package enum TrainingTask {
    /// Reconstruction and divergence of an autoencoder; the posterior is sampled.
    package static func autoencoding(
        _ model: VAE, images: @escaping SampleSource,
        error: VAE.ReconstructionError = .squared, divergenceWeight: Float = 1e-6
    ) -> (Context, Batch) throws(USPError) -> Loss {
        { (context, batch) throws(USPError) in
            let x = try images(batch.indices)
            let sizes = model.configuration
            let noise = try Tensor.normal(
                [
                    x.shape[0], sizes.latentChannels, x.shape[2] / sizes.factor,
                    x.shape[3] / sizes.factor,
                ],
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
                    [samples, model.configuration.tokens], batch.key.stream("mask"),
                    firstSample: batch.first
                ).values, batch: samples, tokens: model.configuration.tokens, ratio: ratio)
            var input = x
            if noisy {
                let times = try Tensor.uniform(
                    [samples], batch.key.stream("time"), firstSample: batch.first)
                let noise = try Tensor.normal(
                    x.shape, batch.key.stream("noise"), firstSample: batch.first)
                input = try MaskedAutoencoder.noisy(
                    x, t: times.values.map { 0.5 + 0.5 * $0 }, noise: noise)
            }
            let output = try model.forward(
                input, masking: masking, target: x, normalisation: normalisation, in: context)
            return .scalar(output.loss)
        }
    }

    /// Cross entropy of a classifier with label smoothing.
    package static func classifying(
        _ model: ViT, latents: @escaping SampleSource, labels: @escaping LabelSource,
        smoothing: Float = 0
    ) -> (Context, Batch) throws(USPError) -> Loss {
        { (context, batch) throws(USPError) in
            let logits = try model.logits(
                latents(batch.indices), trainsStatistics: true, in: context)
            let loss = try context.softmaxCrossEntropy(
                logits: logits, labels: labels(batch.indices), smoothing: smoothing)
            return .scalar(loss)
        }
    }

    /// Cross entropy of a classifier's head alone, from features that were computed once: while
    /// only the head is trained they do not change.
    ///
    /// - features: `[B, D]`, as `ViT.features` gives them
    package static func probing(
        _ model: ViT, features: @escaping SampleSource, labels: @escaping LabelSource
    ) -> (Context, Batch) throws(USPError) -> Loss {
        { (context, batch) throws(USPError) in
            let logits = try model.logits(
                features: features(batch.indices), trainsStatistics: true, in: context)
            return .scalar(
                try context.softmaxCrossEntropy(logits: logits, labels: labels(batch.indices)))
        }
    }

    /// Flow matching as SiT trains, by default velocity on the straight path at uniform t.
    ///
    /// - labelDropout: share of labels that become the null class
    package static func flowing(
        _ model: DiT, _ transport: Transport, latents: @escaping SampleSource,
        labels: @escaping LabelSource, labelDropout: Float = 0.1
    ) -> (Context, Batch) throws(USPError) -> Loss {
        { (context, batch) throws(USPError) in
            let x = try latents(batch.indices)
            let samples = x.shape[0]
            let noise = try Tensor.normal(
                x.shape, batch.key.stream("noise"), firstSample: batch.first)
            let times = transport.drawTimes(
                batch.key.stream("time"), count: samples, firstSample: batch.first)
            let drops = try Tensor.uniform(
                [samples], batch.key.stream("label"), firstSample: batch.first
            ).values
            let null = model.configuration.classes
            let classes = zip(try labels(batch.indices), drops).map {
                $1 < labelDropout ? null : $0
            }
            return try flowLoss(
                model, transport, data: x, noise: noise, times: times, labels: classes, in: context)
        }
    }

    /// The transport's loss at given times and noise; its gradient is known in closed form.
    ///
    /// - data, noise: `[B, C, H, W]`; times, labels: one for each sample
    package static func flowLoss(
        _ model: DiT, _ transport: Transport, data: Tensor, noise: Tensor, times: [Float],
        labels: [Int], in context: Context
    ) throws(USPError) -> Loss {
        let noised = try transport.noised(data, times: times, noise: noise)
        let output = try model.forward(noised, t: times, y: labels, in: context)
        let losses = try transport.losses(output: output, data: data, noise: noise, times: times)
        return .seeded(value: losses.mean, output: output, gradient: losses.gradient)
    }
}
