// Labelled images of one size, as batches for training.

import USPBase
import USPData
import USPTensor

/// A set of images in memory, with a label each. Immutable: any thread.
public struct ImageSet: Sendable {
    let images: LabelledImages

    init(_ images: LabelledImages) { self.images = images }

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
            try FashionMNIST.load(
                training ? .training : .test, folder: folder ?? FashionMNIST.debianFolder))
    }

    /// The first `count` of them, or all that there are.
    public func first(_ count: Int) throws(USPError) -> ImageSet {
        ImageSet(try images.selecting(Array(0..<max(0, min(count, images.count)))))
    }

    /// So many of them, evenly over the set, or all that there are.
    func spread(_ count: Int) throws(USPError) -> ImageSet {
        guard count < images.count else { return self }
        return ImageSet(
            try images.selecting((0..<max(0, count)).map { $0 * images.count / count }))
    }

    /// The same with another side, as Pillow resizes bicubically.
    func resized(_ side: Int) throws(USPError) -> ImageSet { ImageSet(try images.resized(side)) }

    /// In words that two equal sets have in common.
    var fingerprint: String { images.fingerprint }

    var channels: Int { images.channels }

    /// Posterior means through an autoencoder, of both orientations if wanted.
    func encoded(
        _ vae: VAE, mirrored: Bool, progress: (Int) throws(USPError) -> Void
    ) throws(USPError) -> LatentSet {
        var result = try LatentSet.encoding(
            labels: labels, count: count, channels: vae.configuration.latentChannels, batch: 100,
            mirrored: mirrored,
            images: { numbers, flips throws(USPError) in
                try images.batch(numbers, mirrored: numbers.map { _ in flips })
            },
            encode: { pixels throws(USPError) in try vae.encode(pixels).mean },
            progress: { done, _ throws(USPError) in try progress(done) })
        (result.scale, result.classNames) = ([1], classNames)
        result.applied = LatentScale(vae.scales, vae.shifts)
        result.origin = "\(fingerprint), autoencoder \(vae.fingerprint)"
        return result
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
