// What is minimised, and its gradient.

import USPBase
import USPModels
import USPTensor

/// What a task returns for one part of a batch.
package enum Loss {
    /// A scalar on the tape.
    case scalar(Tensor)
    /// A value whose gradient with respect to `output` is known in closed form.
    case seeded(value: Float, output: Tensor, gradient: Tensor)

    package var value: Float {
        switch self {
        case .scalar(let tensor): tensor.floats[0]
        case .seeded(let value, _, _): value
        }
    }

    package func backward(_ tape: Tape) throws(USPError) {
        switch self {
        case .scalar(let tensor): try tape.backward(from: tensor)
        case .seeded(_, let output, let gradient):
            try tape.backward(from: output, gradient: gradient)
        }
    }
}

/// A loss and the gradient of every trainable parameter, by name.
public struct LossGradients: Sendable {
    public let loss: Float
    public let gradients: Checkpoint
}

/// The gradients of a loss with respect to a copy of parameters.
///
/// - file: names of the file that they came from, which the gradients then have
/// - own: how many of the parameters are a model's; those behind keep their names
/// - trains: which of them get a gradient
/// - body: builds the model over the given parameters and returns the loss on the tape
/// - Throws: `.notFinite` if the loss is, or naming the first gradient that is
package func lossGradients(
    of parameters: Parameters, _ arithmetic: Arithmetic, file: FileNames? = nil, own: Int? = nil,
    trains: (ParameterSpec) -> Bool = { _ in true },
    _ body: (Parameters, Context) throws(USPError) -> Loss
) throws(USPError) -> LossGradients {
    let parameters = try parameters.copied()
    try parameters.makeTrainable(where: trains)
    let tape = Tape()
    defer { tape.forget() }
    let loss = try body(parameters, Context(arithmetic, tape: tape))
    let value = loss.value
    try require(value.isFinite, .notFinite, "the loss is \(value)")
    try loss.backward(tape)
    var (models, others): ([(name: String, tensor: Tensor)], [(name: String, tensor: Tensor)])
    (models, others) = ([], [])
    for (position, spec) in parameters.specs.enumerated() {
        guard let gradient = parameters.gradient(position) else { continue }
        if position < own ?? parameters.specs.count {
            models.append((spec.name, gradient))
        } else {
            others.append((spec.name, gradient))
        }
    }
    if let file { models = try file.exported(models) }
    for (name, gradient) in models + others {
        try require(gradient.isFinite, .notFinite, "the gradient of \(name) is not finite")
    }
    return LossGradients(loss: value, gradients: try Checkpoint(models + others))
}
