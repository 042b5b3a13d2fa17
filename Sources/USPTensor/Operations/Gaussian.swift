// The diagonal Gaussian posterior of a variational autoencoder (Kingma and Welling 2014).

import CKernels
import USPBase

extension Context {
    /// y = x limited to `low ... high`; the gradient is zero outside.
    package func clamp(_ x: Tensor, _ low: Float, _ high: Float) throws(USPError) -> Tensor {
        let y = try Tensor(x.shape)
        uspi_clamp(x.floats, low, high, x.count, y.floats)
        tape?.record(y, inputs: [x]) { [tape] gradient throws(USPError) in
            guard let target = try tape?.target(for: x) else { return }
            uspi_clamp_backward(
                x.floats, gradient.floats, low, high, x.count, target.accumulates ? 1 : 0,
                target.tensor.floats)
        }
        return y
    }

    /// The log variance limited to −30 ... 20, as latent diffusion's autoencoder does.
    package func clampLogVariance(_ x: Tensor) throws(USPError) -> Tensor { try clamp(x, -30, 20) }

    /// z = mean + exp(logVariance/2)·noise, all of one shape, f32. No gradient flows to the noise.
    package func sampleGaussian(
        mean: Tensor, logVariance: Tensor, noise: Tensor
    ) throws(USPError) -> Tensor {
        try require(
            mean.count == logVariance.count && mean.count == noise.count, .shape,
            "sampleGaussian: mean \(mean.shape), log variance \(logVariance.shape), noise "
                + "\(noise.shape)")
        let z = try Tensor(mean.shape)
        uspi_gaussian_sample(mean.floats, logVariance.floats, noise.floats, z.count, z.floats)
        tape?.record(z, inputs: [mean, logVariance]) { [tape] gradient throws(USPError) in
            try tape?.pass(gradient, to: mean)
            guard let target = try tape?.target(for: logVariance) else { return }
            uspi_gaussian_sample_backward(
                gradient.floats, logVariance.floats, noise.floats, z.count,
                target.accumulates ? 1 : 0,
                target.tensor.floats)
        }
        return z
    }

    /// The divergence from the standard normal, Σ (mean² + variance − 1 − log variance)/2 over each
    /// sample's elements, averaged over the samples.
    ///
    /// - mean, logVariance: `[B, ..]`, f32
    /// - Returns: `[]`
    package func klDivergence(mean: Tensor, logVariance: Tensor) throws(USPError) -> Tensor {
        try require(
            mean.shape == logVariance.shape && mean.shape.rank > 0, .shape,
            "klDivergence: mean \(mean.shape), log variance \(logVariance.shape)")
        let batch = max(mean.shape[0], 1)
        let sum = uspi_gaussian_divergence(mean.floats, logVariance.floats, mean.count)
        let y = try Tensor.scalar(Float(sum / Double(batch)))
        tape?.record(y, inputs: [mean, logVariance]) { [tape] gradient throws(USPError) in
            let first = try tape?.target(for: mean)
            let second = try tape?.target(for: logVariance)
            uspi_gaussian_divergence_backward(
                gradient.floats[0] / Float(batch), mean.floats, logVariance.floats, mean.count,
                first?.accumulates == true ? 1 : 0, first?.tensor.floats,
                second?.accumulates == true ? 1 : 0, second?.tensor.floats)
        }
        return y
    }
}
