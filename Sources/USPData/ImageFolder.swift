// A folder of images with one subfolder for each class.

import USPBase
import USPFiles

/// Image files found once, decoded when asked for. Classes are the subfolders in byte order of
/// their names, images are in byte order of their paths (as torchvision's `ImageFolder`). Folders
/// that systems leave behind are no classes, and links that lead up are not followed.
package struct ImageFolder: ImageSource {
    package let path: String
    package let classNames: [String]
    /// Paths below `path`, and the class of each.
    package private(set) var files: [(path: String, label: Int)]
    /// What else is in the folder.
    package let skipped: [SkippedFile]
    /// The classes of its files, where not their subfolders are.
    private let listed: ListedLabels?
    /// Whether images stay as PIL gives them, however their camera was held; see `PixelImage.open`.
    package let asStored: Bool
    /// Whether another image of its class takes the place of one that cannot be read.
    package var skipsUnreadable = false
    /// Of the files, as they were listed.
    private(set) var stamps: [FileStamp] = []
    private(set) var checksums = SampleChecksums(count: 0)
    let unreadable = UnreadableImages()

    /// Lists the folder; opens no image.
    ///
    /// - Throws: `.io` if it cannot be read; `.format` without subfolders, or naming one without an
    ///   image; `.unsupported` naming a library that is needed
    package init(_ path: String, asStored: Bool = false) throws(USPError) {
        var classes: [String] = []
        var skipped: [SkippedFile] = []
        for name in try FolderListing.names(path) {
            if !FolderListing.isFolder("\(path)/\(name)") {
                skipped.append(SkippedFile(path: name, reason: "beside the folders of the classes"))
            } else if ImageListing.isSystemFolder(name) {
                skipped.append(
                    SkippedFile(path: name, reason: "a folder of the system's, no class"))
            } else {
                classes.append(name)
            }
        }
        try require(
            !classes.isEmpty, .format, "\(path): expected one subfolder for each class, found none")
        var files: [(path: String, label: Int)] = []
        for (label, name) in classes.enumerated() {
            let listing = try ImageListing(path, below: name)
            try ImageFolder.expectImages(listing, "\(path)/\(name)")
            for file in listing.files { files.append((file, label)) }
            skipped += listing.skipped
        }
        self.path = path
        self.files = files
        self.skipped = skipped
        self.asStored = asStored
        (classNames, listed) = (classes, nil)
        inspectFiles()
    }

    /// All images of a listing, of class 0.
    init(_ path: String, classNames: [String], _ listing: ImageListing, _ asStored: Bool) {
        (self.path, self.classNames, self.asStored) = (path, classNames, asStored)
        listed = nil
        files = listing.files.map { (path: $0, label: 0) }
        skipped = listing.skipped
        inspectFiles()
    }

    /// The same files with labels, which are listed.
    init(_ other: ImageFolder, classNames: [String], _ labels: [Int]?, _ listed: ListedLabels) {
        (path, asStored, self.classNames) = (other.path, other.asStored, classNames)
        (skipped, self.listed) = (other.skipped.filter { $0.path != ListedLabels.file }, listed)
        files = zip(other.files, labels ?? other.files.map(\.label)).map { ($0.path, $1) }
        inspectFiles()
    }

    private mutating func inspectFiles() {
        stamps = files.map { FileStamp("\(path)/\($0.path)") }
        checksums = SampleChecksums(count: files.count)
    }

    /// The files of an earlier listing, of which some may be gone.
    ///
    /// - Throws: `.argument` for a file of no class that there is
    func listing(_ paths: [String]) throws(USPError) -> ImageFolder {
        let numbers = Dictionary(uniqueKeysWithValues: zip(classNames, 0...))
        var result = self
        if let labels = try listed?.labels(of: paths) {
            result.files = zip(paths, labels).map { ($0, $1) }
            result.inspectFiles()
            return result
        }
        result.files = try paths.map { path throws(USPError) in
            guard !classNames.isEmpty else { return (path: path, label: 0) }
            let name = String(path.prefix { $0 != "/" })
            guard let label = numbers[name] else {
                throw USPError(.argument, "\(self.path): the class \(name) is gone")
            }
            return (path: path, label: label)
        }
        result.inspectFiles()
        return result
    }

    /// A class without images would shift or empty labels without a word.
    private static func expectImages(_ listing: ImageListing, _ path: String) throws(USPError) {
        guard listing.files.isEmpty else { return }
        let notes = ImageListing.notes(listing.skipped).joined(separator: "; ")
        let formats = ImageFormat.allCases.map(\.rawValue).joined(separator: ", ")
        throw USPError(
            .format,
            "\(path): a class without images, expected \(formats) files in it or below"
                + "\(notes.isEmpty ? "" : " (\(notes))"); remove the folder if it is no class")
    }

    package var count: Int { files.count }

    package func label(_ index: Int) -> Int { files[index].label }

    package func name(_ index: Int) -> String { "\(path)/\(files[index].path)" }
}
