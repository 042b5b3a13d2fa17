// A folder of images without classes.

import USPBase
import USPFiles

extension ImageFolder {
    /// Lists a folder of images that has no subfolders; opens no image.
    ///
    /// - Throws: `.io` if it cannot be read, `.format` without images
    init(unlabelled path: String) throws(USPError) {
        let found = try ImageFolder.images(path)
        try require(
            !found.isEmpty, .format,
            "\(path): no PNG or JPEG file, and no subfolder for a class of them")
        (self.path, classNames) = (path, [])
        files = found.map { (path: $0, label: 0) }
    }

    /// One a file; nil in a folder without classes.
    var labels: [Int]? { classNames.isEmpty ? nil : files.map(\.label) }

    /// A folder with one subfolder for each class, or else of images without classes.
    static func any(_ path: String) throws(USPError) -> ImageFolder {
        let hasSubfolders = try FolderListing.names(path).contains {
            FolderListing.isFolder("\(path)/\($0)")
        }
        return try hasSubfolders ? ImageFolder(path) : ImageFolder(unlabelled: path)
    }
}
