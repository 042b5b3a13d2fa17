// Gradients of a model's own loss by name, with respect to a copy of its parameters.

import USPBase
import USPModels
import USPTensor
import USPTraining

/// A loss and the gradient of every trainable parameter, by name.
public struct LossGradients: Sendable {
    public let loss: Float
    public let gradients: Checkpoint
}

/// Gradients of a loss with respect to a copy of a model's parameters.
///
/// - trains: which of them get one
/// - Throws: `.notFinite` if the loss is, or naming the first gradient that is
/// - body: builds the model over the given parameters and returns the loss on the tape
func gradients(
    of weights: ModelWeights, _ arithmetic: Arithmetic,
    trains: (ParameterSpec) -> Bool = { _ in true },
    _ body: (Parameters, Context) throws(USPError) -> Loss
) throws(USPError) -> LossGradients {
    let parameters = try weights.parameters.copied()
    try parameters.makeTrainable(where: trains)
    let tape = Tape()
    defer { tape.forget() }
    let loss = try body(parameters, Context(arithmetic, tape: tape))
    let value = loss.value
    try require(value.isFinite, .notFinite, "the loss is \(value)")
    try loss.backward(tape)
    var result: [(name: String, tensor: Tensor)] = []
    for (position, spec) in parameters.specs.enumerated() {
        guard let gradient = parameters.gradient(position) else { continue }
        result.append((spec.name, gradient))
    }
    if let file = weights.file { result = try file.exported(result) }
    for (name, gradient) in result {
        try require(gradient.isFinite, .notFinite, "the gradient of \(name) is not finite")
    }
    return LossGradients(loss: value, gradients: try Checkpoint(result))
}

extension MaskedAutoencoder {
    /// The same loss with the gradient of every trainable parameter.
    public func gradients(
        _ images: Tensor, _ options: Options = Options()
    ) throws(USPError) -> LossGradients {
        let masking = try masking(batch: batch(images), options)
        let input = try input(images, options)
        return try USPKit.gradients(of: weights, arithmetic) {
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
        return try USPKit.gradients(of: weights, arithmetic) {
            parameters, context throws(USPError) in
            let output = try DiT(configuration, parameters)
                .forward(x, t: t, y: labels, in: context)
            return .scalar(try context.meanSquaredError(output, Tensor.zeros(output.shape)))
        }
    }
}
