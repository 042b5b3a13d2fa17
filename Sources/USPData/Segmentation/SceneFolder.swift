// Two folders of one shape: images, and a label map for each.

import USPBase
import USPFiles
import USPTensor

/// Pairs of an image and its label map: the same path below each folder but for the ending.
/// Immutable: any thread.
package struct SceneFolder: Sendable {
    package let path: String
    package let maskPath: String
    /// Below the folders, in byte order of the images' paths.
    package let files: [(image: String, mask: String)]
    package let skipped: [SkippedFile]
    /// Whether label 0 is no class and the others move down by one.
    package let reducesZeroLabel: Bool

    /// Lists both folders; opens nothing.
    ///
    /// - Throws: `.format` without a pair, and naming images without a map and maps without an image
    package init(
        _ path: String, masks maskPath: String, reducesZeroLabel: Bool = false
    ) throws(USPError) {
        let (images, masks) = (try ImageListing(path), try ImageListing(maskPath))
        func stem(_ file: String) -> String {
            file.lastIndex(of: ".").map { String(file[..<$0]) } ?? file
        }
        var byStem: [String: String] = [:]
        for mask in masks.files { byStem[stem(mask)] = mask }
        var (pairs, alone): ([(image: String, mask: String)], [String]) = ([], [])
        for image in images.files {
            if let mask = byStem.removeValue(forKey: stem(image)) {
                pairs.append((image, mask))
            } else {
                alone.append(image)
            }
        }
        try SceneFolder.expectNone(alone, "\(path): images without a mask in \(maskPath)")
        try SceneFolder.expectNone(
            byStem.values.sorted(), "\(maskPath): masks without an image in \(path)")
        try require(
            !pairs.isEmpty, .format, "\(path): no images; expected pairs with masks in \(maskPath)")
        (self.path, self.maskPath, files) = (path, maskPath, pairs)
        skipped = images.skipped + masks.skipped
        self.reducesZeroLabel = reducesZeroLabel
    }

    private static func expectNone(_ names: [String], _ what: String) throws(USPError) {
        guard !names.isEmpty else { return }
        let some = names.prefix(3).joined(separator: ", ") + (names.count > 3 ? ", ..." : "")
        throw USPError(
            .format, "\(what): \(names.count) (\(some)); partners have one path but for the ending")
    }

    package var count: Int { files.count }
    package func name(_ index: Int) -> String { "\(path)/\(files[index].image)" }
    package func maskName(_ index: Int) -> String { "\(maskPath)/\(files[index].mask)" }

    /// The classes of an image's pixels.
    ///
    /// - Throws: `.unsupported` for masks of colours, naming the file
    package func labels(_ index: Int) throws(USPError) -> PixelImage {
        let name = maskName(index)
        let map = try locating(name) { () throws(USPError) in
            let file = try ByteView.file(name)
            if PNG.isPNG(file) { return try PNG.indices(file) }
            let image = try PixelImage.open(name, asStored: true)
            try require(
                image.channels == 1, .unsupported,
                "\(image.channels) channels, expected indices of classes: 8 bits, grey or of a "
                    + "palette")
            return image
        }
        return reducesZeroLabel ? try map.zeroLabelReduced() : map
    }

    /// Image and map, of one size.
    package func scene(_ index: Int) throws(USPError) -> LabelledScene {
        let image = try PixelImage.open(name(index), asStored: true).rgb()
        let labels = try labels(index)
        return try locating(maskName(index)) { () throws(USPError) in
            try LabelledScene(image, labels)
        }
    }

    /// How many pixels of all maps have each of the 256 labels.
    package func labelCounts() throws(USPError) -> [Int64] {
        let all = try parallelMap(count) { index throws(USPError) in
            let map = try labels(index)
            return map.counts(CropBox(left: 0, top: 0, width: map.width, height: map.height))
        }
        return all.reduce([Int64](repeating: 0, count: 256)) { zip($0, $1).map { $0 + $1 } }
    }

    /// What two of the same files have in common.
    package var fingerprint: String {
        var print = Fingerprint()
        for file in files {
            print.add(file.image)
            print.add(file.mask)
        }
        return print.text
    }
}
