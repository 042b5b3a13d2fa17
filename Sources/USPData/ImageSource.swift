// Labelled images that can be had by number.

import USPBase
import USPFiles

/// A data set of images: what loaders read from, on several threads at once.
package protocol ImageSource: Sendable {
    var count: Int { get }
    /// Names of the classes; labels count into them.
    var classNames: [String] { get }
    /// The label of image `index`, 0 ..< classNames.count.
    func label(_ index: Int) -> Int
    /// The image itself, decoded.
    ///
    /// - Throws: `.io`, `.format` with the path; `.argument` for an index out of range.
    func image(_ index: Int) throws(USPError) -> PixelImage
    /// What an error calls the image.
    func name(_ index: Int) -> String
}

extension ImageSource {
    package var classCount: Int { classNames.count }

    package func name(_ index: Int) -> String { "image \(index)" }

    func checkIndex(_ index: Int) throws(USPError) {
        try require(
            (0..<count).contains(index), .argument, "image \(index): expected 0 to \(count - 1)")
    }
}
