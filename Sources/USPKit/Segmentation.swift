// What segmentation does to images, label maps and windows.

import USPBase
import USPData
import USPFiles
import USPTensor

/// Steps of segmentation's published pipelines, one at a time.
public enum Segmentation {
    /// An image `[H, W, C]`, u8, of another size: OpenCV's bilinear resizing, byte for byte.
    public static func resize(_ image: Tensor, to size: ImageSize) throws(USPError) -> Tensor {
        try Tensor(PixelImage(image).rescaled(to: size))
    }

    /// A label map `[H, W]`, u8, of another size: every label is one of the old map's, at
    /// ⌊i·old/new⌋.
    public static func resize(labels: Tensor, to size: ImageSize) throws(USPError) -> Tensor {
        try Tensor(map(labels).rescaledNearest(to: size)).reshaped([size.height, size.width])
    }

    /// A label map `[H, W]`, u8, in which 0 has become 255 and the rest have moved down by one.
    public static func reduceZeroLabel(_ labels: Tensor) throws(USPError) -> Tensor {
        try Tensor(map(labels).zeroLabelReduced()).reshaped(labels.shape)
    }

    /// An RGB image `[H, W, 3]`, u8, with other colours.
    public static func distort(
        _ image: Tensor, _ distortion: PhotometricDistortion
    ) throws(USPError) -> Tensor {
        try Tensor(PixelImage(image).distorted(distortion))
    }

    /// A training sample of an image `[H, W, 3]` and its label map `[H, W]`, both u8, from its
    /// stream of the seed.
    public static func sample(
        _ image: Tensor, labels: Tensor, _ transform: SegmentationTransform, seed: UInt64,
        sample: Int = 0
    ) throws(USPError) -> (image: Tensor, labels: Tensor) {
        try transform.checkFields()
        var stream = RandomStream(RandomKey(seed: seed).stream("segment").stream(sample))
        let scene = try transform.apply(LabelledScene(PixelImage(image), map(labels)), &stream)
        return (
            try Tensor(scene.image),
            try Tensor(scene.labels).reshaped([scene.labels.height, scene.labels.width])
        )
    }

    private static func map(_ labels: Tensor) throws(USPError) -> PixelImage {
        try require(
            labels.shape.rank == 2, .shape,
            "labels: shape \(labels.shape), expected [H, W], indices of classes")
        return try PixelImage(labels, "labels")
    }
}
