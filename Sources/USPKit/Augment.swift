// Changes to images on their way into training, one at a time or as they are drawn.

import USPBase
import USPData
import USPFiles
import USPTensor

/// Augmentations of 8-bit RGB images `[H, W, 3]` and of batches.
public enum Augment {
    /// One of RandAugment's operations, by timm's name and with its argument, to the bit as Pillow
    /// computes it; what comes from outside of the image is grey 128.
    ///
    /// - name: ShearX, ShearY (pixels per pixel), TranslateX, TranslateY (share of the side), Rotate
    ///   (degrees), Posterize (bits kept), Solarize (threshold), SolarizeAdd (what is added), Color,
    ///   Contrast, Brightness, Sharpness (factor); AutoContrast, Equalize, Invert without argument
    public static func operation(
        _ image: Tensor, _ name: String, _ argument: Double? = nil
    ) throws(USPError) -> Tensor {
        let operation = try AugmentOperation.named(name)
        return try Tensor(PixelImage(image).augmented(operation, argument))
    }

    /// The argument that timm gives an operation at a magnitude of 0 to 10: its size, the sign is
    /// drawn. nil: it has none.
    public static func level(_ name: String, _ magnitude: Double) throws(USPError) -> Double? {
        try AugmentLevel.named(name).argument(magnitude)
    }

    /// The image after what a policy draws for it from its stream of the seed.
    public static func random(
        _ image: Tensor, _ policy: RandAugment, seed: UInt64, sample: Int = 0
    ) throws(USPError) -> Tensor {
        try policy.checkFields()
        var stream = RandomStream(RandomKey(seed: seed).stream("augment").stream(sample))
        return try Tensor(policy.apply(PixelImage(image), &stream))
    }

    /// What classifiers are evaluated on: the shorter side to 256 for 224, and in that proportion,
    /// bicubically and antialiased, then the middle square. The bytes of Pillow.
    public static func evaluation(_ image: Tensor, size: Int = 224) throws(USPError) -> Tensor {
        let transform = ImageTransform.evaluation(size)
        return try Tensor(transform.geometry(PixelImage(image), RandomKey(seed: 0)))
    }

    /// Normalised images `[B, C, H, W]` with boxes erased; each has a stream of its own.
    public static func erase(
        _ images: Tensor, _ erasing: RandomErasing, seed: UInt64
    ) throws(USPError) -> Tensor {
        try erasing.checkFields()
        let shape = images.shape.extents
        try require(
            shape.count == 4 && images.dtype == .float32, .shape,
            "images: \(images.dtype.name) \(images.shape), expected f32 [B, C, H, W]")
        let result = try images.copied()
        let key = RandomKey(seed: seed).stream("erase")
        let each = shape[1] * shape[2] * shape[3]
        parallelRanges(shape[0], grain: 1) { range in
            for i in range {
                var stream = RandomStream(key.stream(i))
                erasing.erase(
                    result.floats + i * each, channels: shape[1], height: shape[2],
                    width: shape[3], &stream)
            }
        }
        return result
    }

    /// Samples `[B, C, H, W]`, pixels or latents, mixed with one another, and the shares of their
    /// labels `[B, K]`, smoothed.
    public static func mix(
        _ samples: Tensor, labels: [Int], classes: Int, _ mixing: Mixing, seed: UInt64
    ) throws(USPError) -> (samples: Tensor, targets: Tensor) {
        try mixing.checkFields()
        try require(
            samples.shape.rank == 4, .shape, "samples: \(samples.shape), expected [B, C, H, W]")
        var stream = RandomStream(RandomKey(seed: seed).stream("mix"))
        let draws = mixing.draw(
            samples.shape[0], height: samples.shape[2], width: samples.shape[3], &stream)
        return (
            try mixing.mix(samples, draws), try mixing.targets(labels, classes: classes, draws)
        )
    }
}

extension PixelImage {
    /// Of a tensor `[H, W, C]`, u8; a label map without the last axis.
    package init(_ tensor: Tensor, _ name: String = "image") throws(USPError) {
        let shape = tensor.shape.extents
        try require(
            tensor.dtype == .uint8, .dtype, "\(name): dtype \(tensor.dtype.name), expected u8")
        try require(
            (2...3).contains(shape.count) && tensor.count > 0, .shape,
            "\(name): shape \(tensor.shape), expected [H, W, C] of at least one pixel")
        try SystemMemory.expect(tensor.count, of: UInt8.self)
        let bytes = UnsafeRawBufferPointer(start: tensor.raw, count: tensor.count)
        try self.init(
            width: shape[1], height: shape[0], channels: shape.count == 3 ? shape[2] : 1,
            pixels: Array(bytes))
    }
}

extension Tensor {
    /// `[H, W, C]`, u8.
    package convenience init(_ image: PixelImage) throws(USPError) {
        try self.init([image.height, image.width, image.channels], .uint8)
        image.pixels.withUnsafeBytes { bytes in
            if let base = bytes.baseAddress { raw.copyMemory(from: base, byteCount: bytes.count) }
        }
    }
}
