// Where this library or program lies.

import CFiles
import Glibc

/// Folders beside which its other files are.
package enum OwnFiles {
    /// The library's path, or that of the program that this is linked into; empty where the system
    /// does not say.
    static let library: String =
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { path in
            // SAFETY: the function writes at most `count` bytes and ends them with a zero.
            guard let base = path.baseAddress, uspi_own_file(base, path.count) > 0 else {
                return ""
            }
            return String(cString: base)
        }

    /// Of the library, of the program, and `lib` beside each.
    package static var folders: [String] {
        var files = [library]
        var buffer = [UInt8](repeating: 0, count: 4096)
        let length = readlink("/proc/self/exe", &buffer, buffer.count)
        if length > 0 { files.append(String(decoding: buffer[..<length], as: UTF8.self)) }
        var folders: [String] = []
        for file in files {
            guard let slash = file.lastIndex(of: "/") else { continue }
            for folder in [String(file[..<slash]), "\(file[..<slash])/../lib"]
            where !folders.contains(folder) { folders.append(folder) }
        }
        return folders
    }
}
