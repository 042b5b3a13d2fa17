// Files that are filled in any order, over several runs, and get their name when they are whole.

import Glibc
import USPBase

/// `path` under construction as `path.part`. What was written stays if the process ends, and the
/// next one with the same header goes on; `commit` gives the file its name.
package final class GrowingFile {
    /// Whether nothing of an earlier run is in it.
    package let isFresh: Bool
    /// Whether an unfinished file with another header was replaced.
    package let replacesAnother: Bool
    private let path: String
    private let partPath: String
    private let count: Int
    private var descriptor: Int32
    private let lock: FileLock

    /// - header: the first bytes
    /// - count: bytes in all; those behind the header are zero until they are written
    /// - Throws: `.io`
    init(_ path: String, header: [UInt8], count: Int, lock: FileLock) throws(USPError) {
        (self.path, self.count, self.lock) = (path, count, lock)
        partPath = path + ".part"
        descriptor = open(partPath, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw systemError("cannot write", partPath) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw USPError(.io, "\(partPath): exists and is not a regular file")
        }
        var present = [UInt8](repeating: 0, count: header.count)
        let read = pread(descriptor, &present, present.count, 0)
        isFresh = !(Int(status.st_size) == count && read == header.count && present == header)
        replacesAnother = isFresh && status.st_size > 0
        guard isFresh else { return }
        guard ftruncate(descriptor, 0) == 0, ftruncate(descriptor, off_t(count)) == 0 else {
            defer { close(descriptor) }
            throw systemError("cannot write", partPath)
        }
        try write(header, at: 0)
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(USPError) {
        guard let base = bytes.baseAddress else { return }
        try require(
            offset >= 0 && offset <= count - bytes.count, .internal,
            "\(partPath): \(bytes.count) bytes at \(offset) of \(count)")
        var done = 0
        while done < bytes.count {
            let written = pwrite(
                descriptor, base + done, min(bytes.count - done, 1 << 30), off_t(offset + done))
            if written < 0 && errno == EINTR { continue }
            guard written > 0 else { throw systemError("cannot write", partPath) }
            done += written
        }
    }

    package func write(_ bytes: [UInt8], at offset: Int) throws(USPError) {
        try withRawBytes(of: bytes) { (raw) throws(USPError) in try write(raw, at: offset) }
    }

    package func read(_ length: Int, at offset: Int) throws(USPError) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: length)
        var done = 0
        while done < length {
            let read = result.withUnsafeMutableBytes {
                pread(
                    descriptor, $0.baseAddress.map { $0 + done }, length - done,
                    off_t(offset + done))
            }
            if read < 0 && errno == EINTR { continue }
            guard read > 0 else { throw systemError("cannot read", partPath) }
            done += read
        }
        return result
    }

    /// What was written so far outlives the machine's end.
    package func flush() throws(USPError) {
        guard fdatasync(descriptor) == 0 else { throw systemError("cannot flush", partPath) }
    }

    /// Gives the file its name, replacing what had it.
    package func commit() throws(USPError) {
        guard fsync(descriptor) == 0 else { throw systemError("cannot flush", partPath) }
        guard rename(partPath, path) == 0 else {
            throw systemError("cannot rename into place", partPath)
        }
    }
}
