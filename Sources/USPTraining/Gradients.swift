// Gradients of a model's own loss by name, with respect to a copy of its parameters.

import USPBase
import USPModels
import USPTensor

extension MaskedAutoencoder {
    /// The same loss with the gradient of every trainable parameter.
    public func gradients(
        _ images: Tensor, _ options: Options = Options()
    ) throws(USPError) -> LossGradients {
        let masking = try masking(batch: batch(images), options)
        let input = try input(images, options)
        return try lossGradients(of: parameters, arithmetic, file: weights.file) {
            parameters, context throws(USPError) in
            let copy = try MaskedAutoencoder(configuration, parameters)
            let output = try copy.forward(
                input, masking: masking, target: options.target ?? images,
                normalisation: options.normalisation, in: context)
            return .scalar(output.loss)
        }
    }
}

extension DiT {
    /// Mean of the squared output, with the gradient of every trainable parameter.
    public func gradients(_ x: Tensor, t: [Float], y: [Int]?) throws(USPError) -> LossGradients {
        let labels = try labels(y, t.count)
        return try lossGradients(of: parameters, arithmetic, file: weights.file) {
            parameters, context throws(USPError) in
            let output = try DiT(configuration, parameters)
                .forward(x, t: t, y: labels, in: context)
            return .scalar(try context.meanSquaredError(output, Tensor.zeros(output.shape)))
        }
    }
}

extension Segmenter {
    /// The loss on labelled images and the gradient of every trainable parameter; the model stays
    /// as it is.
    ///
    /// - images: `[B, C, H, W]` of the model's grid
    /// - labels: `[B, H', W']` of any size, u8 or i64
    /// - Throws: `.argument` for a label that is neither a class nor the ignored one, and for one
    ///   image with batch statistics
    public func gradients(
        _ images: Tensor, labels: Tensor, _ options: Options = Options()
    ) throws(USPError) -> LossGradients {
        try lossGradients(of: parameters, arithmetic, file: weights.file) {
            parameters, context throws(USPError) in
            let copy = try Segmenter(configuration, parameters, arithmetic)
            return .scalar(
                try copy.loss(
                    maps: copy.maps(images, in: context), labels: labels, options, in: context))
        }
    }
}
