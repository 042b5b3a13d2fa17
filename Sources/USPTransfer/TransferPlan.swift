// A transfer as data: for every tensor of the target where it comes from and what happens on the
// way; for every tensor of the source where it went, or why it stayed. Nothing is read to make one.

import USPBase
import USPFiles
import USPModels
import USPTensor

/// How a tensor of the target is made.
package enum TransferOperation: Sendable, Equatable {
    /// The source's values.
    case copy
    /// The position table: rows in front dropped or added (as zeros), the grid resampled.
    case positions(PositionChange)
    /// A learned table: fresh rows, then the source's grid, resampled.
    case learnedPositions(PositionChange)
    /// The source's values in another shape.
    case reshape
    /// The patch embedding's kernel for another patch or other channels.
    case patches(PatchChange)
    /// A last layer's rows, channel fastest, for another number of channels: more are zeros.
    case outputs(before: Int, after: Int)
    /// By the family's rule, from the seed and the tensor's name.
    case initialize
    /// adaLN's projection biases, zero but for the gates.
    case gates(Float)
    /// A norm with the shift and scale that a fixed time and label give to a half of a block.
    case modulatedNorm(block: Int, half: Int, isBias: Bool)
    /// Rows multiplied by the gate of a fixed time and label.
    case gatedRows(block: Int, half: Int)
}

/// What happens to a tensor's values after its operation.
package enum TransferStep: Sendable, Equatable {
    /// The mean over the width D is taken away: of rows (`[D, ..]`), or of each row (`[.., D]`).
    case centre(isRows: Bool)
    /// Each column times γ of this norm.
    case scaleColumns(norm: String)
    /// A bias plus the product of its weight and β of this norm.
    case addShift(weight: String, norm: String)
    /// A modulation's shifts become (shift + β·scale)/γ of the norms of both halves of this block.
    case foldShifts(block: Int)
}

package struct PositionChange: Sendable, Equatable {
    package let from: Grid
    package let to: Grid
    /// Rows in front of the grid, before and after.
    package let leadingBefore: Int
    package let leadingAfter: Int
}

package struct PatchChange: Sendable, Equatable {
    package let patchBefore: Int
    package let patchAfter: Int
    package let channelsBefore: Int
    package let channelsAfter: Int
}

/// One tensor of the target.
public struct TransferEntry: Sendable {
    public let name: String
    public let shape: Shape
    package let operation: TransferOperation
    package let steps: [TransferStep]
    /// The source's names; empty for fresh tensors.
    public let sources: [String]
    /// What happens on the way, such as `copied`, `initialised zeros`, or
    /// `class row dropped, resampled bicubically 14x14 -> 16x16`.
    public let what: String
    /// For `.initialize` and `.gates`.
    let initializer: Initializer
    /// Our name of the source's tensor.
    let sourceName: String

    /// The same under the name that it has where the encoder is a part of the target.
    func named(_ name: String) -> TransferEntry {
        let isRenamed = name != self.name && what.hasPrefix("copied")
        return TransferEntry(
            name: name, shape: shape, operation: operation, steps: steps, sources: sources,
            what: isRenamed ? "renamed" + what.dropFirst("copied".count) : what,
            initializer: initializer, sourceName: sourceName)
    }

    /// Whether its values come from pretraining.
    public var isTransferred: Bool { !sources.isEmpty }
}

/// A plan that says for every tensor of a target where it comes from and what happens on the way,
/// and for every tensor of the source where it went or why it stayed; then its execution.
///
/// Made from names and shapes only. Immutable: any thread.
public final class TransferPlan: Sendable {
    /// The target's.
    public let configuration: any TransformerConfiguration
    public let options: TransferOptions
    /// In the target's order.
    public let entries: [TransferEntry]
    let leftItems: [SkippedItem]
    /// What else there is to know, such as another GELU.
    public let notes: [String]
    let source: Source

    /// The file that a plan refers to.
    struct Source: Sendable {
        let archive: Archive
        let file: FileModel
        /// Fields of the source that nothing told; a target of its own sizes does not tell them
        /// either.
        let untold: [String]
    }

    package var sourcePath: String { source.archive.path }
    package var sourceTable: String { source.file.table }
    package var sourceDialect: String { source.file.dialect.name }

    /// Tensors, parameters, and how many of them come from the source.
    package var totals:
        (tensors: Int, parameters: Int, transferredTensors: Int, transferredParameters: Int)
    {
        let transferred = entries.filter(\.isTransferred)
        return (
            entries.count, entries.reduce(0) { $0 + $1.shape.count }, transferred.count,
            transferred.reduce(0) { $0 + $1.shape.count }
        )
    }

    /// Tensors of the source that have no place in the target, and why.
    public var left: [(name: String, reason: String)] { leftItems.map { ($0.name, $0.reason) } }
    public var parameters: Int { totals.parameters }
    public var transferredParameters: Int { totals.transferredParameters }
    public var transferredTensors: Int { totals.transferredTensors }

    /// Share of the target's parameters that come from the source, 0 … 1.
    public var share: Double {
        let totals = totals
        return totals.parameters == 0
            ? 0 : Double(totals.transferredParameters) / Double(totals.parameters)
    }

    /// Plans a transfer from a file, of whose tables the family's usual one is taken.
    ///
    /// - target: a published name such as `DiT-XL/2`, or a family of transformers (`DiT`, `SiT`,
    ///   `ViT`, `MAE`) whose sizes are the source's
    /// - Throws: if the source is no transformer, or the target cannot hold it, saying which could
    public convenience init(
        path: String, to target: String, _ options: TransferOptions = TransferOptions()
    ) throws(USPError) {
        try self.init(try Archive.open(path), options.to(target))
    }

    /// Plans a transfer from a checkpoint; see `init(path:to:_:)`.
    public convenience init(
        _ source: Checkpoint, to target: String, _ options: TransferOptions = TransferOptions()
    ) throws(USPError) {
        try self.init(source.selected, options.to(target))
    }

    /// Looks at the source's names and shapes and decides.
    ///
    /// - Throws: `.unsupported` or `.format` if the source is no transformer that we know, `.shape`
    ///   if the target cannot hold it, `.argument`
    package init(_ archive: Archive, _ options: TransferOptions) throws(USPError) {
        var source = try TransferSource(archive, options)
        let configuration = try options.configuration(source)
        if !configuration.layerScale { try source.foldLayerScale() }
        var planner = Planner(source, configuration, options)
        let specs = try configuration.specs()
        try planner.run(specs.map { $0.named(plain($0.name, configuration)) })
        self.configuration = configuration
        self.options = options
        self.source = Source(archive: archive, file: source.file, untold: source.untold)
        entries = zip(specs, planner.entries).map { $1.named($0.name) }
        leftItems = planner.left
        notes = planner.notes
    }
}

/// A name of the target's encoder as an encoder alone has it.
func plain(_ name: String, _ target: any TransformerConfiguration) -> String {
    name.hasPrefix(target.encoderPrefix) ? String(name.dropFirst(target.encoderPrefix.count)) : name
}

extension TransferOptions {
    fileprivate func to(_ target: String) -> TransferOptions {
        var options = self
        options.target = .named(target)
        return options
    }
}
