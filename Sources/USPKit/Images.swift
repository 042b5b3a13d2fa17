// Files of pixels.

import USPBase
import USPData
import USPFiles
import USPTensor

/// Reading and writing images.
public enum Images {
    /// The pixels of a file, `[H, W, C]` u8; its content decides the format.
    ///
    /// - asStored: as PIL gives them, not turned upright by the camera's note
    /// - Throws: `.io`, `.format`, `.unsupported` with the path in front
    public static func read(_ path: String, asStored: Bool = false) throws(USPError) -> Tensor {
        let image = try PixelImage.open(path, asStored: asStored)
        let result = try Tensor([image.height, image.width, image.channels], .uint8)
        result.raw.assumingMemoryBound(to: UInt8.self).update(
            from: image.pixels, count: image.pixels.count)
        return result
    }

    /// Writes pixels `[H, W, C]` u8 as a PNG, which appears complete or not at all.
    public static func write(_ path: String, _ pixels: Tensor) throws(USPError) {
        let shape = pixels.shape
        try require(
            shape.rank == 3 && pixels.dtype == .uint8 && (1...4).contains(shape[2])
                && shape.count > 0, .shape,
            "pixels: \(pixels.dtype.name) \(shape), expected u8 [H, W, C], C 1 to 4")
        let values = UnsafeBufferPointer(
            start: pixels.raw.assumingMemoryBound(to: UInt8.self), count: pixels.count)
        try PNG.write(
            path,
            PixelImage(
                width: shape[1], height: shape[0], channels: shape[2], pixels: Array(values)))
    }

    /// The images among these paths, and below those that are folders, in their order.
    ///
    /// - Throws: `.io` naming a path that is not there; `.format` for a folder without images
    public static func paths(_ given: [String]) throws(USPError) -> [String] {
        var result: [String] = []
        for path in given {
            guard FolderListing.isFolder(path) else {
                result.append(path)
                continue
            }
            let files = try ImageListing(path).files
            try require(!files.isEmpty, .format, "\(path): no image in it")
            result += files.map { "\(path)/\($0)" }
        }
        return result
    }

    /// An image as a model sees it: `[1, C, side, side]` in −1 … 1.
    ///
    /// - crop: `.evaluation` or `.middle`
    public static func square(
        _ path: String, side: Int, channels: Int, crop: Augmentation = .middle,
        asStored: Bool = false
    ) throws(USPError) -> Tensor {
        var options = DataOptions()
        (options.size, options.augmentation) = (side, crop)
        options.channels = channels
        try options.checkFields()
        let transform = try options.transform(channels: channels)
        let image = try PixelImage.open(path, asStored: asStored)
        let result = try Tensor([1, channels, side, side])
        try locating(path) { () throws(USPError) in
            transform.normalise(
                try transform.geometry(image, RandomKey(seed: 0)), RandomKey(seed: 0),
                into: result.floats)
        }
        return result
    }
}
