// Images to rows of patches and back.

import USPBase

/// How the values of one P×P patch follow each other.
package enum PatchOrder: Sendable {
    /// Channel, row, column: what a patch embedding's convolution weight expects.
    case channelFirst
    /// Row, column, channel: what masked autoencoders and diffusion transformers predict.
    case channelLast
}

extension Context {
    /// Cuts images into patches, row by row.
    ///
    /// - images: `[B, C, H, W]`, f32; H and W are multiples of `patch`
    /// - Returns: `[B, (H/P)·(W/P), P·P·C]`
    /// - Throws: `.shape`
    package func patchify(
        _ images: Tensor, patch: Int, order: PatchOrder
    ) throws(USPError) -> Tensor {
        let layout = try PatchLayout(images: images.shape, patch: patch, order: order)
        let y = try Tensor(layout.tokenShape)
        layout.forEachPixelRow { image, token in
            layout.toTokens(images.floats + image, y.floats + token, adds: false)
        }
        tape?.record(y, inputs: [images]) { [tape] gradient throws(USPError) in
            guard let target = try tape?.target(for: images) else { return }
            layout.forEachPixelRow { image, token in
                layout.toImage(
                    gradient.floats + token, target.tensor.floats + image, adds: target.accumulates)
            }
        }
        return y
    }

    /// Puts patches back together.
    ///
    /// - tokens: `[B, (H/P)·(W/P), P·P·C]`, f32
    /// - Returns: `[B, C, H, W]`
    /// - Throws: `.shape`
    package func unpatchify(
        _ tokens: Tensor, patch: Int, channels: Int, height: Int, width: Int,
        order: PatchOrder = .channelLast
    ) throws(USPError) -> Tensor {
        try require(tokens.shape.rank == 3, .shape, "unpatchify: tokens \(tokens.shape)")
        let shape = Shape([tokens.shape[0], channels, height, width])
        let layout = try PatchLayout(images: shape, patch: patch, order: order)
        try expect(tokens, layout.tokenShape, "unpatchify")
        let y = try Tensor(shape)
        layout.forEachPixelRow { image, token in
            layout.toImage(tokens.floats + token, y.floats + image, adds: false)
        }
        tape?.record(y, inputs: [tokens]) { [tape] gradient throws(USPError) in
            guard let target = try tape?.target(for: tokens) else { return }
            layout.forEachPixelRow { image, token in
                layout.toTokens(
                    gradient.floats + image, target.tensor.floats + token,
                    adds: target.accumulates)
            }
        }
        return y
    }
}

/// Where the pixels of an image row lie in rows of patches.
private struct PatchLayout {
    let batch: Int
    let channels: Int
    let height: Int
    let width: Int
    let patch: Int
    let order: PatchOrder

    init(images: Shape, patch: Int, order: PatchOrder) throws(USPError) {
        try require(
            images.rank == 4 && patch > 0 && images[2] % patch == 0 && images[3] % patch == 0,
            .shape, "patches of \(patch) x \(patch) do not divide images \(images)")
        batch = images[0]
        channels = images[1]
        height = images[2]
        width = images[3]
        self.patch = patch
        self.order = order
    }

    var columns: Int { width / patch }
    var rows: Int { height / patch }
    var patchSize: Int { patch * patch * channels }
    var tokenShape: Shape { [batch, rows * columns, patchSize] }

    /// Calls the body with the first elements of each pixel row of each channel in both layouts.
    func forEachPixelRow(_ body: (_ image: Int, _ token: Int) -> Void) {
        let (channelStride, rowStride) =
            order == .channelFirst ? (patch * patch, patch) : (1, patch * channels)
        parallelRanges(batch * channels, grain: max(1, (1 << 14) / max(height * width, 1))) {
            planes in
            for plane in planes {
                let (sample, channel) = plane.quotientAndRemainder(dividingBy: channels)
                for y in 0..<height {
                    let token = (sample * rows + y / patch) * columns * patchSize
                    body(
                        (plane * height + y) * width,
                        token + channel * channelStride + y % patch * rowStride)
                }
            }
        }
    }

    /// Elements between neighbouring pixels of one row inside a patch.
    private var step: Int { order == .channelFirst ? 1 : channels }

    func toTokens(
        _ image: UnsafePointer<Float>, _ token: UnsafeMutablePointer<Float>, adds: Bool
    ) {
        for column in 0..<columns {
            for x in 0..<patch {
                let place = token + column * patchSize + x * step
                place.pointee = (adds ? place.pointee : 0) + image[column * patch + x]
            }
        }
    }

    func toImage(
        _ token: UnsafePointer<Float>, _ image: UnsafeMutablePointer<Float>, adds: Bool
    ) {
        for column in 0..<columns {
            for x in 0..<patch {
                let value = token[column * patchSize + x * step]
                let place = image + column * patch + x
                place.pointee = (adds ? place.pointee : 0) + value
            }
        }
    }
}
