// Segmenter: cross entropy of every pixel.

import USPBase
import USPData
import USPModels
import USPTensor

extension Segmenter: Trainable {
    package var layers: Int { configuration.depth }

    /// Everything but the encoder.
    package func isHead(_ name: String) -> Bool { !name.hasPrefix("backbone.") }

    package func training(
        over parameters: Parameters, _ options: TrainerOptions
    ) throws(USPError) -> Segmenter {
        try require(
            (options.ranks?.count ?? 1) == 1, .unsupported,
            "ranks: a segmentation network's batch norms see one process's images only")
        var sizes = configuration
        (sizes.dropPath, sizes.dropout) = (options.dropPath, options.dropout)
        let result = try Segmenter(sizes, parameters, options.arithmetic)
        result.recomputes = options.recompute
        return result
    }

    package func loss(
        of part: BatchPart, _ options: TrainerOptions, in context: Context
    ) throws(USPError) -> Loss {
        guard case .map(let labels) = part.batch.labels else {
            throw USPError(.argument, "labels: expected maps, [B, H, W]")
        }
        var own = Options()
        own.batchStatistics = true
        (own.average, own.ignored) = (options.average, options.ignored)
        return .scalar(
            try loss(
                maps: trainingMaps(part, options, in: context), labels: labels, own, in: context))
    }

    /// What the head reads: of a frozen encoder without drop path, or given, where it was computed
    /// before.
    private func trainingMaps(
        _ part: BatchPart, _ options: TrainerOptions, in context: Context
    ) throws(USPError) -> [Tensor] {
        guard options.headOnly else {
            try expect(part.inputs, configuration.imageShape(part.count), "images")
            return try maps(part.inputs, in: context)
        }
        let still = context.recording(on: nil).with(random: nil)
        let (shape, width) = (part.inputs.shape, configuration.width)
        guard configuration.head == .linear, shape.rank == 4, shape[1] != configuration.channels,
            shape[1] == width * configuration.outIndices.count
        else { return try maps(part.inputs, in: still) }
        return [try still.toChannelsLast(part.inputs)]
    }
}
