// Batches of transformed images, decoded on all threads.

import USPBase
import USPFiles
import USPTensor

/// Reads images of a source by number and makes batches of them.
package struct ImageLoader: Sendable {
    package let source: any ImageSource
    package let transform: ImageTransform

    /// - Throws: `.argument` unless the transform has statistics for 1 or 3 channels.
    package init(_ source: any ImageSource, _ transform: ImageTransform) throws(USPError) {
        let channels = transform.mean.count
        try require(
            (channels == 1 || channels == 3) && transform.deviation.count == channels
                && transform.deviation.allSatisfy { $0 > 0 }, .argument,
            "image statistics: expected 1 or 3 means and deviations above 0, "
                + "got \(transform.mean) and \(transform.deviation)")
        self.source = source
        self.transform = transform
    }

    /// `[B, C, H, W]` f32 of these images.
    ///
    /// - key: gives the stream of image i, whatever batch it is in.
    /// - Throws: the error of the first image (in the batch's order) that cannot be read; `.shape`
    ///   if the images do not come out equally large.
    package func batch(
        _ indices: [Int], key: @Sendable (_ index: Int) -> RandomKey
    ) throws(USPError) -> Tensor {
        guard !indices.isEmpty else { throw USPError(.argument, "an empty batch of images") }
        let images = try decode(indices, key)
        let (height, width) = (images[0].height, images[0].width)
        let channels = transform.mean.count
        for (place, image) in images.enumerated() {
            try require(
                image.height == height && image.width == width && image.channels == channels,
                .shape,
                "\(source.name(indices[place])): \(image.width) x \(image.height) pixels of "
                    + "\(image.channels) channels, expected \(width) x \(height) of \(channels)")
        }
        let result = try Tensor([images.count, channels, height, width])
        let (target, size) = (result.floats, channels * height * width)
        parallelRanges(images.count, grain: 1) { range in
            for place in range {
                transform.normalise(
                    images[place], key(indices[place]), into: target + place * size)
            }
        }
        return result
    }

    private func decode(
        _ indices: [Int], _ key: @Sendable (Int) -> RandomKey
    ) throws(USPError) -> [PixelImage] {
        try parallelMap(indices.count) { place throws(USPError) in
            do throws(USPError) {
                let image = try source.image(indices[place])
                return try transform.geometry(image, key(indices[place]))
            } catch {
                let name = source.name(indices[place])
                throw error.message.hasPrefix(name) ? error : error.at(name)
            }
        }
    }
}
