// A vision transformer for classification and features, in timm's names.

import USPBase
import USPTensor

package struct VisionTransformerConfiguration: Sendable, Equatable {
    /// What of the tokens becomes the feature.
    package enum Pool: String, Sendable, CaseIterable {
        /// The class token after `norm`.
        case token
        /// The mean of the patches' tokens, then `fc_norm`.
        case average
    }

    /// What follows the feature.
    package enum Head: String, Sendable, CaseIterable {
        case none
        /// `head.weight`, `head.bias`.
        case linear
        /// Batch norm without γ and β (`head.0`), then linear (`head.1`): MAE's linear probe.
        case probe
    }

    package var encoder: ViTConfiguration
    package var pool: Pool
    package var head: Head
    /// Classes of the head.
    package var classes: Int
    /// Rate of the last block's drop path; it grows linearly from 0.
    package var dropPath: Float
    /// Deviation of the head's truncated normal start: 2e-5 to fine-tune, 0.01 to probe.
    package var headDeviation: Float

    package init(
        encoder: ViTConfiguration, pool: Pool, head: Head, classes: Int, dropPath: Float = 0,
        headDeviation: Float = 2e-5
    ) {
        (self.encoder, self.pool, self.head, self.classes) = (encoder, pool, head, classes)
        (self.dropPath, self.headDeviation) = (dropPath, headDeviation)
    }

    /// Throws `.argument` for sizes that no model has.
    package func check() throws(USPError) {
        try encoder.check()
        try require(
            pool == .average || encoder.classToken, .argument,
            "pooling the class token of a model that has none")
        try require(
            dropPath >= 0 && dropPath < 1, .argument, "drop path \(dropPath), expected 0 ..< 1")
        if head != .none { try checkSizes([("classes", classes)]) }
    }
}

package final class VisionTransformer {
    package let configuration: VisionTransformerConfiguration
    package let parameters: Parameters
    /// In each block, instead of keeping it for the gradient.
    package var recomputes = Recomputation.nothing

    private let encoder: ViTEncoder
    private let norm: NormLayer
    private let head: LinearLayer?
    private let statistics: (mean: Tensor, variance: Tensor)?

    /// - parameters: with the names of `specs(configuration)`
    /// - Throws: `.missingWeight`, `.argument`
    package init(
        _ configuration: VisionTransformerConfiguration, _ parameters: Parameters
    ) throws(USPError) {
        try configuration.check()
        self.configuration = configuration
        self.parameters = parameters
        encoder = try ViTEncoder(
            configuration.encoder, parameters, dropPath: configuration.dropPath)
        norm = try NormLayer(
            parameters, configuration.pool == .token ? "norm" : "fc_norm",
            epsilon: configuration.encoder.epsilon)
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

    /// Fresh parameters from a key.
    package convenience init(
        _ configuration: VisionTransformerConfiguration, key: RandomKey
    ) throws(USPError) {
        let parameters = try Parameters(try Self.specs(configuration))
        parameters.initialize(key)
        try self.init(configuration, parameters)
    }

    /// The parameter table: timm's names, shapes and initialisation.
    /// - Throws: `.argument` for sizes that no model has
    package static func specs(
        _ configuration: VisionTransformerConfiguration
    ) throws(USPError) -> [ParameterSpec] {
        try configuration.check()
        let encoder = configuration.encoder
        let width = encoder.width
        var specs: [ParameterSpec] = []
        if encoder.classToken {
            specs.append(ParameterSpec("cls_token", [1, 1, width], .normal(deviation: 1e-6)))
        }
        specs.append(
            ParameterSpec(
                "pos_embed", [1, encoder.leadingPositions + encoder.tokens, width],
                .truncatedNormal(deviation: 0.02)))
        specs += PatchEmbedding.specs(
            "patch_embed", width: width, channels: encoder.channels, patch: encoder.patch,
            xavier: false)
        let block = encoder.block(.truncatedNormal(0.02))
        for index in 0..<encoder.depth { specs += block.specs("blocks.\(index)") }
        specs += NormLayer.specs(configuration.pool == .token ? "norm" : "fc_norm", width: width)
        let start = LinearStart.truncatedNormal(configuration.headDeviation)
        switch configuration.head {
        case .none: break
        case .linear:
            specs += LinearLayer.specs(
                "head", inputs: width, outputs: configuration.classes, start)
        case .probe:
            specs.append(
                ParameterSpec("head.0.running_mean", [width], .zeros, isTrainable: false))
            specs.append(ParameterSpec("head.0.running_var", [width], .ones, isTrainable: false))
            specs += LinearLayer.specs(
                "head.1", inputs: width, outputs: configuration.classes, start)
        }
        return specs
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
        let pooled =
            configuration.pool == .token
            ? try context.tokenAt(tokens, 0)
            : try context.meanTokens(tokens, from: configuration.encoder.leading)
        return try norm.forward(pooled, in: context)
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
            x = try context.batchNorm1d(
                x, runningMean: statistics.mean, runningVariance: statistics.variance,
                epsilon: 1e-6, training: trainsStatistics)
        }
        return try head.forward(x, in: context)
    }
}
