// The Inception network that published scores of generated images are measured with.

import USPBase
import USPModels
import USPTensor

/// TensorFlow's Inception of 2015-12-05 with 1008 outputs; FID, sFID, inception score, precision and
/// recall are made of its features.
public final class Inception: Model {
    package let network: USPModels.Inception
    public let weights: ModelWeights
    package let arithmetic: Arithmetic
    public var family: String { "Inception" }

    package init(
        _ network: USPModels.Inception, _ weights: ModelWeights, _ arithmetic: Arithmetic
    ) {
        self.network = network
        self.weights = weights
        self.arithmetic = arithmetic
    }

    /// Fresh parameters from a seed, for tests: published numbers need published weights.
    public convenience init(seed: UInt64) throws(USPError) {
        let network = try USPModels.Inception(key: RandomKey(seed: seed).stream("inception"))
        self.init(network, ModelWeights(network.parameters), Arithmetic())
    }

    public var metadata: [(key: String, value: String)] { [("usp.family", "Inception")] }

    /// `[B, H, W, 3]`, bytes: the one family whose images are channels-last.
    public func inputShape(batch: Int) -> Shape { [batch, 0, 0, 3] }

    /// Widths of what `features` gives: 2048, 2023 and 1008.
    public static let widths = (
        pool: USPModels.Inception.features, spatial: USPModels.Inception.spatialFeatures,
        logits: USPModels.Inception.outputs
    )

    /// What scores are made of, f32, a row an image.
    public struct Features {
        /// `[B, 2048]`: FID, precision and recall.
        public let pool: Tensor
        /// `[B, 2023]`: sFID.
        public let spatial: Tensor
        /// `[B, 1008]`, without the last layer's bias: the inception score.
        public let logits: Tensor
    }

    /// How features are computed.
    public struct Options: Sendable {
        /// `tensorflow` resizes to 299x299 as TensorFlow 1 does; `pytorch-fid` as that package.
        public var preprocessing = "tensorflow"

        public init() {}
    }

    /// Throws with the known names, unless it is one.
    package static func checkPreprocessing(_ name: String) throws(USPError) {
        _ = try InceptionInput.named(name)
    }

    /// Features of RGB images `[B, H, W, 3]`, u8, of any size.
    ///
    /// - preprocessing: `tensorflow` resizes to 299x299 as TensorFlow 1 does, as ADM's evaluator
    ///   and torch-fidelity; `pytorch-fid` as that package, whose numbers differ a little
    public func features(
        _ images: Tensor, preprocessing: String = "tensorflow"
    ) throws(USPError) -> Features {
        let found = try network.features(
            images, input: InceptionInput.named(preprocessing), in: Context(arithmetic))
        return Features(pool: found.pool, spatial: found.spatial, logits: found.logits)
    }
}

extension Inception {
    public static func load(_ source: ModelSource) throws(USPError) -> Inception {
        try source.options.check(for: "Inception")
        let loaded = try USPModels.Inception.load(source.archive, source.loading)
        let weights = try source.weights(loaded.model.parameters, loaded.report, .inception)
        return Inception(loaded.model, weights, source.options.arithmetic)
    }
}

extension Inception.Options: Described {
    public static let title = "inception"
    public static let fields: [Field<Inception.Options>] = [
        .choice(
            "preprocessing", \.preprocessing, of: InceptionInput.self,
            "tensorflow: TensorFlow 1's bilinear resizing to 299x299 and (x - 128) / 128, as ADM's "
                + "evaluator, TTUR and torch-fidelity; pytorch-fid: half-pixel resizing and "
                + "x / 127.5 - 1, the numbers of that package, which differ a little.")
    ]
}
