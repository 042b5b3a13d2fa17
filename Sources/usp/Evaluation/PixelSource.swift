// The images that are to be scored, as bytes: a folder of image files, or an array.

import USPBase
import USPFiles
import USPKit
import USPTensor

struct PixelSource {
    private enum Content {
        /// Paths, in byte order.
        case files([String])
        /// `[N, H, W, C]`, 1 or 3 channels.
        case array(ByteView, Shape)
    }

    let path: String
    let count: Int
    private let content: Content

    /// All images in a folder and below it, as they are stored: the evaluators whose numbers are
    /// compared do not follow notes of orientation.
    ///
    /// - skipUnreadable: whether images that cannot be read are left out, and told; all are decoded
    ///   for that first
    /// - Throws: `.io`; `.format` if there are none
    init(folder: String, skipUnreadable: Bool) throws(USPError) {
        let listing = try ImageListing(folder)
        let files =
            skipUnreadable
            ? try PixelSource.readable(listing.files, folder) : listing.files
        for note in ImageListing.notes(listing.skipped) { complain("note: \(folder): \(note)") }
        try require(!files.isEmpty, .format, "\(folder): no image in it")
        (path, count, content) = (folder, files.count, .files(files.map { "\(folder)/\($0)" }))
    }

    private static func readable(
        _ files: [String], _ folder: String
    ) throws(USPError) -> [String] {
        let errors = try parallelMap(files.count) { place throws(USPError) -> USPError? in
            do throws(USPError) {
                _ = try PixelSource.open("\(folder)/\(files[place])")
                return nil
            } catch { return error }
        }
        for error in errors.compactMap({ $0 }) { complain("note: left out \(error.message)") }
        return zip(files, errors).compactMap { $1 == nil ? $0 : nil }
    }

    private static func open(_ path: String) throws(USPError) -> PixelImage {
        let file = try ByteView.file(path)
        return try locating(path) { () throws(USPError) in
            try require(
                !PNG.isComposed(file), .format,
                "a grid or preview of several images, which sample writes; move it elsewhere")
            return try PixelImage.decode(file, asStored: true)
        }
    }

    /// The array `arr_0` of a file, or an npy file's only one; nil if it holds no images.
    init?(_ path: String, _ table: ArchiveTable) throws(USPError) {
        guard let entry = table["arr_0"] ?? table["array"], entry.dtype == .uint8,
            entry.shape.rank == 4, [1, 3].contains(entry.shape[3]), entry.count > 0
        else { return nil }
        (self.path, count) = (path, entry.shape[0])
        content = .array(try entry.bytes(), entry.shape)
    }

    /// Why a file holds no images, and what would make some of what it has.
    static func problem(_ table: ArchiveTable) -> String {
        let expected = "expected images arr_0, u8 [N, H, W, 3] or [N, H, W, 1]"
        guard let entry = table["arr_0"] ?? table["array"] else {
            let names = table.entries.prefix(4).map { "\($0.name), \($0.dtype.name) \($0.shape)" }
            let images = table.entries.first { $0.shape.rank == 4 }
            return
                "no arr_0 in it, but \(names.isEmpty ? "nothing" : names.joined(separator: "; "))"
                + "; \(expected)"
                + (images.map { "; numpy.savez(file, \($0.name)) gives it that name" } ?? "")
        }
        let shape = entry.shape.extents
        let found = "\(entry.name) is \(entry.dtype.name) \(entry.shape), \(expected)"
        if shape.count != 4 || entry.count == 0 { return found }
        var ways: [String] = []
        if ![1, 3].contains(shape[3]) {
            if [1, 3].contains(shape[1]) {
                ways.append("its channels are in front: transpose(0, 2, 3, 1) moves them")
            } else if shape[3] == 4 {
                ways.append("its fourth channel is transparency: [..., :3] leaves it out")
            }
        }
        if entry.dtype.isFloating {
            ways.append(
                "its numbers are real: (255 * x).round().clip(0, 255).astype('uint8') makes bytes of "
                    + "0 ... 1, (127.5 * x + 127.5) of -1 ... 1")
        } else if entry.dtype != .uint8 {
            ways.append("astype('uint8') makes bytes of 0 ... 255")
        }
        return ([found] + ways).joined(separator: "; ")
    }

    /// The images from `first` on, at most `most`, fewer where the next one has another size:
    /// `[B, H, W, 3]`, u8.
    ///
    /// - Throws: `.io`, `.format` with the file's path
    func batch(from first: Int, most: Int) throws(USPError) -> Tensor {
        switch content {
        case .array(let bytes, let shape):
            let rows = min(most, count - first)
            let size = shape.count / count
            return try rgb(
                bytes.part(first * size, rows * size, path).bytes,
                [rows, shape[1], shape[2], shape[3]])
        case .files(let files):
            let images = try decode(files[first..<min(first + most, count)])
            let (height, width) = (images[0].height, images[0].width)
            let equal = images.prefix { $0.height == height && $0.width == width }
            let result = try Tensor([equal.count, height, width, 3], .uint8)
            for (index, image) in equal.enumerated() {
                image.pixels.withUnsafeBytes { source in
                    if let base = source.baseAddress {
                        (result.raw + index * source.count)
                            .copyMemory(from: base, byteCount: source.count)
                    }
                }
            }
            return result
        }
    }

    /// Grey is repeated.
    private func rgb(
        _ source: UnsafeRawBufferPointer, _ shape: Shape
    ) throws(USPError) -> Tensor {
        let result = try Tensor([shape[0], shape[1], shape[2], 3], .uint8)
        let target = UnsafeMutableRawBufferPointer(start: result.raw, count: result.byteCount)
        if shape[3] == 3 {
            target.copyMemory(from: source)
        } else {
            for (index, value) in source.enumerated() {
                for channel in 0..<3 { target[index * 3 + channel] = value }
            }
        }
        return result
    }

    private func decode(_ files: ArraySlice<String>) throws(USPError) -> [PixelImage] {
        let files = Array(files)
        return try parallelMap(files.count) { place throws(USPError) in
            try PixelSource.open(files[place]).rgb()
        }
    }
}
