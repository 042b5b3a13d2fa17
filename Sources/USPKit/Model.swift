// What all models have in common: a family, parameters by name, and a way into a file.

import USPBase
import USPFiles
import USPModels
import USPTensor
import USPTraining

/// A model: a configuration and its parameters. Immutable once made: any thread, many at once.
public protocol Model: AnyObject, Sendable {
    /// `VAE`, `MAE`, `ViT`, `DiT`, `SiT` or `Inception`.
    var family: String { get }
    /// Its parameters and statistics by name; they are only read.
    var weights: ModelWeights { get }
    /// What its file keeps beside the parameters.
    var metadata: [(key: String, value: String)] { get }
    /// `[B, C, H, W]` that it takes; zeros for extents that are free.
    func inputShape(batch: Int) -> Shape
    /// Loads one; `load(_ path:)` and `load(_ checkpoint:)` are what people call.
    static func load(_ source: ModelSource) throws(USPError) -> Self
}

/// Parameters by name, in the names of the model's own family.
public struct ModelWeights: @unchecked Sendable {
    // SAFETY of @unchecked: parameters of a finished model are only read.
    package let parameters: Parameters
    /// The names in the file that they came from.
    package let file: FileNames?
    /// What was loaded, renamed, ignored and started; empty for a model that was made.
    public let report: String
    /// The same for programs.
    public let reportJSON: String

    package init(
        _ parameters: Parameters, file: FileNames? = nil, report: String = "",
        reportJSON: String = "{}"
    ) {
        self.parameters = parameters
        self.file = file
        self.report = report
        self.reportJSON = reportJSON
    }

    public var names: [String] { parameters.specs.map(\.name) }

    /// Number of values.
    public var count: Int { parameters.count }

    /// The parameter of this name, read-only.
    public subscript(name: String) -> Tensor {
        get throws(USPError) { try parameters.tensor(name) }
    }

}

extension Model {
    /// A checkpoint over the same memory, in the family's own names, with what shapes do not tell.
    public func checkpoint() throws(USPError) -> Checkpoint {
        let arrays = try Checkpoint(weights.parameters.named)
        return try Checkpoint(entries: arrays.table.entries, metadata: metadata)
    }

    /// Writes the parameters to a file that loads as the same model.
    public func save(
        _ path: String, _ options: Checkpoint.SaveOptions = Checkpoint.SaveOptions()
    ) throws(USPError) {
        try checkpoint().save(path, options)
    }
}

/// How a model is loaded and computes; what has no part in a family is refused. The defaults infer
/// everything that a file tells.
public struct LoadOptions: Sendable {
    /// Of attention; nil takes the published number for the width.
    public var heads: Int?
    public var decoderHeads: Int?
    /// Rows and columns of patches, where the file does not tell: positions that are no square, or
    /// none. 16 of a ViT are read as 4x4 and none for the class token, even if they are 5x3 and
    /// one; files that this library wrote tell.
    public var grid: (height: Int, width: Int)?
    /// `VAE`, `MAE`, `ViT`, `DiT`, `SiT` or `Inception`; nil goes by names and shapes.
    public var family: String?
    /// Nested table of the file; nil goes by the family.
    public var table: String?
    /// Type of the products' inputs: f32, or bf16 with f32 sums, norms and softmax.
    public var compute = DType.float32
    /// Plain sums everywhere. Else large f32 products and 3x3 convolutions take fewer
    /// multiplications (Strassen's and Winograd's methods), with about twice the rounding.
    public var exact = false
    /// Of a classifier: `token` or `avg`; nil goes by the file.
    public var pool: String?
    /// Of an autoencoder: latents are (z − shift)·scale; nil takes the layout's own.
    public var scale: [Float]?
    public var shift: [Float]?

    public init() {}

    var arithmetic: Arithmetic { Arithmetic(compute: compute, exact: exact) }

    /// - Throws: `.argument` for an option that has no part in a model of this family
    func check(for family: String) throws(USPError) {
        let transformers = ["MAE", "ViT", "DiT", "SiT"]
        try expectPart(
            in: family,
            [
                ("heads", heads != nil, transformers),
                ("decoder heads", decoderHeads != nil, ["MAE"]),
                ("grid", grid != nil, transformers), ("pool", pool != nil, ["ViT"]),
                ("scale", scale != nil, ["VAE"]), ("shift", shift != nil, ["VAE"]),
            ])
    }
}

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
