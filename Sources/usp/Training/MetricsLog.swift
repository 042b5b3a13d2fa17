// The log of a run: one JSON object a line.

import Glibc
import USPBase
import USPFiles

struct MetricsLog {
    private let path: String

    /// Begins a log, or goes on with the lines of an earlier run up to a step.
    ///
    /// - heading: the first line of a new log
    init(_ path: String, upTo step: Int, heading: JSON) throws(USPError) {
        self.path = path
        var lines = [heading.compact]
        if step > 0, FolderListing.isFile(path) {
            let kept = String(decoding: try readBytes(path), as: UTF8.self)
                .split(separator: "\n").map(String.init)
                .filter { line in
                    guard let at = (try? JSON(parsing: line))?["step"]?.integer else {
                        return false
                    }
                    return at <= step
                }
            lines += kept
        }
        let file = try AtomicFile(path)
        try file.write(lines.joined(separator: "\n") + "\n")
        try file.commit()
    }

    func add(_ members: [JSON.Member]) throws(USPError) {
        let bytes = Array((JSON.object(members).compact + "\n").utf8)
        let descriptor = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
        defer { if descriptor >= 0 { close(descriptor) } }
        guard descriptor >= 0, write(descriptor, bytes, bytes.count) == bytes.count else {
            throw USPError(.io, "\(path): cannot write: \(String(cString: strerror(errno)))")
        }
    }
}
