// Where this library or program lies.

import CFiles
import Glibc

/// Folders beside which its other files are.
package enum OwnFiles {
    /// Of the library, of the program, and `lib` beside each.
    package static var folders: [String] {
        var files: [String] = []
        if let own = uspi_own_file() { files.append(String(cString: own)) }
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
