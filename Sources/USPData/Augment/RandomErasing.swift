// Random erasing (Zhong et al. 2017) in timm's form: boxes of a normalised image become noise.

import Glibc
import USPBase

/// How boxes are drawn and filled; the defaults are those with which MAE and USP are fine-tuned.
public struct RandomErasing: Sendable, Equatable {
    /// What stands in a box.
    public enum Fill: String, CaseIterable, Sendable {
        /// Standard normal noise for each value.
        case pixel
        /// One normal number for each channel.
        case color
        /// 0.
        case constant
    }

    /// Chance of an image to have something erased.
    public var probability = 0.25
    public var fill = Fill.pixel
    /// Boxes in an image that has some.
    public var count = 1
    /// Share of the image's area that is erased, of all boxes together.
    public var area: ClosedRange<Double> = 0.02...1.0 / 3
    /// Height over width, drawn evenly in its logarithm.
    public var aspect: ClosedRange<Double> = 0.3...1 / 0.3

    public init() {}

    /// Nothing is erased.
    public static let none: RandomErasing = {
        var result = RandomErasing()
        result.probability = 0
        return result
    }()
}

extension RandomErasing: Described {
    public static let title = "random erasing"
    public static let fields: [Field<RandomErasing>] = [
        .real(
            "erasing", \.probability, .share, "Chance of an image to have a box of it erased."),
        .choice(
            "erasing_fill", \.fill,
            "What is in the box: noise for each value, one random number for each channel, or 0."),
        .integer("erasing_count", \.count, FieldRange(1, 100), "Boxes in such an image."),
    ]
}

extension RandomErasing {
    /// The boxes to erase in an image of this size; none where chance has it so.
    package func boxes(height: Int, width: Int, _ stream: inout RandomStream) -> [CropBox] {
        guard Double(stream.uniform()) < probability else { return [] }
        return (0..<count).compactMap { _ in box(height: height, width: width, &stream) }
    }

    /// Draws until the box is smaller than the image, ten times at most.
    private func box(height: Int, width: Int, _ stream: inout RandomStream) -> CropBox? {
        let whole = Double(height * width) / Double(count)
        for _ in 0..<10 {
            let target = whole * stream.between(area.lowerBound, area.upperBound)
            let shape = exp(stream.between(log(aspect.lowerBound), log(aspect.upperBound)))
            let h = roundHalfEven((target * shape).squareRoot())
            let w = roundHalfEven((target / shape).squareRoot())
            guard w < width && h < height else { continue }
            let top = stream.below(height - h + 1)
            let left = stream.below(width - w + 1)
            return CropBox(left: left, top: top, width: w, height: h)
        }
        return nil
    }

    /// Erases what is drawn in a normalised image `[channels, height, width]`.
    package func erase(
        _ image: UnsafeMutablePointer<Float>, channels: Int, height: Int, width: Int,
        _ stream: inout RandomStream
    ) {
        for box in boxes(height: height, width: width, &stream) {
            for channel in 0..<channels {
                let level = fill == .color ? stream.normal() : 0
                for y in box.top..<box.top + box.height {
                    let row = image + (channel * height + y) * width + box.left
                    if fill == .pixel {
                        for x in 0..<box.width { row[x] = stream.normal() }
                    } else {
                        row.update(repeating: level, count: box.width)
                    }
                }
            }
        }
    }
}
