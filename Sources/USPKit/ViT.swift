// The vision transformer as a classifier and feature extractor.

import USPBase
import USPModels
import USPTensor

/// A classifier: an encoder, a pooling, a head.
public final class ViT: Model, @unchecked Sendable {
    // SAFETY of @unchecked: the network and its parameters are only read once it is made.
    public struct Configuration: Sendable, Equatable {
        public var encoder = EncoderConfiguration()
        /// `token` (after `norm`), or `avg` of the patches (then `fc_norm`).
        public var pool = "token"
        /// `linear`; `probe` has a batch norm before it; `none`.
        public var head = "linear"
        public var classes = 1000

        public init() {}
    }

    package let network: VisionTransformer
    public let weights: ModelWeights
    package let arithmetic: Arithmetic
    public var family: String { "ViT" }

    package init(_ network: VisionTransformer, _ weights: ModelWeights, _ arithmetic: Arithmetic) {
        self.network = network
        self.weights = weights
        self.arithmetic = arithmetic
    }

    /// Fresh parameters from a seed.
    public convenience init(_ configuration: Configuration, seed: UInt64 = 0) throws(USPError) {
        let network = try VisionTransformer(
            VisionTransformerConfiguration(configuration), key: RandomKey(seed: seed).stream("vit"))
        self.init(network, ModelWeights(network.parameters), Arithmetic())
    }

    public var configuration: Configuration { Configuration(network.configuration) }

    public var metadata: [(key: String, value: String)] {
        [
            ("usp.family", "ViT"), ("usp.heads", "\(network.configuration.encoder.heads)"),
            ("usp.grid", "\(network.configuration.encoder.grid)"),
        ]
    }

    public func inputShape(batch: Int) -> Shape { network.configuration.encoder.imageShape(batch) }
    /// Width of a feature, D.
    public var width: Int { network.configuration.encoder.width }
    /// Classes of the head; 0 without one.
    public var classes: Int { configuration.classes }

    /// Pooled and normed features of `[B, C, H, W]`: `[B, D]`.
    public func features(_ images: Tensor) throws(USPError) -> Tensor {
        try network.features(images, in: Context(arithmetic))
    }

    /// Class scores of `[B, C, H, W]`: `[B, K]`.
    public func logits(_ images: Tensor) throws(USPError) -> Tensor {
        try network.logits(images, in: Context(arithmetic))
    }

    /// Class scores of features `[B, D]`: `[B, K]`.
    public func logits(features: Tensor) throws(USPError) -> Tensor {
        try expect(features, [features.shape.rank > 0 ? features.shape[0] : 0, width], "features")
        return try network.logits(features: features, in: Context(arithmetic))
    }
}

extension ViT.Configuration {
    init(_ sizes: VisionTransformerConfiguration) {
        encoder = EncoderConfiguration(sizes.encoder)
        pool = sizes.pool == .token ? "token" : "avg"
        head = sizes.head.rawValue
        classes = sizes.head == .none ? 0 : sizes.classes
    }
}

extension VisionTransformerConfiguration {
    /// - Throws: for unknown names, with the known ones.
    init(_ wanted: ViT.Configuration) throws(USPError) {
        guard let head = Head(rawValue: wanted.head) else {
            throw unknownName(wanted.head, what: "head", known: Head.allCases.map(\.rawValue))
        }
        self.init(
            encoder: wanted.encoder.network, pool: try Self.pool(wanted.pool), head: head,
            classes: wanted.classes)
    }

    /// The pooling of this name.
    static func pool(_ name: String) throws(USPError) -> Pool {
        switch name {
        case "token", "cls": .token
        case "avg", "average": .average
        default: throw unknownName(name, what: "pool", known: ["token", "avg"])
        }
    }
}
