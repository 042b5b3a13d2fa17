// Folders of images without a subfolder for each class.

import USPBase
import USPFiles

extension ImageFolder {
    /// Lists a folder of images without classes; opens no image.
    ///
    /// - Throws: `.io` if it cannot be read, `.format` without images
    init(unlabelled path: String, asStored: Bool = false) throws(USPError) {
        let listing = try ImageListing(path)
        let formats = ImageFormat.allCases.map(\.rawValue).joined(separator: ", ")
        try require(
            !listing.files.isEmpty, .format,
            "\(path): no image (\(formats)), and no subfolder for a class of them")
        self.init(path, classNames: [], listing, asStored)
    }

    /// Lists a folder whose labels are listed; opens no image.
    init(_ path: String, listed: ListedLabels, asStored: Bool) throws(USPError) {
        let unlabelled = try ImageFolder(unlabelled: path, asStored: asStored)
        let labels = try listed.labels(of: unlabelled.files.map(\.path))
        self.init(unlabelled, classNames: listed.classNames, labels, listed)
    }

    /// One a file; nil in a folder without classes.
    var labels: [Int]? { classNames.isEmpty ? nil : files.map(\.label) }

    /// A folder with one subfolder for each class, or whose `dataset.json` tells the classes, or else of
    /// images without classes.
    package static func any(_ path: String, asStored: Bool = false) throws(USPError) -> ImageFolder
    {
        if let listed = try ListedLabels(in: path) {
            return try ImageFolder(path, listed: listed, asStored: asStored)
        }
        let hasClasses = try FolderListing.names(path).contains {
            FolderListing.isFolder("\(path)/\($0)") && !ImageListing.isSystemFolder($0)
        }
        return try hasClasses
            ? ImageFolder(path, asStored: asStored)
            : ImageFolder(unlabelled: path, asStored: asStored)
    }
}
