// From an image and its label map to a training sample: segmentation's published pipeline.

import CKernels
import USPBase
import USPFiles

/// How samples are cut from images; the defaults are ADE20K's.
public struct SegmentationTransform: Sendable, Equatable {
    /// Side of the square sample.
    public var crop = 512
    /// Shorter and longer side that an image is rescaled into, times a random factor.
    public var short = 512
    public var long = 2048
    public var least = 0.5
    public var most = 2.0
    /// A crop in which one class has this share or more of the labelled pixels is drawn anew.
    public var categoryShare = 0.75
    /// Chance of a flip.
    public var flip = 0.5
    /// Colours change.
    public var distorts = true
    /// The label that is no class.
    public var ignored = 255
    /// Label 0 is no class, the others move down by one.
    public var reducesZeroLabel = false

    public init() {}
}

extension SegmentationTransform: Described {
    public static let title = "segmentation transform"
    public static let fields: [Field<SegmentationTransform>] = [
        .integer("crop", \.crop, .size, "Side of the square samples."),
        .integer("short_side", \.short, .size, "Shorter side that an image is rescaled into."),
        .integer("long_side", \.long, .size, "Longer side that an image is rescaled into."),
        .real(
            "least_scale", \.least, FieldRange(0.01, 100),
            "Least of the random factors of both sides."),
        .real("most_scale", \.most, FieldRange(0.01, 100), "Largest of these factors."),
        .real(
            "category_share", \.categoryShare, .share,
            "A crop in which one class has this share of the labelled pixels is drawn anew, up to "
                + "ten times; 1: any crop will do."),
        .real("flip", \.flip, .share, "Chance of left and right being exchanged."),
        .flag(
            "distort", \.distorts,
            "Brightness, contrast, saturation and hue change, each with a chance of a half."),
        .integer(
            "ignored", \.ignored, FieldRange(0, 255), "The label that is no class."),
        .flag(
            "reduce_zero_label", \.reducesZeroLabel,
            "Label 0 is no class and the others move down by one, as in ADE20K."),
    ]
}

/// An image and its label map (one channel), of one size.
package struct LabelledScene: Sendable, Equatable {
    package let image: PixelImage
    package let labels: PixelImage

    /// - Throws: `.shape` unless the sizes are the same and the labels have one channel
    package init(_ image: PixelImage, _ labels: PixelImage) throws(USPError) {
        try require(
            labels.channels == 1, .shape,
            "label map: \(labels.channels) channels, expected 1, indices of classes")
        try require(
            image.width == labels.width && image.height == labels.height, .shape,
            "label map of \(labels.height) x \(labels.width) for an image of "
                + "\(image.height) x \(image.width)")
        (self.image, self.labels) = (image, labels)
    }
}

extension SegmentationTransform {
    /// One training sample of at most `crop` pixels a side.
    package func apply(
        _ scene: LabelledScene, _ stream: inout RandomStream
    ) throws(USPError) -> LabelledScene {
        try require(
            least <= most, .argument, "least_scale: \(least), expected at most \(most)")
        var (image, labels) = (try scene.image.rgb(), scene.labels)
        if reducesZeroLabel { labels = try labels.zeroLabelReduced() }
        let factor = stream.between(least, most)
        let size = try ImageSize(image.height, image.width).rescaled(
            short: max(1, Int(Double(short) * factor)), long: max(1, Int(Double(long) * factor)))
        (image, labels) = (
            try image.rescaled(to: size), try labels.rescaledNearest(to: size)
        )
        let box = cropBox(labels, &stream)
        image = try image.cropped(
            left: box.left, top: box.top, width: box.width, height: box.height)
        labels = try labels.cropped(
            left: box.left, top: box.top, width: box.width, height: box.height)
        if Double(stream.uniform()) < flip {
            (image, labels) = (try image.mirrored(), try labels.mirrored())
        }
        if distorts { image = try image.distorted(.draw(&stream)) }
        return try LabelledScene(image, labels)
    }

    /// Writes a sample as a network takes it: `[3, crop, crop]` of (byte / 255 − mean) / deviation,
    /// and labels `[crop, crop]`; right of and below a smaller sample stand 0, the mean colour, and
    /// the ignored label.
    package func write(
        _ sample: LabelledScene, mean: [Float], deviation: [Float],
        image: UnsafeMutablePointer<Float>, labels: UnsafeMutablePointer<UInt8>
    ) {
        image.update(repeating: 0, count: 3 * crop * crop)
        sample.image.writePlanes(
            mean: mean, deviation: deviation, into: image, row: crop, plane: crop * crop)
        labels.update(repeating: UInt8(clamping: ignored), count: crop * crop)
        sample.labels.pixels.withUnsafeBufferPointer { pixels in
            guard let base = pixels.baseAddress else { return }
            for row in 0..<sample.labels.height {
                let width = sample.labels.width
                (labels + row * crop).update(from: base + row * width, count: width)
            }
        }
    }

    /// Draws until no class has too much of the labelled pixels, ten times; the next is taken
    /// whatever it shows.
    package func cropBox(_ labels: PixelImage, _ stream: inout RandomStream) -> CropBox {
        let (height, width) = (min(crop, labels.height), min(crop, labels.width))
        func draw() -> CropBox {
            let top = stream.below(labels.height - height + 1)
            let left = stream.below(labels.width - width + 1)
            return CropBox(left: left, top: top, width: width, height: height)
        }
        guard categoryShare < 1 else { return draw() }
        for _ in 0..<10 {
            let box = draw()
            var counts = labels.counts(box)
            counts[ignored] = 0
            let present = counts.filter { $0 > 0 }
            let largest = Double(present.max() ?? 0)
            let total = Double(present.reduce(0, +))
            if present.count > 1 && largest / total < categoryShare { return box }
        }
        return draw()
    }
}

extension PixelImage {
    /// How many pixels of a box of a label map have each label.
    func counts(_ box: CropBox) -> [Int64] {
        var counts = [Int64](repeating: 0, count: 256)
        pixels.withUnsafeBufferPointer { pixels in
            if let base = pixels.baseAddress {
                uspi_count_labels(
                    base + box.top * width + box.left, box.height, box.width, width, &counts)
            }
        }
        return counts
    }
}
