// A folder of images without classes.

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

    /// One a file; nil in a folder without classes.
    var labels: [Int]? { classNames.isEmpty ? nil : files.map(\.label) }

    /// A folder with one subfolder for each class, or else of images without classes.
    package static func any(_ path: String, asStored: Bool = false) throws(USPError) -> ImageFolder
    {
        let hasClasses = try FolderListing.names(path).contains {
            FolderListing.isFolder("\(path)/\($0)") && !ImageListing.isSystemFolder($0)
        }
        return try hasClasses
            ? ImageFolder(path, asStored: asStored)
            : ImageFolder(unlabelled: path, asStored: asStored)
    }
}
