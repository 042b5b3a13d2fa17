// Labelled images of one size, as batches for training.

import USPBase
import USPData
import USPTensor

/// A set of images in memory, with a label each. Immutable: any thread.
public struct ImageSet: Sendable {
    fileprivate let images: LabelledImages

    /// Fashion-MNIST (Xiao et al. 2017), 28x28 grey in a black frame of 32x32, ten classes.
    ///
    /// - training: the 60,000 images for training, or else the 10,000 for testing
    /// - folder: of its idx files, plain or gzipped; nil = where Debian's `dataset-fashion-mnist`
    ///   is
    /// - Throws: if a file is missing or no such set
    public static func fashionMNIST(training: Bool, folder: String? = nil) throws(USPError)
        -> ImageSet
    {
        ImageSet(
            images: try FashionMNIST.load(
                training ? .training : .test, folder: folder ?? FashionMNIST.debianFolder))
    }

    /// The first `count` of them, or all that there are.
    public func first(_ count: Int) throws(USPError) -> ImageSet {
        ImageSet(images: try images.selecting(Array(0..<max(0, min(count, images.count)))))
    }

    public var count: Int { images.count }
    /// One an image.
    public var labels: [Int] { (0..<images.count).map { images.label($0) } }
    public var classNames: [String] { images.classNames }

    /// The images of these numbers: `[B, C, H, W]` in −1 … 1, and their labels.
    ///
    /// - Throws: for a number that is none
    public func batch(_ numbers: some Sequence<Int>) throws(USPError) -> (
        images: Tensor, labels: [Int]
    ) {
        let numbers = Array(numbers)
        return (try images.batch(numbers), try images.labels(numbers))
    }
}

extension DataSet {
    /// Images in memory, as they are: neither cut nor mirrored.
    public convenience init(
        _ images: ImageSet, _ options: DataOptions = DataOptions()
    ) throws(USPError) {
        try self.init(images.images, options)
    }
}
