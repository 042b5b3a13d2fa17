// Large images in overlapping tiles, blended linearly, so that memory depends on the tile alone.

import USPBase
import USPTensor

/// Tiles along one axis, in latent pixels: each position belongs to one or more, and the weights at
/// a position sum to one.
package struct TileAxis: Sendable, Equatable {
    package let starts: [Int]
    package let length: Int

    /// Tiles of `tile` that overlap by at least `overlap` and cover `extent` exactly; one if it
    /// fits.
    package init(extent: Int, tile: Int, overlap: Int) {
        length = min(extent, tile)
        guard extent > tile else {
            starts = [0]
            return
        }
        let step = max(1, tile - min(overlap, tile - 1))
        let count = (extent - tile + step - 1) / step + 1
        starts = (0..<count).map { ($0 * (extent - tile)) / max(count - 1, 1) }
    }

    /// The weight of each of a tile's `length·factor` pixels: ramps across overlaps, normalised.
    package func weights(_ index: Int, factor: Int) -> [Float] {
        let start = starts[index] * factor
        return (0..<length * factor).map { offset in
            let position = start + offset
            let total = starts.indices.reduce(Float(0)) { $0 + ramp($1, position, factor) }
            return ramp(index, position, factor) / total
        }
    }

    /// Distance to the tile's nearer end in half pixels, but level outside of overlaps.
    private func ramp(_ index: Int, _ position: Int, _ factor: Int) -> Float {
        let start = starts[index] * factor
        let end = start + length * factor
        guard (start..<end).contains(position) else { return 0 }
        let before = index > 0 ? starts[index - 1] * factor + length * factor - start : 0
        let after = index + 1 < starts.count ? end - starts[index + 1] * factor : 0
        let rise = position - start < before ? (Float(position - start) + 0.5) / Float(before) : 1
        let fall = end - position <= after ? (Float(end - position) - 0.5) / Float(after) : 1
        return min(rise, fall)
    }
}

/// Sizes of tiles, in latent pixels.
package struct Tiling: Sendable, Equatable {
    package var tile: Int
    /// At least this many pixels are shared by neighbours; a quarter of the tile is usual.
    package var overlap: Int

    package init(tile: Int = 64, overlap: Int = 16) {
        self.tile = tile
        self.overlap = overlap
    }
}

extension VAE {
    /// `decode` in tiles. Group statistics and attention are those of each tile, so the result is
    /// close to that of the whole image, and equal where one tile holds it. The blend is a weighted
    /// mean: nowhere is it further from the whole than the worst tile that covers the place.
    /// - Throws: `.argument` for a tile below 1 or an overlap outside 0 ..< tile
    package func decodeTiled(
        _ latents: Tensor, _ tiling: Tiling = Tiling(), normalized: Bool = true,
        in context: Context
    ) throws(USPError) -> Tensor {
        try require(latents.shape.rank == 4, .shape, "autoencoder: latents \(latents.shape)")
        let factor = configuration.factor
        return try inTiles(
            latents, tiling, extents: (latents.shape[2], latents.shape[3]), inputFactor: 1,
            outputFactor: factor, channels: configuration.imageChannels
        ) { tile throws(USPError) in
            try decode(tile, normalized: normalized, in: context)
        }
    }

    /// `moments` in tiles of `tile` latent pixels; see `decodeTiled`.
    package func momentsTiled(
        _ images: Tensor, _ tiling: Tiling = Tiling(), in context: Context
    ) throws(USPError) -> Tensor {
        let factor = configuration.factor
        try require(
            images.shape.rank == 4 && images.shape[2] % factor == 0
                && images.shape[3] % factor == 0, .shape,
            "autoencoder: images \(images.shape), height and width must be multiples of \(factor)")
        return try inTiles(
            images, tiling, extents: (images.shape[2] / factor, images.shape[3] / factor),
            inputFactor: factor, outputFactor: 1, channels: configuration.momentChannels
        ) { tile throws(USPError) in
            try moments(tile, in: context)
        }
    }

    private func inTiles(
        _ input: Tensor, _ tiling: Tiling, extents: (Int, Int), inputFactor: Int, outputFactor: Int,
        channels: Int, _ body: (Tensor) throws(USPError) -> Tensor
    ) throws(USPError) -> Tensor {
        try require(
            tiling.tile >= 1 && tiling.overlap >= 0 && tiling.overlap < tiling.tile, .argument,
            "autoencoder: tiles of \(tiling.tile) overlapping by \(tiling.overlap), expected by "
                + "less")
        let rows = TileAxis(extent: extents.0, tile: tiling.tile, overlap: tiling.overlap)
        let columns = TileAxis(extent: extents.1, tile: tiling.tile, overlap: tiling.overlap)
        if rows.starts.count * columns.starts.count == 1 { return try body(input) }
        let result = try Tensor.zeros(
            [input.shape[0], channels, extents.0 * outputFactor, extents.1 * outputFactor])
        for (i, top) in rows.starts.enumerated() {
            for (j, left) in columns.starts.enumerated() {
                let tile = try cropped(
                    input, top * inputFactor, left * inputFactor, rows.length * inputFactor,
                    columns.length * inputFactor)
                blend(
                    try body(tile), into: result, top * outputFactor, left * outputFactor,
                    rows.weights(i, factor: outputFactor), columns.weights(j, factor: outputFactor))
            }
        }
        return result
    }
}

/// `[B, C, height, width]` from (top, left) of a larger image.
private func cropped(
    _ x: Tensor, _ top: Int, _ left: Int, _ height: Int, _ width: Int
) throws(USPError) -> Tensor {
    let planes = x.shape[0] * x.shape[1]
    let (rows, columns) = (x.shape[2], x.shape[3])
    let y = try Tensor([x.shape[0], x.shape[1], height, width])
    for plane in 0..<planes {
        for row in 0..<height {
            (y.floats + (plane * height + row) * width).update(
                from: x.floats + (plane * rows + top + row) * columns + left, count: width)
        }
    }
    return y
}

/// result += tile·rowWeight·columnWeight at (top, left)
private func blend(
    _ tile: Tensor, into result: Tensor, _ top: Int, _ left: Int, _ rowWeights: [Float],
    _ columnWeights: [Float]
) {
    let planes = tile.shape[0] * tile.shape[1]
    let (rows, columns) = (result.shape[2], result.shape[3])
    let (height, width) = (rowWeights.count, columnWeights.count)
    for plane in 0..<planes {
        for row in 0..<height {
            let source = tile.floats + (plane * height + row) * width
            let target = result.floats + (plane * rows + top + row) * columns + left
            for column in 0..<width {
                target[column] += source[column] * (rowWeights[row] * columnWeights[column])
            }
        }
    }
}
