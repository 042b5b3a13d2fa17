// What a folder holds.

import Glibc
import USPBase

package enum FolderListing {
    /// The names in a folder, in byte order, without those that start with a dot.
    ///
    /// - Throws: `.io` with the path
    package static func names(_ path: String) throws(USPError) -> [String] {
        guard let folder = opendir(path) else {
            throw USPError(.io, "\(path): \(String(cString: strerror(errno)))")
        }
        defer { closedir(folder) }
        var result: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { field in
                field.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if !name.hasPrefix(".") { result.append(name) }
        }
        return result.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// Makes a folder, and those that it is in; one that is there stays.
    ///
    /// - Throws: `.io` with the path
    package static func make(_ path: String) throws(USPError) {
        let ends =
            path.indices.filter { path[$0] == "/" && $0 != path.startIndex } + [path.endIndex]
        for end in ends where mkdir(String(path[..<end]), 0o777) != 0 {
            let error = errno
            guard error == EEXIST || isFolder(String(path[..<end])) else {
                throw USPError(
                    .io, "\(path): cannot make the folder: \(String(cString: strerror(error)))")
            }
        }
        try require(isFolder(path), .io, "\(path): is not a folder")
    }

    /// Whether the path names a folder (or a link to one).
    package static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// Whether two paths name one file that exists.
    package static func areSame(_ path: String, _ other: String) -> Bool {
        var (first, second) = (stat(), stat())
        return stat(path, &first) == 0 && stat(other, &second) == 0
            && first.st_ino == second.st_ino && first.st_dev == second.st_dev
    }

    /// Whether the path names a file.
    package static func isFile(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }
}
