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
    /// The patch embedding's kernel for another patch or other channels.
    case patches(PatchChange)
    /// By the family's rule, from the seed and the tensor's name.
    case initialize
    /// adaLN's projection biases, zero but for the gates.
    case gates(Float)
    /// A norm with the modulation of a fixed time and label in it: `chunk` shifts, `chunk` + 1
    /// scales.
    case modulatedNorm(block: Int, chunk: Int, isBias: Bool)
    /// Rows multiplied by the gate of a fixed time and label.
    case gatedRows(block: Int, chunk: Int)
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
package struct TransferEntry: Sendable {
    package let name: String
    package let shape: Shape
    package let operation: TransferOperation
    /// The source's names; empty for fresh tensors.
    package let sources: [String]
    /// What happens on the way, for people.
    package let what: String
    /// For `.initialize` and `.gates`.
    let initializer: Initializer
    /// Our name of the source's tensor.
    let sourceName: String

    /// Whether its values come from pretraining.
    package var isTransferred: Bool { !sources.isEmpty }
}

package struct TransferPlan: Sendable {
    package let configuration: ModelConfiguration
    package let options: TransferOptions
    package let entries: [TransferEntry]
    /// Tensors of the source that have no place in the target, and why.
    package let left: [SkippedItem]
    /// What else there is to know, such as another GELU.
    package let notes: [String]
    let source: Source

    /// The file that a plan refers to.
    struct Source: Sendable {
        let archive: Archive
        let file: FileModel
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

    /// Share of the target's parameters that come from the source, 0 ... 1.
    package var share: Double {
        let totals = totals
        return totals.parameters == 0
            ? 0 : Double(totals.transferredParameters) / Double(totals.parameters)
    }

    /// Looks at the source's names and shapes and decides.
    ///
    /// - Throws: `.unsupported` or `.format` if the source is no transformer that we know, `.shape`
    ///   if the target cannot hold it, `.argument`
    package init(_ archive: Archive, _ options: TransferOptions) throws(USPError) {
        let source = try TransferSource(archive, options.source)
        let configuration = try options.configuration(source)
        var planner = Planner(source, configuration, options)
        try planner.run(try configuration.specs())
        self.configuration = configuration
        self.options = options
        self.source = Source(archive: archive, file: source.file)
        entries = planner.entries
        left = planner.left
        notes = planner.notes
    }
}
