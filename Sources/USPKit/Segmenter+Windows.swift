// Segmentation networks over whole images: windows, and autoencoders in front of them.

import USPBase
import USPData
import USPModels
import USPTensor
import USPTraining

extension Segmenter {
    /// Where the network looks.
    public struct Windows: Sendable {
        /// Rows and columns of a window of the image; nil: the whole image at once.
        public var crop: Grid?
        /// Rows and columns from one window to the next; nil: two thirds of the crop, as published.
        public var stride: Grid?

        public init() {}
    }

    /// Class scores at the images' size, or bilinear at another: the mean over windows of what the
    /// network says of each pixel.
    ///
    /// - images: `[B, C, H, W]`, what the network reads; with an autoencoder images in −1 … 1, of
    ///   which each window is encoded (the mean) by itself. A window whose sides are no multiples of
    ///   a patch gets zeros at its right and bottom
    /// - Returns: `[B, K, H, W]`
    /// - Throws: `.unsupported` for a window larger than the grid of relative positions
    public func scores(
        _ images: Tensor, vae: VAE? = nil, _ windows: Windows = Windows(), height: Int? = nil,
        width: Int? = nil
    ) throws(USPError) -> Tensor {
        try scores(images, encoder: vae?.latentEncoder, windows, height: height, width: width)
    }

    /// The same through what makes latents of images.
    package func scores(
        _ images: Tensor, encoder: LatentEncoder?, _ windows: Windows, height: Int? = nil,
        width: Int? = nil
    ) throws(USPError) -> Tensor {
        let channels = encoder?.imageChannels ?? configuration.channels
        try require(
            images.shape.rank == 4 && images.shape[1] == channels && images.count > 0, .shape,
            "images: \(images.shape), expected [B, \(channels), H, W]")
        try require(
            encoder.map { $0.latentChannels == configuration.channels } ?? true, .shape,
            "vae: latents of \(encoder?.latentChannels ?? 0) channels, expected "
                + "\(configuration.channels)")
        let size = ImageSize(images.shape[2], images.shape[3])
        let scores = try windowed(images, encoder, windows, size)
        let wanted = ImageSize(height ?? size.height, width ?? size.width)
        guard wanted != size else { return scores }
        let context = Context(arithmetic)
        return try context.toChannelsFirst(
            context.resizeBilinear(
                context.toChannelsLast(scores), height: wanted.height, width: wanted.width))
    }

    /// The class of the largest score of each pixel: `[B, H, W]`, u8 for 256 classes or fewer, else
    /// i64.
    public func predict(
        _ images: Tensor, vae: VAE? = nil, _ windows: Windows = Windows(), height: Int? = nil,
        width: Int? = nil
    ) throws(USPError) -> Tensor {
        try classMap(scores(images, vae: vae, windows, height: height, width: width))
    }

    private func windowed(
        _ images: Tensor, _ encoder: LatentEncoder?, _ windows: Windows, _ size: ImageSize
    ) throws(USPError) -> Tensor {
        guard let crop = windows.crop else {
            try require(
                windows.stride == nil, .argument, "stride: has no part without a crop")
            return try whole(images, encoder)
        }
        let stride = windows.stride ?? Grid(max(2 * crop.height / 3, 1), max(2 * crop.width / 3, 1))
        let boxes = try SlidingWindows(
            size, crop: ImageSize(crop.height, crop.width),
            stride: ImageSize(stride.height, stride.width)
        ).boxes
        if boxes.count == 1 { return try whole(images, encoder) }
        let sum = try WindowSum([images.shape[0], classes], size)
        for box in boxes {
            let window = try images.part(
                from: (box.top, box.left), rows: box.height, columns: box.width)
            try sum.add(whole(window, encoder), at: box)
        }
        return try sum.mean()
    }

    /// Scores of images in one pass, `[B, K, H, W]`.
    private func whole(_ images: Tensor, _ encoder: LatentEncoder?) throws(USPError) -> Tensor {
        let (height, width) = (images.shape[2], images.shape[3])
        let unit = configuration.patch * (encoder?.factor ?? 1)
        func padded(_ extent: Int, _ tokens: Int) -> Int {
            let least = configuration.relativePositions ? tokens : 2
            return max((extent + unit - 1) / unit, least) * unit
        }
        let rows = padded(height, configuration.grid.height)
        let columns = padded(width, configuration.grid.width)
        let fits = rows == height && columns == width
        var inputs = fits ? images : try images.part(rows: rows, columns: columns)
        if let encoder { inputs = try encoder.latents(inputs, nil) }
        let scores = try logits(inputs, height: rows, width: columns)
        return fits ? scores : try scores.part(rows: height, columns: width)
    }
}

extension Segmenter.Windows: Described {
    public static let title = "window"
    public static let fields: [Field<Segmenter.Windows>] = [
        .grid(
            "crop", \.crop, "Rows and columns of a window of the image; without it the whole image."
        ),
        .grid(
            "stride", \.stride,
            "Rows and columns from one window to the next; without it two thirds of the crop."),
    ]
}

extension Tensor {
    /// Rows and columns of images `[B, C, H, W]`, f32; zeros beyond them.
    fileprivate func part(
        from corner: (top: Int, left: Int) = (0, 0), rows: Int, columns: Int
    ) throws(USPError) -> Tensor {
        let (planes, height, width) = (shape[0] * shape[1], shape[2], shape[3])
        let result = try Tensor.zeros([shape[0], shape[1], rows, columns])
        let count = min(columns, width - corner.left)
        for plane in 0..<planes {
            for row in 0..<min(rows, height - corner.top) {
                let source = (plane * height + corner.top + row) * width + corner.left
                (result.floats + (plane * rows + row) * columns).update(
                    from: floats + source, count: count)
            }
        }
        return result
    }
}
