// Semantic segmentation: a vision transformer's tokens as maps, and a head that gives each pixel a
// class.

import USPBase
import USPTensor

/// A segmentation network.
public final class Segmenter: Model, @unchecked Sendable {
    // SAFETY of @unchecked: all but `recomputes`, which who trains sets first, is only read.
    public static let families = [Family.segmenter]
    public let configuration: Configuration
    public let weights: ModelWeights
    public let arithmetic: Arithmetic
    /// In each block, instead of keeping it for the gradient.
    package var recomputes = Recomputation.nothing

    private let encoder: ViTEncoder
    private let head: Decoder

    private enum Decoder {
        case upernet(FeaturePyramid, UperNet, AuxiliaryHead?)
        /// With the norm of the tokens.
        case linear(NormLayer, LinearHead)
    }

    /// Class scores of channels-last maps.
    package struct Scores {
        /// `[B, h, w, K]`
        package let main: Tensor
        /// Of the auxiliary head, where it is there and was asked for.
        package let auxiliary: Tensor?
    }

    public init(
        _ configuration: Configuration, _ weights: ModelWeights, _ arithmetic: Arithmetic
    ) throws(USPError) {
        try configuration.check()
        let own = configuration.resolved
        (self.configuration, self.weights, self.arithmetic) = (own, weights, arithmetic)
        let parameters = weights.parameters
        encoder = try ViTEncoder(
            own.transformer, parameters, at: "backbone.", dropPath: own.dropPath)
        switch own.head {
        case .linear:
            let norm = try NormLayer(
                parameters, "backbone.norm", own.transformer.norm, epsilon: own.epsilon)
            head = .linear(norm, try LinearHead(parameters))
        case .upernet:
            head = .upernet(
                try FeaturePyramid(parameters), try UperNet(parameters),
                own.auxiliaryChannels > 0 ? try AuxiliaryHead(parameters) : nil)
        }
    }

    /// What the head reads of each image: `[B, h, w, D]` for each of the configuration's blocks.
    ///
    /// - images: `[B, C, H, W]`, f32, of any sides that are multiples of the patch where positions
    ///   are not relative
    package func maps(_ images: Tensor, in context: Context) throws(USPError) -> [Tensor] {
        let (tokens, grid) = try encoder.maps(
            images, after: configuration.outIndices, recomputes: recomputes, in: context)
        var result: [Tensor] = []
        for tokens in tokens {
            var tokens = tokens
            if case .linear(let norm, _) = head { tokens = try norm.forward(tokens, in: context) }
            result.append(
                try tokens.reshaped([images.shape[0], grid.height, grid.width, tokens.shape[2]]))
        }
        return result
    }

    /// - maps: as `maps(_:in:)` gives them
    /// - batchStatistics: batch norms use the batch and move their running statistics
    /// - auxiliary: whether the auxiliary head runs too
    package func scores(
        maps: [Tensor], batchStatistics: Bool = false, auxiliary: Bool = false,
        in context: Context
    ) throws(USPError) -> Scores {
        let rate = configuration.dropout
        func own(_ name: String) -> Context {
            context.with(random: context.random?.stream(name))
        }
        switch head {
        case .linear(_, let linear):
            return Scores(
                main: try linear.forward(
                    maps, batchStatistics: batchStatistics, dropout: rate, in: own("decode_head")),
                auxiliary: nil)
        case .upernet(let pyramid, let upernet, let second):
            let levels = try pyramid.forward(
                maps, batchStatistics: batchStatistics, in: context)
            let main = try upernet.forward(
                levels, batchStatistics: batchStatistics, dropout: rate, in: own("decode_head"))
            let other =
                try auxiliary
                ? second.map { head throws(USPError) in
                    try head.forward(
                        levels[2], batchStatistics: batchStatistics, dropout: rate,
                        in: own("auxiliary_head"))
                } : nil
            return Scores(main: main, auxiliary: other)
        }
    }
}
