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

    let encoder: ViTEncoder
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
            configuration.transformer, parameters, resampling: configuration.positions,
            dropPath: configuration.dropPath)
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
    /// - images: `[B, C, H, W]`, f32; of another size than the model's the position table is
    ///   resampled
    package func tokens(
        _ images: Tensor, depth: Int? = nil, in context: Context
    ) throws(USPError) -> Tensor {
        try encoder.forward(images, depth: depth, recomputes: recomputes, in: context)
    }

    /// Tokens after the last norm, or before it: `[B, T, D]`, or `[B, leading + T, D]`.
    ///
    /// - Throws: `.unsupported` for normed tokens of a model that norms averages alone
    package func tokens(
        _ images: Tensor, normed: Bool, leading: Bool, in context: Context
    ) throws(USPError) -> Tensor {
        try require(
            !normed || !configuration.normsPooled, .unsupported,
            "tokens: this model norms averages (fc_norm), not tokens; ask for them without the norm, "
                + "or load the file with the pooling \"token\" if it has a norm of its own")
        var tokens = try tokens(images, in: context)
        if !leading && configuration.leading > 0 {
            tokens = try context.sliceTokens(tokens, configuration.leading..<tokens.shape[1])
        }
        return normed ? try norm.forward(tokens, in: context) : tokens
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
