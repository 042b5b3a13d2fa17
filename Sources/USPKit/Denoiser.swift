// What samplers and losses ask: a model of the library, or any function.

import USPBase
import USPDiffusion
import USPTensor

/// Predicts noise, velocity or whatever the process is about from noisy latents.
public struct Denoiser {
    /// - x: `[B, C, H, W]` f32, not to be kept
    /// - times: one a sample, on the model's scale (0 … 999 for DiT, 0 … 1 for SiT)
    /// - labels: one a sample; nil if the run has none
    /// - Returns: `[B, C, H, W]`, or `[B, 2C, H, W]` with variances
    public typealias Predict = (
        _ x: Tensor, _ times: [Float], _ labels: [Int]?
    ) throws(USPError) -> Tensor

    /// The exact derivative of the prediction along a probe.
    ///
    /// - probe: `[B, C, H, W]`
    /// - Returns: the prediction, and probeᵀ·∂(its first C channels)/∂x, `[B, C, H, W]`
    package typealias Derivative = (
        _ x: Tensor, _ times: [Float], _ labels: [Int]?, _ probe: Tensor
    ) throws(USPError) -> (output: Tensor, product: Tensor)

    package let predict: Predict
    /// The label that stands for no label, which guidance needs.
    public let nullClass: Int?
    /// Whether each prediction is made of a labelled and an unlabelled one.
    package let isGuided: Bool
    /// Whether twice the times and labels may be asked of the same latents.
    let repeatsLatents: Bool
    /// nil: likelihoods take differences.
    package let derivative: Derivative?

    public init(nullClass: Int? = nil, _ predict: @escaping Predict) {
        self.init(nullClass: nullClass, isGuided: false, predict)
    }

    init(
        nullClass: Int?, isGuided: Bool, repeatsLatents: Bool = false,
        derivative: Derivative? = nil, _ predict: @escaping Predict
    ) {
        self.predict = predict
        self.nullClass = nullClass
        self.isGuided = isGuided
        self.repeatsLatents = repeatsLatents
        self.derivative = derivative
    }

    /// The same, telling of every prediction.
    package func observed(_ call: @escaping () -> Void) -> Denoiser {
        let predict = predict
        var counted: Derivative?
        if let derivative {
            counted = { x, times, labels, probe throws(USPError) in
                call()
                return try derivative(x, times, labels, probe)
            }
        }
        return Denoiser(
            nullClass: nullClass, isGuided: isGuided, repeatsLatents: repeatsLatents,
            derivative: counted
        ) { x, times, labels throws(USPError) in
            call()
            return try predict(x, times, labels)
        }
    }

    /// The denoiser with its labels bound, as samplers take it.
    func bound(to labels: [Int]?, batch: Int) throws(USPError) -> USPDiffusion.Denoiser {
        if let labels {
            try require(
                labels.count == batch, .shape, "labels: \(labels.count), expected \(batch)")
        }
        let predict = predict
        return { x, times throws(USPError) in try predict(x, times, labels) }
    }

    /// Its derivative likewise, if it has one.
    func boundDerivative(to labels: [Int]?) -> USPDiffusion.DenoiserDerivative? {
        guard let derivative else { return nil }
        return { x, times, probe throws(USPError) in try derivative(x, times, labels, probe) }
    }
}
