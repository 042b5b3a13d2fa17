// A folder of images with one subfolder for each class.

import USPBase
import USPFiles

/// PNG and JPEG files found once, decoded upright when asked for. Classes are the subfolders in byte
/// order of their names, images are in byte order of their paths (as torchvision's `ImageFolder`).
package struct ImageFolder: ImageSource {
    package let path: String
    package let classNames: [String]
    /// Paths below `path`, and the class of each.
    package let files: [(path: String, label: Int)]

    private static let endings = [".png", ".jpg", ".jpeg"]

    /// Lists the folder; opens no image.
    ///
    /// - Throws: `.io` if it cannot be read, `.format` without subfolders or without images.
    package init(_ path: String) throws(USPError) {
        let classes = try FolderListing.names(path).filter {
            FolderListing.isFolder("\(path)/\($0)")
        }
        try require(
            !classes.isEmpty, .format, "\(path): expected one subfolder for each class, found none")
        var files: [(path: String, label: Int)] = []
        for (label, name) in classes.enumerated() {
            for file in try ImageFolder.images(path, below: name) { files.append((file, label)) }
        }
        try require(!files.isEmpty, .format, "\(path): no PNG or JPEG file in its subfolders")
        self.path = path
        classNames = classes
        self.files = files
    }

    /// PNG and JPEG files in a folder (or a subfolder) and below it, in byte order of their paths
    /// from `root` on; less the grids and previews that `sample` wrote beside its images.
    package static func images(
        _ root: String, below folder: String? = nil
    ) throws(USPError) -> [String] {
        var (found, pending): ([String], [String?]) = ([], [folder])
        while let next = pending.popLast() {
            for name in try FolderListing.names(next.map { "\(root)/\($0)" } ?? root) {
                let file = next.map { "\($0)/\(name)" } ?? name
                if endings.contains(where: { name.lowercased().hasSuffix($0) }) {
                    found.append(file)
                } else if FolderListing.isFolder("\(root)/\(file)") {
                    pending.append(file)
                }
            }
        }
        let all = Set(found)
        return found.filter { !isComposed($0, root, all) }
            .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// Opens only what has the name of a grid or a preview: `x.png` beside `x-0000.png`.
    private static func isComposed(_ file: String, _ root: String, _ all: Set<String>) -> Bool {
        guard file.hasSuffix(".png") else { return false }
        let stem = file.dropLast(4)
        guard stem.hasSuffix("-preview") || all.contains("\(stem)-0000.png") else { return false }
        return PNG.isComposed("\(root)/\(file)")
    }

    package var count: Int { files.count }

    package func label(_ index: Int) -> Int { files[index].label }

    package func image(_ index: Int) throws(USPError) -> PixelImage {
        try checkIndex(index)
        return try PixelImage.open(name(index))
    }

    package func name(_ index: Int) -> String { "\(path)/\(files[index].path)" }
}
