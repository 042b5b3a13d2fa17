// One pass back through a model, from a gradient of its output that somebody else has: other
// frameworks' automatic differentiation.

import USPBase
import USPModels
import USPTensor

/// What a model is asked.
public struct ModelInputs {
    /// `[B, C, H, W]`
    public var x: Tensor
    /// `[B]`; of diffusion transformers.
    public var t: [Float]?
    /// `[B]`; of diffusion transformers, nil is the null class.
    public var y: [Int]?

    public init(_ x: Tensor, t: [Float]? = nil, y: [Int]? = nil) {
        (self.x, self.t, self.y) = (x, t, y)
    }
}

extension Model {
    /// The output that `backward` goes back from: a diffusion transformer's prediction, a
    /// classifier's logits, an autoencoder's reconstruction by its posterior's mean.
    public func output(_ inputs: ModelInputs) throws(USPError) -> Tensor {
        try output(inputs, parameters, in: Context(arithmetic))
    }

    /// Gradients of Σ output ⊙ gradient: of `x`, and of every trainable parameter, by name.
    ///
    /// - gradient: of the output's shape
    public func backward(
        _ inputs: ModelInputs, along gradient: Tensor
    ) throws(USPError) -> (x: Tensor, parameters: Checkpoint) {
        let x = inputs.x
        let leaf = Tensor(x.shape, x.dtype, storage: x.storage, byteOffset: x.byteOffset)
        let product = try Tensor.zeros(x.shape)
        leaf.node.setLeaf(gradient: product)
        var inputs = inputs
        inputs.x = leaf
        let result = try lossGradients(of: parameters, arithmetic) {
            parameters, context throws(USPError) in
            let output = try output(inputs, parameters, in: context)
            try expect(gradient, output.shape, "gradient")
            return .seeded(value: 0, output: output, gradient: gradient)
        }
        return (product, result.gradients)
    }

    private func output(
        _ inputs: ModelInputs, _ parameters: Parameters, in context: Context
    ) throws(USPError) -> Tensor {
        switch self {
        case let model as DiT:
            guard let times = inputs.t else { throw USPError(.argument, "t: is needed") }
            let network = try DiT(model.configuration, parameters, arithmetic)
            return try network.forward(
                inputs.x, t: times, y: model.labels(inputs.y, times.count), in: context)
        case let model as ViT:
            return try ViT(model.configuration, parameters, arithmetic)
                .logits(inputs.x, in: context)
        case let model as VAE:
            let network = try VAE(model.configuration, parameters, arithmetic)
            return try network.decode(network.encode(inputs.x, in: context), in: context)
        default: throw USPError(.unsupported, "a pass back through a \(family)")
        }
    }

    /// The same model with other values of its parameters.
    ///
    /// - values: every parameter by its name
    /// - Throws: `.missingWeight`, `.shape` naming what does not fit
    public func replacing(_ values: Checkpoint) throws(USPError) -> any Model {
        let replaced = try Parameters(parameters.specs)
        for (position, spec) in parameters.specs.enumerated() {
            let entry = try values.entry(spec.name)
            try require(
                entry.shape == spec.shape, .shape,
                "\(spec.name): \(entry.shape), expected \(spec.shape)")
            try replaced[position].copy(from: entry.tensor(as: .float32))
        }
        replaced.notes = notes
        let weights = ModelWeights(replaced, file: weights.file, loading: weights.loading)
        return try Family.named(family).make(configuration, weights, arithmetic)
    }
}
