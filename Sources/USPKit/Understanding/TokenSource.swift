// Tokens inside of transformers, whatever their family.

import USPBase
import USPModels
import USPTensor

/// A transformer as a source of tokens and of attention. Blocks are counted from 1.
public struct TokenSource: Sendable {
    /// Blocks.
    public let depth: Int
    /// Rows and columns of the patches' tokens.
    public let grid: Grid
    private let read: @Sendable (Tensor, [Int], Bool) throws(USPError) -> [Tensor]
    private let attend: @Sendable (Tensor, Int) throws(USPError) -> Tensor

    /// - time: of a diffusion transformer, on its own scale; nil: of the least noise
    /// - Throws: `.unsupported` for a family without such tokens; `.argument` for a time of a model that
    ///   has none
    public init(_ model: any Model, time: Float? = nil) throws(USPError) {
        switch model {
        case let model as ViT:
            (depth, grid) = (model.configuration.depth, model.configuration.grid)
            read = { images, layers, tokens throws(USPError) in
                try model.features(images, layers: layers, tokens: tokens)
            }
            attend = { images, layer throws(USPError) in
                try model.attention(images, layer: layer)
            }
        case let model as MaskedAutoencoder:
            (depth, grid) = (model.configuration.depth, model.configuration.grid)
            read = { images, layers, tokens throws(USPError) in
                try model.features(images, layers: layers, tokens: tokens)
            }
            attend = { images, layer throws(USPError) in
                try model.attention(images, layer: layer)
            }
        case let model as DiT:
            (depth, grid) = (model.configuration.depth, model.configuration.grid)
            let time = time ?? model.usualTimes[0]
            read = { images, layers, tokens throws(USPError) in
                try model.features(
                    images, t: [Float](repeating: time, count: images.shape[0]), y: nil,
                    layers: layers, tokens: tokens)
            }
            attend = { images, layer throws(USPError) in
                try model.attention(
                    images, t: [Float](repeating: time, count: images.shape[0]), y: nil,
                    layer: layer)
            }
            return
        default:
            throw USPError(
                .unsupported,
                "tokens of a \(model.family): expected a ViT, MAE, DiT, SiT or LightningDiT")
        }
        try require(time == nil, .argument, "time: has no part in this \(model.family)")
    }

    /// The patches' tokens after these blocks, before any norm, `[B, T, D]` each, or their means,
    /// `[B, D]`; of a diffusion transformer for the null class.
    public func features(
        _ images: Tensor, layers: [Int], tokens: Bool = false
    ) throws(USPError) -> [Tensor] {
        try read(images, layers, tokens)
    }

    /// Attention's probabilities in a block: `[B, N, leading + T, leading + T]`.
    public func attention(_ images: Tensor, layer: Int) throws(USPError) -> Tensor {
        try attend(images, layer)
    }

    /// Tokens `[B, T, D]` as images `[B, 3, H, W]` in −1 … 1 by their principal colours, each patch a
    /// square of this side.
    public func picture(_ tokens: Tensor, side: Int) throws(USPError) -> Tensor {
        let colours = try PrincipalColours.of(tokens)
        try require(
            colours.shape[1] == grid.count && side > 0, .shape,
            "tokens: \(tokens.shape), expected \(grid.count) of a sample")
        let (rows, columns) = (grid.height * side, grid.width * side)
        let result = try Tensor([colours.shape[0], 3, rows, columns])
        let bytes = colours.raw.assumingMemoryBound(to: UInt8.self)
        for sample in 0..<colours.shape[0] {
            for channel in 0..<3 {
                for y in 0..<rows {
                    let target = result.floats + ((sample * 3 + channel) * rows + y) * columns
                    for x in 0..<columns {
                        let token = sample * grid.count + y / side * grid.width + x / side
                        target[x] = Float(bytes[3 * token + channel]) / 127.5 - 1
                    }
                }
            }
        }
        return result
    }
}
