// Files that appear complete or not at all: written without a name, flushed, then put in place.

import CFiles
import Glibc
import USPBase

/// A file under construction. Until `commit` nothing is visible at `path`; without it nothing
/// stays, even if the process is ended, where the file system knows files without names.
///
/// A file that is replaced hands on its mode and, where the system allows, its owner; a symbolic
/// link stays one, and the file that it leads to is replaced.
package final class AtomicFile {
    /// Where the file goes: behind all links.
    package let path: String
    /// Of the file that is replaced.
    private let replaced: stat?
    private let folder: String
    /// Bytes written so far.
    package private(set) var position = 0

    /// CRC-32 of what has been written since it was last set; nil computes none.
    var checksum: UInt32?

    /// Beside `path`; nil while the file has no name.
    private var temporaryPath: String?
    private var descriptor: Int32
    private let buffer: UnsafeMutableRawBufferPointer
    private var buffered = 0

    /// Opens a temporary file in the folder of `path`.
    ///
    /// - Throws: `.io` if the folder cannot be written or `path` is something else than a file.
    package init(_ path: String) throws(USPError) {
        let path = try AtomicFile.target(path)
        var status = stat()
        let exists = stat(path, &status) == 0
        if exists && status.st_mode & S_IFMT != S_IFREG {
            throw USPError(.io, "\(path): exists and is not a regular file")
        }
        self.path = path
        replaced = exists ? status : nil
        folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
        descriptor = uspi_open_unnamed(folder)
        if descriptor < 0 {
            let flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC
            (descriptor, temporaryPath) = try AtomicFile.freeName(path) { open($0, flags, 0o666) }
        }
        buffer = .allocate(byteCount: 1 << 18, alignment: 64)
    }

    /// Where a chain of symbolic links leads, also if there is nothing yet.
    private static func target(_ path: String) throws(USPError) -> String {
        var path = path
        for _ in 0..<40 {
            var status = stat()
            guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFLNK else { return path }
            var buffer = [CChar](repeating: 0, count: 4096)
            let count = readlink(path, &buffer, buffer.count)
            guard count > 0, count < buffer.count else { throw systemError("cannot read", path) }
            let link = String(
                decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
            path = link.hasPrefix("/") ? link : folder + link
        }
        throw USPError(.io, "\(path): too many symbolic links")
    }

    /// Tries names beside `path` until the body succeeds with one that nobody has.
    private static func freeName(
        _ path: String, _ body: (String) -> Int32
    ) throws(USPError) -> (Int32, String) {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<16 {
            let suffix = String(UInt32.random(in: 0...UInt32.max, using: &generator), radix: 36)
            let candidate = "\(path).\(suffix).tmp"
            let status = body(candidate)
            if status >= 0 { return (status, candidate) }
            guard errno == EEXIST else { throw systemError("cannot write", path) }
        }
        throw USPError(.io, "\(path): no free name for a temporary file beside it")
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
        if let temporaryPath { unlink(temporaryPath) }
        buffer.deallocate()
    }

    /// Appends the bytes.
    package func write(_ bytes: UnsafeRawBufferPointer) throws(USPError) {
        guard let base = bytes.baseAddress, bytes.count > 0 else { return }
        if let start = checksum { checksum = Inflate.checksum(bytes, from: start) }
        if bytes.count > buffer.count - buffered { try flush() }
        if bytes.count >= buffer.count {
            try writeThrough(base, bytes.count, at: position)
        } else if let target = buffer.baseAddress {
            (target + buffered).copyMemory(from: base, byteCount: bytes.count)
            buffered += bytes.count
        }
        position += bytes.count
    }

    package func write(_ bytes: [UInt8]) throws(USPError) {
        try withRawBytes(of: bytes) { (raw) throws(USPError) in try write(raw) }
    }

    package func write(_ text: String) throws(USPError) { try write(Array(text.utf8)) }

    /// Appends the view. What lies in a mapped file is copied inside the kernel, or piece by piece
    /// while a checksum is computed: it takes no memory of ours either way.
    package func write(_ view: ByteView) throws(USPError) {
        guard let source = view.owner as? MappedFile, view.count >= 1 << 16 else {
            try write(view.bytes)
            withExtendedLifetime(view.owner) {}
            return
        }
        var done = 0
        if checksum == nil {
            try flush()
            done = copyInKernel(source.descriptor, source.offset(of: view) ?? 0, view.count)
        }
        while done < view.count {
            let piece = try view.part(done, min(view.count - done, 4 << 20), path)
            try write(piece.bytes)
            source.release(piece)
            done += piece.count
        }
        try source.expectUnchanged()
    }

    /// Appends zeros; where no checksum is wanted they take no room on the disk.
    package func writeZeros(_ count: Int) throws(USPError) {
        guard checksum == nil, count >= 1 << 16 else {
            var left = count
            let zeros = [UInt8](repeating: 0, count: min(count, 1 << 20))
            while left > 0 {
                try withRawBytes(of: zeros) { (raw) throws(USPError) in
                    try write(UnsafeRawBufferPointer(rebasing: raw[..<min(left, raw.count)]))
                }
                left -= min(left, zeros.count)
            }
            return
        }
        try flush()
        position += count
        guard ftruncate(descriptor, off_t(position)) == 0 else {
            throw systemError("cannot write", path)
        }
    }

    /// Copies as much as the kernel is ready to copy by itself, and returns how much that was.
    private func copyInKernel(_ source: Int32, _ offset: Int, _ count: Int) -> Int {
        var done = 0
        while done < count {
            let copied = uspi_copy_file_range(
                source, Int64(offset + done), descriptor, Int64(position), count - done)
            guard copied > 0 else { break }
            done += copied
            position += copied
        }
        return done
    }

    /// Replaces bytes written before.
    package func patch(_ bytes: [UInt8], at offset: Int) throws(USPError) {
        try flush()
        try withRawBytes(of: bytes) { (raw) throws(USPError) in
            if let base = raw.baseAddress { try writeThrough(base, raw.count, at: offset) }
        }
    }

    private func flush() throws(USPError) {
        guard buffered > 0, let base = buffer.baseAddress else { return }
        try writeThrough(base, buffered, at: position - buffered)
        buffered = 0
    }

    private func writeThrough(
        _ base: UnsafeRawPointer, _ count: Int, at offset: Int
    ) throws(USPError) {
        var done = 0
        while done < count {
            let written = pwrite(
                descriptor, base + done, min(count - done, 1 << 30), off_t(offset + done))
            if written < 0 && errno == EINTR { continue }
            guard written > 0 else { throw systemError("cannot write", path) }
            done += written
        }
    }

    /// Flushes everything to the disk and gives the file its name, replacing what had it.
    ///
    /// - Throws: `.io`; then nothing changed at `path`.
    package func commit() throws(USPError) {
        try flush()
        if let replaced {
            // Owner first: changing it may take rights away. Who may not give files away keeps
            // them.
            if replaced.st_uid != geteuid() || replaced.st_gid != getegid() {
                _ = fchown(descriptor, replaced.st_uid, replaced.st_gid)
            }
            fchmod(descriptor, replaced.st_mode & 0o7777)
        }
        guard fsync(descriptor) == 0 else { throw systemError("cannot flush", path) }
        if temporaryPath == nil {
            temporaryPath = try AtomicFile.freeName(path) { uspi_give_name(descriptor, $0) }.1
        }
        let closed = close(descriptor)
        descriptor = -1
        guard closed == 0, let name = temporaryPath, rename(name, path) == 0 else {
            throw systemError("cannot rename into place", path)
        }
        temporaryPath = nil
        flushFolder()
    }

    /// Makes the new name itself durable; a file system that cannot is no reason to fail.
    private func flushFolder() {
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }
}
