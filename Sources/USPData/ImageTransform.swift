// From a decoded image to the numbers that a model sees.

import CKernels
import USPBase
import USPFiles
import USPTensor

/// One step of geometry.
package enum ImageStep: Sendable, Equatable {
    /// ADM's centre crop to a square of this side.
    case centreCropADM(Int)
    /// Shorter side to this, bicubically.
    case resizeShorter(Int)
    /// The middle square of this side.
    case centreCrop(Int)
    /// A random crop, resized bicubically.
    case randomCrop(RandomCrop)
    /// Flip left to right with this probability.
    case mirror(Float)
    /// Operations on bytes, drawn from a stream of their own.
    case augment(RandAugment)
}

/// Geometry, then (byte / 255 − mean) / deviation for each channel.
package struct ImageTransform: Sendable, Equatable {
    package var steps: [ImageStep]
    /// One for each channel: 1 entry = grey images, 3 = RGB.
    package var mean: [Float]
    package var deviation: [Float]
    /// Colours become grey first.
    package var makesGrey = false
    /// Of what is normalised, from a stream of its own.
    package var erasing = RandomErasing.none

    package init(_ steps: [ImageStep], mean: [Float], deviation: [Float]) {
        self.steps = steps
        self.mean = mean
        self.deviation = deviation
    }

    /// To [−1, 1], as every autoencoder takes it; grey images with one channel.
    package init(_ steps: [ImageStep], channels: Int = 3) {
        let half = [Float](repeating: 0.5, count: channels)
        self.init(steps, mean: half, deviation: half)
    }

    /// What DiT and SiT are trained on.
    package static func generation(_ size: Int, channels: Int = 3) -> ImageTransform {
        ImageTransform([.centreCropADM(size), .mirror(0.5)], channels: channels)
    }

    /// What is cached of each image, of one orientation.
    package static func caching(_ size: Int, mirrored: Bool, channels: Int = 3) -> ImageTransform {
        ImageTransform([.centreCropADM(size)] + (mirrored ? [.mirror(1)] : []), channels: channels)
    }

    /// What USP is pretrained on.
    package static func pretraining(_ size: Int, channels: Int = 3) -> ImageTransform {
        var crop = RandomCrop(size: size)
        crop.scale = 0.2...1
        return ImageTransform([.randomCrop(crop), .mirror(0.5)], channels: channels)
    }

    /// What classifiers are trained on.
    package static func classification(_ size: Int, channels: Int = 3) -> ImageTransform {
        ImageTransform([.randomCrop(RandomCrop(size: size)), .mirror(0.5)], channels: channels)
    }

    /// What classifiers are evaluated on: 256 to 224, or in that proportion.
    package static func evaluation(_ size: Int, channels: Int = 3) -> ImageTransform {
        ImageTransform(
            [.resizeShorter(size * 256 / 224), .centreCrop(size)], channels: channels)
    }

    /// What linear probes are trained on: one draw without retry.
    package static func probe(_ size: Int, channels: Int = 3) -> ImageTransform {
        var crop = RandomCrop(size: size)
        crop.retries = false
        return ImageTransform([.randomCrop(crop), .mirror(0.5)], channels: channels)
    }

    /// The geometry alone.
    package func geometry(_ image: PixelImage, _ key: RandomKey) throws(USPError) -> PixelImage {
        var stream = RandomStream(key)
        var result = mean.count == 3 ? try image.rgb() : makesGrey ? try image.grey() : image
        for step in steps {
            switch step {
            case .centreCropADM(let size): result = try result.centreCropADM(size)
            case .resizeShorter(let size): result = try result.resizedShorter(size, .bicubic)
            case .centreCrop(let size): result = try result.centreCrop(size)
            case .mirror(let share):
                if stream.uniform() < share { result = try result.mirrored() }
            case .randomCrop(let crop):
                let box = crop.box(width: result.width, height: result.height, &stream)
                result = try result.cropped(
                    left: box.left, top: box.top, width: box.width, height: box.height
                ).resized(width: crop.size, height: crop.size, .bicubic)
            case .augment(let policy):
                var own = RandomStream(key.stream("augment"))
                let (grey, image) = (result.channels == 1, result)
                let changed = try policy.apply(grey ? image.rgb() : image, &own)
                result = grey ? try changed.grey() : changed
            }
        }
        return result
    }

    /// Writes the normalised image `[C, H, W]`, and erases what is drawn for it.
    package func normalise(
        _ image: PixelImage, _ key: RandomKey, into target: UnsafeMutablePointer<Float>
    ) {
        image.writePlanes(mean: mean, deviation: deviation, into: target)
        guard erasing.probability > 0 else { return }
        var stream = RandomStream(key.stream("erase"))
        erasing.erase(
            target, channels: image.channels, height: image.height, width: image.width, &stream)
    }
}

extension PixelImage {
    /// Writes (byte / 255 − mean) / deviation of each channel `[C, height, width]`.
    ///
    /// - row: from one row of the target to the next; nil: the width
    /// - plane: from one channel to the next; nil: the height of such rows
    package func writePlanes(
        mean: [Float], deviation: [Float], into target: UnsafeMutablePointer<Float>,
        row: Int? = nil, plane: Int? = nil
    ) {
        let row = row ?? width
        let tables = (0..<channels).flatMap { channel in
            (0..<256).map { (Float($0) / 255 - mean[channel]) / deviation[channel] }
        }
        uspi_lookup_planes(
            pixels, height, width, channels, tables, target, row, plane ?? row * height)
    }
}
