// Files that come with the library, known by a name in place of a path.

import USPBase

package enum Weights {
    /// The small colour autoencoder: 4x4 pixels to 4 channels, of photographs (NOTICE names them).
    package static let small = "small"

    /// The path of the file that this name stands for, unless there is a file at such a path: in
    /// `share/usp` of the nearest folder above the library (or a program that it is linked into).
    /// - Throws: `.io` naming the folder that was looked for
    package static func path(_ name: String) throws(USPError) -> String? {
        guard name == small, !FolderListing.isFile(name), !FolderListing.isFolder(name) else {
            return nil
        }
        return try path(name, above: OwnFiles.library)
    }

    package static func path(_ name: String, above file: String) throws(USPError) -> String {
        var folder = file[...]
        while let slash = folder.lastIndex(of: "/") {
            folder = folder[..<slash]
            let path = "\(folder)/share/usp/\(name).safetensors"
            if FolderListing.isFile(path) { return path }
        }
        throw USPError(
            .io,
            "\"\(name)\" is share/usp/\(name).safetensors of an installed usp, and no folder above "
                + "\(file.isEmpty ? "this program" : file) has it; give the path of a file")
    }
}
