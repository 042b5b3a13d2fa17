// The random resized crop: part of an image, of random area and shape.

import Glibc
import USPBase
import USPFiles

/// Where a crop lies, in pixels.
public struct CropBox: Sendable, Equatable {
    public let left: Int
    public let top: Int
    public let width: Int
    public let height: Int

    public init(left: Int, top: Int, width: Int, height: Int) {
        (self.left, self.top, self.width, self.height) = (left, top, width, height)
    }
}

/// torchvision's `RandomResizedCrop`, and the variant of TensorFlow code that probes use.
package struct RandomCrop: Sendable, Equatable {
    /// Side of the square result.
    package var size: Int
    /// Share of the image's area.
    package var scale: ClosedRange<Double> = 0.08...1
    /// Width over height, drawn evenly in its logarithm.
    package var ratio: ClosedRange<Double> = 3.0 / 4...4.0 / 3
    /// Draws until the box fits, ten times at most, then takes the middle; without, one box is
    /// drawn and cut to the image.
    package var retries = true

    package init(size: Int) { self.size = size }

    /// Draws a box in an image of this size.
    package func box(width: Int, height: Int, _ stream: inout RandomStream) -> CropBox {
        let area = Double(width * height)
        for _ in 0..<(retries ? 10 : 1) {
            let target = area * stream.between(scale.lowerBound, scale.upperBound)
            let shape = exp(stream.between(log(ratio.lowerBound), log(ratio.upperBound)))
            var w = roundHalfEven((target * shape).squareRoot())
            var h = roundHalfEven((target / shape).squareRoot())
            if !retries { (w, h) = (max(1, min(w, width)), max(1, min(h, height))) }
            guard w > 0 && h > 0 && w <= width && h <= height else { continue }
            let top = stream.below(height - h + 1)
            let left = stream.below(width - w + 1)
            return CropBox(left: left, top: top, width: w, height: h)
        }
        return middle(width: width, height: height)
    }

    /// The largest box in the middle whose shape is allowed.
    private func middle(width: Int, height: Int) -> CropBox {
        var (w, h) = (width, height)
        let shape = Double(width) / Double(height)
        if shape < ratio.lowerBound {
            h = min(height, max(1, roundHalfEven(Double(w) / ratio.lowerBound)))
        } else if shape > ratio.upperBound {
            w = min(width, max(1, roundHalfEven(Double(h) * ratio.upperBound)))
        }
        return CropBox(left: (width - w) / 2, top: (height - h) / 2, width: w, height: h)
    }
}
