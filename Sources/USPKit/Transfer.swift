// Weight transfer: from one pretrained transformer to every model that can use it.

import USPBase
import USPFiles
import USPModels
import USPTensor
import USPTransfer

/// A plan that says for every tensor of a target where it comes from and what happens on the way,
/// and for every tensor of the source where it went or why it stayed; then its execution.
///
/// Made from names and shapes only. Immutable: any thread.
public final class Transfer: Sendable {
    /// What the target has and the source has not, and how geometry changes.
    public struct Options: Sendable {
        /// Rows and columns of the target's tokens; nil: the preset's, or the source's.
        public var grid: (height: Int, width: Int)?
        public var classes: Int?
        public var patch: Int?
        public var channels: Int?
        /// Only so many blocks come from the source; nil: all.
        public var layers: Int?
        public var seed: UInt64 = 0
        /// Norms with γ and β in a diffusion transformer's blocks; false is the ablation.
        public var affineNorms = true
        /// The source's GELU instead of the target family's.
        public var keepsActivation = false
        /// `fresh`, `copy` or `repeat`.
        public var channelRule = "fresh"
        /// `prefix`, `stride` or `repeat`.
        public var depthRule = "prefix"
        /// Of a classifier: `token` or `average`; nil: the class token where there is one.
        public var pool: String?
        /// Of a classifier: `fine-tune` or `probe`.
        public var head = "fine-tune"
        /// Start of adaLN's gates: 0 as published.
        public var gateBias: Float = 0
        /// A diffusion transformer as a feature extractor after this block (nil: all), at this
        /// time.
        public var block: Int?
        public var timestep: Float = 0
        /// Its label; nil: the null class.
        public var label: Int?
        /// What the source's file does not tell: its table, heads and decoder's heads.
        public var table: String?
        public var heads: Int?
        public var decoderHeads: Int?

        public init() {}
    }

    /// One tensor of the target.
    public struct Entry: Sendable {
        public let name: String
        public let shape: Shape
        /// The source's names; empty for fresh tensors.
        public let sources: [String]
        /// Such as `copied`, `initialised zeros`, or
        /// `class row dropped, resampled bicubically 14x14 -> 16x16`.
        public let what: String
    }

    private let plan: TransferPlan

    /// Plans a transfer.
    ///
    /// - target: a published name such as `DiT-XL/2`, or a family (`DiT`, `SiT`, `ViT`, `MAE`)
    ///   whose sizes are the source's
    /// - Throws: if the source is no transformer, or the target cannot hold it, saying which could
    public init(
        _ source: Checkpoint, to target: String, _ options: Options = Options()
    ) throws(USPError) {
        let archive = Archive(
            path: source.path, format: source.archive.format, tables: [source.table],
            metadata: source.archive.metadata, skipped: source.archive.skipped)
        plan = try TransferPlan(archive, try Transfer.internal(options, target))
    }

    /// Plans a transfer from a file, of whose tables the family's usual one is taken.
    public init(
        path: String, to target: String, _ options: Options = Options()
    ) throws(USPError) {
        plan = try TransferPlan(try Archive.open(path), try Transfer.internal(options, target))
    }

    private static func `internal`(
        _ options: Options, _ target: String
    ) throws(USPError) -> TransferOptions {
        var result = TransferOptions(to: .named(target))
        result.grid = options.grid.map { Grid($0.height, $0.width) }
        (result.classes, result.patch, result.channels) = (
            options.classes, options.patch, options.channels
        )
        (result.layers, result.seed, result.affineNorms) = (
            options.layers, options.seed, options.affineNorms
        )
        (result.keepsActivation, result.gateBias) = (options.keepsActivation, options.gateBias)
        result.channelAdaptation = try named(options.channelRule, "channel rule")
        result.depthAdaptation = try named(options.depthRule, "depth rule")
        result.pool = try options.pool.map { name throws(USPError) in try named(name, "pool") }
        result.head = try named(options.head, "head")
        (result.block, result.timestep, result.label) = (
            options.block, options.timestep, options.label
        )
        result.source.table = options.table
        (result.source.heads, result.source.decoderHeads) = (options.heads, options.decoderHeads)
        return result
    }

    private static func named<Value: RawRepresentable & CaseIterable>(
        _ name: String, _ what: String
    ) throws(USPError) -> Value where Value.RawValue == String {
        guard let value = Value(rawValue: name) else {
            throw unknownName(name, what: what, known: Value.allCases.map(\.rawValue))
        }
        return value
    }

    /// In the target's order.
    public var entries: [Entry] {
        plan.entries.map {
            Entry(name: $0.name, shape: $0.shape, sources: $0.sources, what: $0.what)
        }
    }

    /// Tensors of the source that have no place in the target, and why.
    public var left: [(name: String, reason: String)] { plan.left.map { ($0.name, $0.reason) } }

    /// What else there is to know, such as another GELU.
    public var notes: [String] { plan.notes }

    public var parameters: Int { plan.totals.parameters }
    public var transferredParameters: Int { plan.totals.transferredParameters }
    public var transferredTensors: Int { plan.totals.transferredTensors }

    /// Share of the target's parameters that come from the source, 0 … 1.
    public var share: Double { plan.share }

    /// An aligned table for people.
    public var text: String { plan.text }

    /// The same for programs.
    public var json: String { plan.json.indented }

    /// Carries the plan out in memory; arrays that are copied stay in the source's file.
    public func apply() throws(USPError) -> Checkpoint {
        try Checkpoint(entries: plan.apply(), metadata: plan.metadata)
    }

    /// Carries the plan out into a file: safetensors, or PyTorch's training layout for names that
    /// end in .pt, .pth, .ckpt or .bin. One tensor is in memory at a time; the file appears
    /// complete or not at all.
    public func write(_ path: String, dtype: DType = .float32) throws(USPError) {
        try plan.write(path, dtype: dtype)
    }
}
