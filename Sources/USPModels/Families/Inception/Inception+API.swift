// What people ask of the Inception network.

import USPBase
import USPFiles
import USPTensor

extension Inception {
    /// It has no sizes: published scores are of this one network.
    public struct Configuration: ModelConfiguration {
        public static let title = "Inception"
        public static let fields: [Field<Configuration>] = []
        public var family: String { "Inception" }

        public init() {}
        public func specs() throws(USPError) -> [ParameterSpec] { try Inception.specs() }
        public func checkTogether() throws(USPError) {}
    }

    /// `[B, H, W, 3]`, bytes: the one family whose images are channels-last.
    public func inputShape(batch: Int) -> Shape { [batch, 0, 0, 3] }

    /// Widths of what `features` gives: 2048, 2023 and 1008.
    public static let widths = (
        pool: Inception.poolFeatures, spatial: Inception.spatialFeatures,
        logits: Inception.outputs
    )

    public var inputType: DType { .uint8 }

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
        try features(images, input: InceptionInput.named(preprocessing), in: Context(arithmetic))
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

extension Family {
    static let inception = Family(
        "Inception", Inception.self, .inception, stream: "inception",
        infer: { file, _ throws(USPError) in
            if let shape = file.source("fc.weight")?.shape, shape.rank == 2,
                shape[0] != Inception.outputs
            {
                throw USPError(
                    .unsupported,
                    "\(file.path): an Inception with \(shape[0]) outputs; \(Inception.whichOne)")
            }
            return Inception.Configuration()
        })
}
