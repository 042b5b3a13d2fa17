// Segmentation networks on images with masks.

import USPBase
import USPData
import USPEvaluation
import USPFiles
import USPModels
import USPTensor

extension Evaluate {
    /// Scores over all pixels of a data set with masks, at their files' sizes: images are rescaled
    /// into the data's size (shorter side; the longer is at most four times that), seen through
    /// windows of that size every two thirds of it, and the scores are resized back.
    ///
    /// - encoder: of the images; nil: the network reads them itself
    /// - isStopped: asked between images; then the scores are of those seen so far
    package static func segmentation(
        of network: Segmenter, on data: DataSet, encoder: LatentEncoder?,
        isStopped: () -> Bool = { false }
    ) throws(USPError) -> SegmentationScores {
        var confusion = try Confusion(classes: network.classes)
        for index in 0..<data.count {
            if isStopped() { break }
            guard let scene = try data.scene(index) else { continue }
            let labels = try network.predict(
                scene.image, encoder: encoder, side: data.options.size, data.normalization)
            try confusion.add(
                predicted: labels, target: Tensor(scene.labels).reshaped(labels.shape))
        }
        let score = try SegmentationScore(confusion)
        return SegmentationScores(
            accuracy: score.pixelAccuracy, meanIoU: score.meanIntersectionOverUnion,
            meanAccuracy: score.meanAccuracy, iou: score.intersectionOverUnion,
            classAccuracy: score.classAccuracy)
    }
}

extension Segmenter {
    /// The classes `[H, W]` of an image `[H, W, 3]`, u8, of any size.
    ///
    /// - side: what its shorter side becomes, and the sides of the windows over it
    /// - normalization: of pixels that no autoencoder takes; nil: what the network has learned to see
    package func predict(
        _ image: PixelImage, encoder: LatentEncoder?, side: Int,
        _ normalization: PixelNormalization? = nil
    ) throws(USPError) -> Tensor {
        let size = ImageSize(image.height, image.width)
        let scaled = try image.rgb().rescaled(to: size.rescaled(short: side, long: 4 * side))
        let pixels = try Tensor([1, 3, scaled.height, scaled.width])
        let seen = encoder == nil ? normalization ?? self.normalization : .half
        scaled.writePlanes(mean: seen.mean, deviation: seen.deviation, into: pixels.floats)
        var windows = Windows()
        windows.crop = Grid(side, side)
        let scores = try scores(
            pixels, encoder: encoder, windows, height: size.height, width: size.width)
        return try classMap(scores).reshaped([size.height, size.width])
    }

    /// What pixels become for it: as its file says, by ImageNet's statistics for files of other
    /// programs, else -1 to 1.
    public var normalization: PixelNormalization {
        notes.normalization.flatMap(PixelNormalization.init) ?? .half
    }

    /// The same through an autoencoder.
    public func predict(_ image: Tensor, vae: VAE?, side: Int) throws(USPError) -> Tensor {
        try require(
            image.shape.rank == 3 && image.shape[2] == 3 && image.dtype == .uint8
                && image.count > 0, .shape,
            "image: \(image.dtype.name) \(image.shape), expected u8 [H, W, 3]")
        return try predict(PixelImage(image), encoder: vae?.latentEncoder, side: side)
    }

    /// Writes the classes of an image `[H, W, C]` u8 as a PNG of indices, and the same over the image to
    /// look at.
    ///
    /// - overlay: nil writes none
    /// - Throws: `.unsupported` for more than 256 classes
    public func writeMask(
        of image: Tensor, vae: VAE?, side: Int, to path: String, overlay: String? = nil,
        _ normalization: PixelNormalization? = nil
    ) throws(USPError) {
        try require(
            classes <= 256, .unsupported, "\(classes) classes: a PNG of indices holds 256")
        let picture = try PixelImage(image, "image").rgb()
        let labels = try predict(
            picture, encoder: vae?.latentEncoder, side: side, normalization)
        let values = UnsafeBufferPointer(
            start: labels.raw.assumingMemoryBound(to: UInt8.self), count: labels.count)
        let (palette, map) = (Segmenter.palette, Array(values))
        try PNG.writeIndices(
            path,
            PixelImage(
                width: picture.width, height: picture.height, channels: 1, pixels: map),
            palette: palette)
        guard let overlay else { return }
        var pixels = picture.pixels
        for (pixel, label) in map.enumerated() {
            for channel in 0..<3 {
                let colour = Int(palette[3 * Int(label) + channel])
                pixels[3 * pixel + channel] =
                    UInt8((Int(pixels[3 * pixel + channel]) + colour) / 2)
            }
        }
        try PNG.write(
            overlay,
            PixelImage(width: picture.width, height: picture.height, channels: 3, pixels: pixels))
    }

    /// 256 colours far from each other, as PASCAL VOC's: the bits of an index become the upper bits
    /// of red, green and blue in turn.
    static let palette: [UInt8] = {
        var bytes: [UInt8] = []
        for index in 0..<256 {
            for channel in 0..<3 {
                var value = 0
                for bit in 0..<8 { value |= (index >> (3 * bit + channel) & 1) << (7 - bit) }
                bytes.append(UInt8(value))
            }
        }
        return bytes
    }()
}
