// Images of one size held in memory as bytes, planes apart, with their labels.

import USPBase
import USPFiles
import USPTensor

/// `[N, C, H, W]` 8-bit pixels and one label each.
package struct LabelledImages: ImageSource {
    package let count: Int
    package let channels: Int
    package let height: Int
    package let width: Int
    package let classNames: [String]
    let pixels: [UInt8]
    private let labels: [UInt8]

    /// - pixels: `[N, C, H, W]` row-major; labels: N of them.
    /// - Throws: `.shape` if the counts do not fit, `.format` for a label without a class.
    package init(
        channels: Int, height: Int, width: Int, pixels: [UInt8], labels: [UInt8],
        classNames: [String]
    ) throws(USPError) {
        let shape = try Shape.checked(
            [labels.count, channels, height, width], dtype: .uint8, "images")
        try require(
            shape.count == pixels.count && shape.count > 0, .shape,
            "images: \(pixels.count) bytes for \(shape)")
        for (index, label) in labels.enumerated() where Int(label) >= classNames.count {
            throw USPError(
                .format, "label \(label) of image \(index): there are \(classNames.count) classes")
        }
        count = labels.count
        self.channels = channels
        self.height = height
        self.width = width
        self.pixels = pixels
        self.labels = labels
        self.classNames = classNames
    }

    package func label(_ index: Int) -> Int { Int(labels[index]) }

    package func image(_ index: Int) throws(USPError) -> PixelImage {
        try checkIndex(index)
        let plane = height * width
        let start = index * channels * plane
        var result = [UInt8](repeating: 0, count: channels * plane)
        for channel in 0..<channels {
            for i in 0..<plane {
                result[i * channels + channel] = pixels[start + channel * plane + i]
            }
        }
        return try PixelImage(width: width, height: height, channels: channels, pixels: result)
    }

    /// The first images only: the few-label regime takes `perClass` of each class, in order.
    package func firstOfEachClass(_ perClass: Int) throws(USPError) -> LabelledImages {
        var left = [Int](repeating: perClass, count: classNames.count)
        var chosen: [Int] = []
        for index in 0..<count where left[label(index)] > 0 {
            left[label(index)] -= 1
            chosen.append(index)
        }
        return try selecting(chosen)
    }

    /// The images of these numbers, in this order.
    package func selecting(_ indices: [Int]) throws(USPError) -> LabelledImages {
        let size = channels * height * width
        var bytes: [UInt8] = []
        bytes.reserveCapacity(indices.count * size)
        for index in indices {
            try checkIndex(index)
            bytes += pixels[index * size..<(index + 1) * size]
        }
        return try LabelledImages(
            channels: channels, height: height, width: width, pixels: bytes,
            labels: indices.map { labels[$0] }, classNames: classNames)
    }

    /// All of them, resampled bicubically to squares of another side.
    package func resized(_ side: Int) throws(USPError) -> LabelledImages {
        var planes: [UInt8] = []
        planes.reserveCapacity(count * channels * side * side)
        for index in 0..<count {
            let small = try image(index).resized(width: side, height: side, .bicubic)
            for channel in 0..<channels {
                planes += stride(from: channel, to: small.pixels.count, by: channels).map {
                    small.pixels[$0]
                }
            }
        }
        return try LabelledImages(
            channels: channels, height: side, width: side, pixels: planes, labels: labels,
            classNames: classNames)
    }

    /// `[B, C, H, W]` f32 in [−1, 1]: byte / 127.5 − 1.
    ///
    /// - mirrored: which of them are flipped left to right; nil = none.
    /// - Throws: `.argument` for an index out of range.
    package func batch(_ indices: [Int], mirrored: [Bool]? = nil) throws(USPError) -> Tensor {
        for index in indices { try checkIndex(index) }
        try require(
            mirrored == nil || mirrored?.count == indices.count, .shape,
            "mirrored: expected \(indices.count) flags")
        let result = try Tensor([indices.count, channels, height, width])
        let target = result.floats
        let size = channels * height * width
        pixels.withUnsafeBufferPointer { source in
            parallelRanges(indices.count, grain: rowGrain(width: size)) { range in
                for place in range {
                    let from = indices[place] * size
                    let to = target + place * size
                    let flips = mirrored?[place] ?? false
                    for line in stride(from: 0, to: size, by: width) {
                        for x in 0..<width {
                            let byte = source[from + line + (flips ? width - 1 - x : x)]
                            to[line + x] = Float(byte) / 127.5 - 1
                        }
                    }
                }
            }
        }
        return result
    }

    /// The labels of these images.
    package func labels(_ indices: [Int]) throws(USPError) -> [Int] {
        for index in indices { try checkIndex(index) }
        return indices.map { label($0) }
    }
}
