// A vision transformer for classification and features, in timm's names.

import USPBase
import USPTensor

/// A classifier: an encoder, a pooling, a head.
public final class ViT: Model, @unchecked Sendable {
    // SAFETY of @unchecked: all but `recomputes`, which who trains sets first, is only read.
    public static let families = [Family.vit]
    public let configuration: Configuration
    public let weights: ModelWeights
    public let arithmetic: Arithmetic
    /// In each block, instead of keeping it for the gradient.
    package var recomputes = Recomputation.nothing

    private let encoder: ViTEncoder
    private let norm: NormLayer
    private let head: LinearLayer?
    private let statistics: (mean: Tensor, variance: Tensor)?

    public init(
        _ configuration: Configuration, _ weights: ModelWeights, _ arithmetic: Arithmetic
    ) throws(USPError) {
        try configuration.check()
        var own = configuration
        if own.head == .none { own.classes = 0 }
        (self.configuration, self.weights, self.arithmetic) = (own, weights, arithmetic)
        let parameters = weights.parameters
        encoder = try ViTEncoder(
            configuration.transformer, parameters, dropPath: configuration.dropPath)
        norm = try NormLayer(
            parameters, configuration.norm, configuration.transformer.norm,
            epsilon: configuration.epsilon)
        switch configuration.head {
        case .none: (head, statistics) = (nil, nil)
        case .linear: (head, statistics) = (try LinearLayer(parameters, "head"), nil)
        case .probe:
            head = try LinearLayer(parameters, "head.1")
            statistics = (
                try parameters.tensor("head.0.running_mean"),
                try parameters.tensor("head.0.running_var")
            )
        }
    }

    /// Tokens after the first `depth` blocks (all by default), before any norm:
    /// `[B, leading + T, D]`.
    ///
    /// - images: `[B, C, H, W]`, f32
    package func tokens(
        _ images: Tensor, depth: Int? = nil, in context: Context
    ) throws(USPError) -> Tensor {
        try encoder.forward(images, depth: depth, recomputes: recomputes, in: context)
    }

    /// The pooled and normed feature of each image: `[B, D]`.
    package func features(_ images: Tensor, in context: Context) throws(USPError) -> Tensor {
        let tokens = try tokens(images, in: context)
        // A norm of each token commutes with taking one, not with averaging them.
        if configuration.pool == .token {
            return try norm.forward(context.tokenAt(tokens, 0), in: context)
        }
        guard configuration.normsPooled else {
            return try context.meanTokens(
                norm.forward(tokens, in: context), from: configuration.leading)
        }
        return try norm.forward(
            context.meanTokens(tokens, from: configuration.leading), in: context)
    }

    /// Class scores `[B, classes]`.
    ///
    /// - trainsStatistics: a probe's batch norm uses the batch and moves its running statistics
    /// - Throws: `.unsupported` without a head
    package func logits(
        _ images: Tensor, trainsStatistics: Bool = false, in context: Context
    ) throws(USPError) -> Tensor {
        try logits(
            features: try features(images, in: context), trainsStatistics: trainsStatistics,
            in: context)
    }

    /// Class scores `[B, classes]` of features `[B, D]`.
    package func logits(
        features: Tensor, trainsStatistics: Bool = false, in context: Context
    ) throws(USPError) -> Tensor {
        guard let head else { throw USPError(.unsupported, "this vision transformer has no head") }
        var x = features
        if let statistics {
            x = try context.batchNorm(
                x,
                BatchNorm(
                    runningMean: statistics.mean, runningVariance: statistics.variance,
                    epsilon: 1e-6),
                training: trainsStatistics)
        }
        return try head.forward(x, in: context)
    }
}
