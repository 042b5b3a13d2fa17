// What people ask of a segmentation network.

import USPBase
import USPTensor

extension Segmenter {
    public func inputShape(batch: Int) -> Shape { configuration.imageShape(batch) }
    /// Classes of the maps.
    public var classes: Int { configuration.classes }

    /// Class scores `[B, K, h, w]` at the head's own resolution (UperNet: 4 times the tokens'), or
    /// bilinear at a size.
    ///
    /// - images: `[B, C, H, W]` of any sides that are multiples of the patch; for another grid than
    ///   the model's its position table is resampled
    /// - Throws: `.unsupported` for another grid where positions are relative
    public func logits(
        _ images: Tensor, height: Int? = nil, width: Int? = nil
    ) throws(USPError) -> Tensor {
        let context = Context(arithmetic)
        let scores = try scores(maps: maps(images, in: context), in: context).main
        return try channelsFirst(scores, height, width, context)
    }

    /// What the head reads, the blocks' maps beside each other: `[B, D·n, h, w]`.
    package func features(_ images: Tensor) throws(USPError) -> Tensor {
        let context = Context(arithmetic)
        return try context.toChannelsFirst(
            context.concatenateChannels(maps(images, in: context)))
    }

    /// The pyramid and the head alone.
    ///
    /// - maps: one `[B, D, h, w]` for each of the configuration's blocks; normed for a linear head
    /// - Returns: `[B, K, h', w']`
    public func decode(_ maps: [Tensor]) throws(USPError) -> Tensor {
        let context = Context(arithmetic)
        try require(
            maps.count == configuration.outIndices.count, .shape,
            "features: \(maps.count) maps, expected \(configuration.outIndices.count)")
        var lasts: [Tensor] = []
        for (index, map) in maps.enumerated() {
            try require(
                map.shape.rank == 4 && map.shape[1] == configuration.width && map.count > 0
                    && map.shape == maps[0].shape, .shape,
                "features[\(index)]: \(map.shape), expected [B, \(configuration.width), h, w], all "
                    + "of one size")
            lasts.append(try context.toChannelsLast(map))
        }
        return try channelsFirst(scores(maps: lasts, in: context).main, nil, nil, context)
    }

    private func channelsFirst(
        _ scores: Tensor, _ height: Int?, _ width: Int?, _ context: Context
    ) throws(USPError) -> Tensor {
        let (height, width) = (height ?? scores.shape[1], width ?? scores.shape[2])
        let isOwn = height == scores.shape[1] && width == scores.shape[2]
        return try context.toChannelsFirst(
            isOwn ? scores : context.resizeBilinear(scores, height: height, width: width))
    }
}
