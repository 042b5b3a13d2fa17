// One holder at a time, across processes.

import Glibc
import USPBase

/// A file whose holder has something for itself. Whoever ends, however that may be, lets go of it;
/// a file that is left behind then holds nobody up.
package final class FileLock {
    private let path: String
    private let descriptor: Int32

    /// - what: what is held, for the error
    /// - waits: asked again and again while somebody else has it; false ends with the error
    /// - Throws: `.io` naming the process that has it, or if the folder cannot be written
    package init(
        _ path: String, _ what: String, waits: () throws(USPError) -> Bool = { false }
    ) throws(USPError) {
        while true {
            let opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
            guard opened >= 0 else { throw systemError("cannot write", path) }
            // A file system without locks keeps nobody apart.
            if flock(opened, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
                let holder = FileLock.holder(opened)
                close(opened)
                if try waits() {
                    usleep(100_000)
                    continue
                }
                throw USPError(
                    .io,
                    "\(what): is written by another run\(holder) (\(path) is its lock); wait for its "
                        + "end, or give another output")
            }
            // Its last holder may have removed it meanwhile.
            if FileLock.names(path, opened) {
                (self.path, descriptor) = (path, opened)
                break
            }
            close(opened)
        }
        let text = Array("\(getpid())\n".utf8)
        ftruncate(descriptor, 0)
        _ = pwrite(descriptor, text, text.count, 0)
    }

    deinit {
        unlink(path)
        close(descriptor)
    }

    private static func holder(_ descriptor: Int32) -> String {
        var text = [UInt8](repeating: 0, count: 20)
        let count = pread(descriptor, &text, text.count, 0)
        guard count > 0,
            let number = Int(String(decoding: text[..<count].prefix { $0 > 32 }, as: UTF8.self))
        else { return "" }
        return number == getpid() ? " of this process" : ", process \(number)"
    }

    private static func names(_ path: String, _ descriptor: Int32) -> Bool {
        var (named, opened) = (stat(), stat())
        return stat(path, &named) == 0 && fstat(descriptor, &opened) == 0
            && named.st_ino == opened.st_ino && named.st_dev == opened.st_dev
    }
}
