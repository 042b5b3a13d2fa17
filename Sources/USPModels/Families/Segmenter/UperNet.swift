// UperNet with its pyramid and its auxiliary head (Xiao et al. 2018), as mmsegmentation has them.

import USPBase
import USPTensor

/// Four maps of one size as a pyramid of 4, 2, 1 and 1/2 times the rows and columns.
struct FeaturePyramid {
    private let first: DoublingLayer
    private let norm: BatchNormLayer
    private let second: DoublingLayer
    private let doubling: DoublingLayer

    /// - Throws: `.missingWeight`
    init(_ parameters: Parameters) throws(USPError) {
        first = try DoublingLayer(parameters, "neck.upsample_4x.0")
        norm = try BatchNormLayer(parameters, "neck.upsample_4x.1")
        second = try DoublingLayer(parameters, "neck.upsample_4x.3")
        doubling = try DoublingLayer(parameters, "neck.upsample_2x.0")
    }

    /// - maps: four `[B, h, w, D]`
    /// - Throws: `.shape` for maps of one row or column, which the last level cannot halve
    func forward(
        _ maps: [Tensor], batchStatistics: Bool, in context: Context
    ) throws(USPError) -> [Tensor] {
        let (rows, columns) = (maps[3].shape[1], maps[3].shape[2])
        try require(
            rows > 1 && columns > 1, .shape,
            "maps of \(rows) x \(columns) tokens, UperNet needs 2 x 2 at least")
        var large = try first.forward(maps[0], in: context)
        large = try norm.forward(large, batchStatistics: batchStatistics, in: context)
        large = try second.forward(context.activate(large, .geluErf), in: context)
        return [
            large, try doubling.forward(maps[1], in: context), maps[2],
            try context.maxPool(maps[3], size: 2),
        ]
    }
}

/// Pyramid pooling on the smallest map, sums from there up, and all maps fused at the largest.
struct UperNet {
    /// Rows and columns that the smallest map is pooled to.
    static let cells = [1, 2, 3, 6]

    private let pools: [ConvolutionUnit]
    private let bottleneck: ConvolutionUnit
    private let laterals: [ConvolutionUnit]
    private let outputs: [ConvolutionUnit]
    private let fusion: ConvolutionUnit
    private let classifier: PixelClassifier

    /// - Throws: `.missingWeight`
    init(_ parameters: Parameters) throws(USPError) {
        func unit(_ name: String) throws(USPError) -> ConvolutionUnit {
            try ConvolutionUnit(parameters, "decode_head.\(name)")
        }
        pools = try UperNet.cells.indices.map { index throws(USPError) in
            try unit("psp_modules.\(index).1")
        }
        laterals = try (0..<3).map { level throws(USPError) in
            try unit("lateral_convs.\(level)")
        }
        outputs = try (0..<3).map { level throws(USPError) in try unit("fpn_convs.\(level)") }
        (bottleneck, fusion) = (try unit("bottleneck"), try unit("fpn_bottleneck"))
        classifier = try PixelClassifier(parameters, "decode_head")
    }

    /// - levels: `[B, Hᵢ, Wᵢ, D]`, the largest first
    /// - Returns: `[B, H₀, W₀, K]`
    func forward(
        _ levels: [Tensor], batchStatistics: Bool, dropout: Float, in context: Context
    ) throws(USPError) -> Tensor {
        func run(_ unit: ConvolutionUnit, _ x: Tensor) throws(USPError) -> Tensor {
            try unit.forward(x, batchStatistics: batchStatistics, in: context)
        }
        func resized(_ x: Tensor, like other: Tensor) throws(USPError) -> Tensor {
            try context.resizeBilinear(x, height: other.shape[1], width: other.shape[2])
        }
        let smallest = levels[3]
        var pooled = [smallest]
        for (cells, unit) in zip(UperNet.cells, pools) {
            let mean = try context.adaptiveMeanPool(smallest, cells: cells)
            pooled.append(try resized(run(unit, mean), like: smallest))
        }
        let top = try run(bottleneck, context.concatenateChannels(pooled))
        var sums = [top]
        for level in (0..<3).reversed() {
            let lateral = try run(laterals[level], levels[level])
            sums.insert(try context.add(lateral, resized(sums[0], like: lateral)), at: 0)
        }
        var maps: [Tensor] = []
        for level in 0..<3 {
            maps.append(try resized(run(outputs[level], sums[level]), like: sums[0]))
        }
        maps.append(try resized(top, like: sums[0]))
        let fused = try run(fusion, context.concatenateChannels(maps))
        return try classifier.forward(fused, dropout: dropout, in: context)
    }
}

/// A convolution and a classifier on one map, for a second loss.
struct AuxiliaryHead {
    private let unit: ConvolutionUnit
    private let classifier: PixelClassifier

    /// - Throws: `.missingWeight`
    init(_ parameters: Parameters) throws(USPError) {
        unit = try ConvolutionUnit(parameters, "auxiliary_head.convs.0")
        classifier = try PixelClassifier(parameters, "auxiliary_head")
    }

    /// `[B, h, w, D]` -> `[B, h, w, K]`
    func forward(
        _ map: Tensor, batchStatistics: Bool, dropout: Float, in context: Context
    ) throws(USPError) -> Tensor {
        let hidden = try unit.forward(map, batchStatistics: batchStatistics, in: context)
        return try classifier.forward(hidden, dropout: dropout, in: context)
    }
}

/// Batch norm and a classifier on the tokens' maps beside each other.
struct LinearHead {
    private let norm: BatchNormLayer
    private let classifier: PixelClassifier

    /// - Throws: `.missingWeight`
    init(_ parameters: Parameters) throws(USPError) {
        norm = try BatchNormLayer(parameters, "decode_head.bn")
        classifier = try PixelClassifier(parameters, "decode_head")
    }

    /// `[B, h, w, D]` each -> `[B, h, w, K]`
    func forward(
        _ maps: [Tensor], batchStatistics: Bool, dropout: Float, in context: Context
    ) throws(USPError) -> Tensor {
        let x = try maps.count == 1 ? maps[0] : context.concatenateChannels(maps)
        let normed = try norm.forward(x, batchStatistics: batchStatistics, in: context)
        return try classifier.forward(normed, dropout: dropout, in: context)
    }
}
