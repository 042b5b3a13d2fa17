// What all models have in common: a configuration, parameters by name, and a way into a file.

import USPBase
import USPFiles
import USPTensor

/// A model: a configuration and its parameters. Immutable once made: any thread, many at once.
public protocol Model: AnyObject, Sendable {
    associatedtype Configuration: ModelConfiguration
    /// The rows of `Family.all` that models of this class belong to.
    static var families: [Family] { get }
    var configuration: Configuration { get }
    /// Its parameters and statistics by name; they are only read.
    var weights: ModelWeights { get }
    /// How its products are computed.
    var arithmetic: Arithmetic { get }
    /// `[B, C, H, W]` that it takes; zeros for extents that are free.
    func inputShape(batch: Int) -> Shape
    /// The element type of what it takes.
    var inputType: DType { get }
    /// - Throws: `.argument` for impossible sizes, `.missingWeight` or `.shape` for weights that
    ///   are not those of the configuration
    init(
        _ configuration: Configuration, _ weights: ModelWeights, _ arithmetic: Arithmetic
    ) throws(USPError)
}

extension Model {
    public var inputType: DType { .float32 }
    /// The name of its family, such as `SiT`.
    public var family: String { configuration.family }
    package var parameters: Parameters { weights.parameters }

    /// - parameters: with the names of the configuration's table
    package init(
        _ configuration: Configuration, _ parameters: Parameters,
        _ arithmetic: Arithmetic = Arithmetic()
    ) throws(USPError) {
        try self.init(configuration, ModelWeights(parameters), arithmetic)
    }

    /// Fresh parameters from a key.
    package init(_ configuration: Configuration, key: RandomKey) throws(USPError) {
        let parameters = try Parameters(try configuration.specs())
        parameters.initialize(key)
        try self.init(configuration, parameters)
    }

    /// Fresh parameters from a seed.
    ///
    /// - Throws: naming the size that cannot be.
    public init(
        _ configuration: Configuration = Configuration(), seed: UInt64 = 0
    ) throws(USPError) {
        let stream = try Family.named(configuration.family).stream
        try self.init(configuration, key: RandomKey(seed: seed).stream(stream))
    }

    /// - Throws: `.io` if its parameters lie in a large file that others have written to or cut short
    ///   since; what it computes from then on is undefined
    public func expectFilesUnchanged() throws(USPError) { try parameters.expectUnchanged() }

    /// What its file keeps beside the parameters.
    public var metadata: [(key: String, value: String)] {
        let untold = weights.loading?.lacksStatistics == true ? ["scale"] : []
        return configuration.metadata(untold: untold) + notes.metadata
    }

    /// What it was trained on.
    public var notes: ModelNotes { parameters.notes }
    /// What two models of the same names and values have in common: eight hexadecimal digits.
    public var fingerprint: String { parameters.fingerprint }

    /// A checkpoint over the same memory, in the family's own names, with what shapes do not tell.
    public func checkpoint() throws(USPError) -> Checkpoint {
        try parameters.expectUnchanged()
        let arrays = try Checkpoint(parameters.named)
        return try Checkpoint(entries: arrays.table.entries, metadata: metadata)
    }

    /// Writes the parameters to a file that loads as the same model.
    ///
    /// - Throws: `.unsupported` for a format that has no place for what shapes do not tell, naming
    ///   it
    public func save(
        _ path: String, _ options: Checkpoint.SaveOptions = Checkpoint.SaveOptions()
    ) throws(USPError) {
        try checkpoint().save(path, options)
        try parameters.expectUnchanged()
    }
}

/// Parameters by name, in the names of the model's own family.
public struct ModelWeights: @unchecked Sendable {
    // SAFETY of @unchecked: parameters of a finished model are only read.
    package let parameters: Parameters
    /// The names in the file that they came from.
    package let file: FileNames?
    /// How they were loaded; nil for a model that was made.
    package let loading: LoadReport?

    package init(_ parameters: Parameters, file: FileNames? = nil, loading: LoadReport? = nil) {
        (self.parameters, self.file, self.loading) = (parameters, file, loading)
    }

    /// What was loaded, renamed, ignored and started; empty for a model that was made.
    public var report: String { loading?.text ?? "" }
    /// The same for programs.
    public var reportJSON: String { loading?.json.indented ?? "{}" }

    /// What who loaded it has to know, a sentence each: which weights were chosen, what was assumed,
    /// not applied, or does not fit.
    public var notes: [String] { loading?.notes ?? [] }

    public var names: [String] { parameters.specs.map(\.name) }

    /// Number of values.
    public var count: Int { parameters.count }

    /// The parameter of this name, read-only.
    public subscript(name: String) -> Tensor {
        get throws(USPError) { try parameters.tensor(name) }
    }
}

/// A new model by its published name, or by its family's with the family's defaults.
///
/// - name: such as `SiT-B/2`, `kl-f8` or `MAE`
/// - sizes: what differs, as text: `classes=10 grid=16x16`
/// - Throws: `.argument` for unknown names, with the nearest known one, and for sizes that no model
///   has
public func createModel(
    _ name: String, _ sizes: String = "", seed: UInt64 = 0
) throws(USPError) -> any Model {
    var configuration = try Family.configuration(named: name)
    try configuration.apply(sizes)
    return try makeModel(configuration, seed: seed)
}

/// A new model of any family's configuration.
package func makeModel(
    _ configuration: any ModelConfiguration, seed: UInt64 = 0
) throws(USPError) -> any Model {
    let family = try Family.named(configuration.family)
    let parameters = try Parameters(configuration.specs())
    parameters.initialize(RandomKey(seed: seed).stream(family.stream))
    return try family.make(configuration, ModelWeights(parameters), Arithmetic())
}
