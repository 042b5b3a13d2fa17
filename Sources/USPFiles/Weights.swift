// Files that the library brings along, known by a name in place of a path.

import CFiles
import USPBase

package enum Weights {
    /// The small colour autoencoder: 4x4 pixels to 4 channels, of photographs (NOTICE names them).
    package static let small = "small"

    /// The bytes of the file that this name stands for, unless there is a file at such a path.
    static func bytes(_ name: String) -> ByteView? {
        guard name == small, !FolderListing.isFile(name), !FolderListing.isFolder(name) else {
            return nil
        }
        var size = 0
        guard let base = uspi_weights_small(&size) else { return nil }
        // SAFETY: static memory of the library, only read; the owner keeps nothing.
        return ByteView(base: base, count: size, owner: Static())
    }

    private final class Static: Sendable {}
}
