// What segmentation minimises: cross entropy of every pixel, of the head and of the auxiliary one.

import USPBase
import USPTensor

extension Segmenter {
    /// What the sum over the pixels' losses is divided by.
    public enum Average: String, Sendable, CaseIterable {
        /// All pixels, ignored ones too, as mmsegmentation does.
        case all
        /// The labelled ones; without any the loss is 0.
        case valid
    }

    /// How maps are compared with labels.
    public struct Options: Sendable {
        /// Batch norms use the batch instead of their running statistics.
        public var batchStatistics = false
        public var average = Average.all
        /// The label that is no class.
        public var ignored = 255

        public init() {}
    }

    /// Of the auxiliary head's loss.
    package static let auxiliaryWeight: Float = 0.4

    /// Cross entropy of the maps, bilinear at the labels' size, plus 0.4 times the auxiliary head's.
    ///
    /// - maps: as `maps(_:in:)` gives them
    /// - labels: `[B, H, W]`, u8 or i64: classes, or the ignored label
    /// - Returns: a scalar
    /// - Throws: `.argument` for other labels, and for one image with batch statistics
    package func loss(
        maps: [Tensor], labels: Tensor, _ options: Options, in context: Context
    ) throws(USPError) -> Tensor {
        let shape = labels.shape
        let batch = maps[0].shape[0]
        try require(
            shape.rank == 3 && shape[0] == batch && shape.count > 0, .shape,
            "labels: \(shape), expected [\(batch), H, W]")
        try require(
            batch > 1 || !options.batchStatistics || configuration.head == .linear, .argument,
            "a batch of 1 image: batch statistics of its map pooled to one pixel are none; give 2 "
                + "images or more")
        let wanted = try labels.classMap()
        let scores = try scores(
            maps: maps, batchStatistics: options.batchStatistics, auxiliary: true, in: context)
        func entropy(_ logits: Tensor) throws(USPError) -> Tensor {
            let resized = try context.resizeBilinear(logits, height: shape[1], width: shape[2])
            return try context.pixelCrossEntropy(
                logits: resized, labels: wanted, ignored: Int32(clamping: options.ignored),
                countsIgnored: options.average == .all)
        }
        let main = try entropy(scores.main)
        guard let auxiliary = scores.auxiliary else { return main }
        return try context.add(
            main, context.scale(entropy(auxiliary), by: Segmenter.auxiliaryWeight))
    }
}

extension Segmenter.Options: Described {
    public static let title = "segmenter"
    public static let fields: [Field<Segmenter.Options>] = [
        .flag(
            "batch_statistics", \.batchStatistics,
            "Batch norms use the batch instead of their running statistics."),
        .choice(
            "average", \.average,
            "The pixels' losses are divided by the number of all, ignored ones too, or of the valid "
                + "ones."),
        .integer("ignored", \.ignored, FieldRange(-32768, 65535), "The label that is no class."),
    ]
}

extension Tensor {
    /// u8 or i64 labels as what pixel losses read.
    fileprivate func classMap() throws(USPError) -> [Int32] {
        switch dtype {
        case .uint8:
            let values = raw.assumingMemoryBound(to: UInt8.self)
            return (0..<count).map { Int32(values[$0]) }
        case .int64:
            let values = raw.assumingMemoryBound(to: Int64.self)
            return (0..<count).map { Int32(clamping: values[$0]) }
        default: throw USPError(.dtype, "labels: \(dtype.name), expected u8 or i64")
        }
    }
}
