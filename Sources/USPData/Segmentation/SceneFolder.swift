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
    package private(set) var files: [(image: String, mask: String)]
    package let skipped: [SkippedFile]
    /// Whether label 0 is no class and the others move down by one.
    package let reducesZeroLabel: Bool
    /// Whether images stay as PIL gives them, however their camera was held; see `PixelImage.open`.
    package let asStored: Bool
    /// Whether another pair takes the place of one that cannot be read.
    package var skipsUnreadable = false
    /// A label that is no class, beside 255, once the others have moved down.
    package var ignored = 255
    /// Of the images as they were listed, then of the masks.
    private var stamps: [FileStamp] = []
    private(set) var checksums = SampleChecksums(count: 0)
    private let unreadablePairs = UnreadableImages()

    /// Lists both folders; opens nothing.
    ///
    /// - Throws: `.format` without a pair, and naming images without a map and maps without an image
    package init(
        _ path: String, masks maskPath: String, reducesZeroLabel: Bool = false,
        asStored: Bool = false
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
        (self.reducesZeroLabel, self.asStored) = (reducesZeroLabel, asStored)
        inspectFiles()
    }

    private mutating func inspectFiles() {
        stamps =
            files.indices.map { FileStamp(name($0)) }
            + files.indices.map { FileStamp(maskName($0)) }
        checksums = SampleChecksums(count: stamps.count)
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
            let image =
                PNG.isPNG(file)
                ? try PNG.indices(file) : try PixelImage.decode(file, asStored: true)
            try require(
                image.channels == 1, .unsupported,
                "\(image.channels) channels, expected indices of classes: 8 bits, grey or of a "
                    + "palette")
            note(count + index, file)
            return image
        }
        let reduced = reducesZeroLabel ? try map.zeroLabelReduced() : map
        return try reduced.without(label: ignored)
    }

    /// Image and map, of one size; another pair's where they cannot be read and that is wanted.
    package func scene(_ index: Int) throws(USPError) -> LabelledScene {
        guard skipsUnreadable else {
            do throws(USPError) {
                return try read(index)
            } catch {
                // Masks of a wrong kind rarely come alone.
                guard error.kind == .io || error.kind == .format else { throw error }
                throw error.offeringSkip(Self.substitute)
            }
        }
        if let scene = try unreadablePairs.first(from: index, in: 0..<count, read) { return scene }
        throw USPError(
            .format,
            "\(path): none of the \(count) images and their masks can be read; "
                + (unreadablePairs[index]?.message ?? ""))
    }

    /// The same, but nil for a pair that cannot be read and may be left out.
    package func measured(_ index: Int) throws(USPError) -> LabelledScene? {
        skipsUnreadable ? try unreadablePairs.readable(index, read) : try read(index)
    }

    private func read(_ index: Int) throws(USPError) -> LabelledScene {
        let file = try ByteView.file(name(index))
        let image = try locating(name(index)) { () throws(USPError) in
            try require(
                !PNG.isComposed(file), .format,
                "a grid or preview of several images, which sample writes; move it elsewhere")
            let image = try PixelImage.decode(file, asStored: asStored).rgb()
            note(index, file)
            return image
        }
        let labels = try labels(index)
        return try locating(maskName(index)) { () throws(USPError) in
            do throws(USPError) {
                return try LabelledScene(image, labels)
            } catch {
                guard !asStored, image.width == labels.height, image.height == labels.width else {
                    throw error
                }
                throw USPError(
                    error.kind,
                    "\(error.message); if the image was turned upright by its camera's note, "
                        + "as_stored leaves it as it is")
            }
        }
    }

    /// How many pixels of all maps have each of the 256 labels.
    package func labelCounts() throws(USPError) -> [Int64] {
        let all = try parallelMap(count) { index throws(USPError) in
            let map =
                skipsUnreadable ? try unreadablePairs.readable(index, labels) : try labels(index)
            return map.map {
                $0.counts(CropBox(left: 0, top: 0, width: $0.width, height: $0.height))
            }
        }
        return all.reduce([Int64](repeating: 0, count: 256)) { sum, counts in
            counts.map { zip(sum, $0).map { $0 + $1 } } ?? sum
        }
    }

    private static let substitute = "another image with its mask"

    /// Pairs that could not be read so far.
    var unreadable: [UnreadableImage] {
        unreadablePairs.all.map {
            UnreadableImage(
                path: files[$0.index].image, reason: $0.error.message,
                substitute: Self.substitute)
        }
    }

    // MARK: what the files held

    private func note(_ number: Int, _ file: ByteView) {
        checksums.note(number) { checksum(file) }
    }

    private func checksum(_ file: ByteView) -> Int {
        withExtendedLifetime(file.owner) { SampleRecord.checksum([file.bytes]) }
    }

    /// Images, then masks, as far as they were read.
    var record: SampleRecord {
        SampleRecord(
            paths: files.map(\.image) + files.map { Self.maskWord + $0.mask }, stamps: stamps,
            checksums: checksums.all)
    }

    private static let maskWord = "mask "

    /// The pairs that an earlier run saw; what is known of those that it read is kept.
    ///
    /// - place: the file of the run's state, for errors
    /// - Throws: `.argument` naming images and masks that are others
    func continuing(
        _ earlier: SampleRecord, canSkip: Bool, _ place: String
    ) throws(USPError) -> SceneFolder {
        let record = record
        let difference = try record.difference(from: earlier) { number throws(USPError) in
            try checksum(ByteView.file(number < count ? name(number) : maskName(number - count)))
        }
        try require(
            difference.changed.isEmpty && difference.new.isEmpty
                && (difference.gone.isEmpty || canSkip), .argument,
            "\(place): an earlier run saw other images: in \(path) "
                + difference.text { record.paths[$0] }
                + (difference.changed.isEmpty && difference.new.isEmpty
                    ? "; put back what is gone, or go on with skip_unreadable, which takes "
                        + "\(Self.substitute) in its place"
                    : "; put them back, give another output, or restart"))
        var result = self
        if !difference.gone.isEmpty {
            let half = earlier.paths.count / 2
            result.files = zip(earlier.paths.prefix(half), earlier.paths.suffix(half)).map {
                (image: $0, mask: String($1.dropFirst(Self.maskWord.count)))
            }
            result.inspectFiles()
        }
        result.checksums.adopt(earlier.checksums)
        return result
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
