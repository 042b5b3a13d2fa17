// A file in the address space: its pages are read when touched and cost no memory of ours.

import CFiles
import Glibc
import USPBase

/// A regular file, mapped read-only for as long as the object lives.
///
/// Others may replace it by renaming. If they write into it or cut it short, what is read is
/// undefined (zeros where pages are gone), and `expectUnchanged` throws from then on.
package final class MappedFile: @unchecked Sendable {
    // SAFETY of @unchecked: nothing changes after `init`.
    package let path: String
    package let count: Int
    /// Open for reading; for copies inside the kernel.
    let descriptor: Int32
    private let base: UnsafeRawPointer
    private let slot: Int32
    private let state: FileState

    /// Maps an open file whole and closes it in the end; nil if the process has too many.
    fileprivate init?(_ descriptor: Int32, _ state: FileState, _ path: String) {
        let address = mmap(nil, state.size, PROT_READ, MAP_PRIVATE, descriptor, 0)
        guard let address, address != MAP_FAILED else { return nil }
        slot = uspi_guard(address, state.size)
        guard slot >= 0 else {
            munmap(address, state.size)
            return nil
        }
        base = UnsafeRawPointer(address)
        count = state.size
        self.state = state
        self.path = path
        self.descriptor = descriptor
    }

    deinit {
        uspi_unguard(slot)
        munmap(UnsafeMutableRawPointer(mutating: base), count)
        close(descriptor)
    }

    /// How often pages of any mapped file were missing so far.
    package static var damages: UInt32 { uspi_guard_damages() }

    package var view: ByteView { ByteView(base: base, count: count, owner: self) }

    /// Lets go of the pages of a view; they are read again if touched again.
    package func release(_ view: ByteView) {
        guard offset(of: view) != nil else { return }
        SystemMemory.discard(view.base, view.count)
    }

    /// Where in the file the view lies, if it is part of this file.
    func offset(of view: ByteView) -> Int? {
        guard view.owner === self else { return nil }
        return view.base - base
    }

    /// - Throws: `.io` if the file was written to or cut short since it was opened
    package func expectUnchanged() throws(USPError) {
        let isIntact = uspi_guard_damaged(slot) == 0 && FileState(descriptor) == state
        try require(
            isIntact, .io,
            "\(path): was changed while it was in use (a file that is in use may be replaced by "
                + "renaming, not written to); open it again")
    }
}

/// What tells that a file was written to.
private struct FileState: Equatable {
    let size: Int
    private let seconds: Int
    private let nanoseconds: Int

    /// nil if the system cannot tell.
    init?(_ descriptor: Int32) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return nil }
        size = Int(status.st_size)
        (seconds, nanoseconds) = (status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
    }
}

extension ByteView {
    /// Files up to this size are read into memory: others may do with them what they want.
    package static let largestCopy = 32 << 20

    /// The bytes of a regular file: a copy of a small one, else mapped.
    ///
    /// - Throws: `.io` if it cannot be opened or read or is no regular file, `.memory`
    package static func file(_ path: String) throws(USPError) -> ByteView {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw systemError("cannot open", path) }
        var isOurs = true
        defer { if isOurs { close(descriptor) } }
        var status = stat()
        guard fstat(descriptor, &status) == 0, let state = FileState(descriptor) else {
            throw systemError("cannot inspect", path)
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw USPError(.io, "\(path): not a regular file")
        }
        if state.size > largestCopy, let file = MappedFile(descriptor, state, path) {
            isOurs = false
            return file.view
        }
        return try copy(descriptor, state, path)
    }

    private static func copy(
        _ descriptor: Int32, _ state: FileState, _ path: String
    ) throws(USPError) -> ByteView {
        let buffer = try ByteBuffer(count: state.size)
        var done = 0
        while done < state.size {
            let piece = min(state.size - done, 1 << 30)
            let count = pread(descriptor, buffer.base + done, piece, off_t(done))
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw systemError("cannot read", path) }
            guard count > 0 else { break }
            done += count
        }
        try require(
            done == state.size && FileState(descriptor) == state, .io,
            "\(path): was changed while it was read; open it again")
        return buffer.view
    }

    /// Lets go of the view's pages, if it is part of a mapped file; touched again they are read
    /// again.
    package func release() { (owner as? MappedFile)?.release(self) }

    /// - Throws: `.io` if the view is part of a mapped file that others wrote to or cut short
    package func expectUnchanged() throws(USPError) {
        try (owner as? MappedFile)?.expectUnchanged()
    }
}

/// An `.io` error that tells the system's reason.
func systemError(_ action: String, _ path: String) -> USPError {
    let reason = String(cString: strerror(errno))
    return USPError(.io, "\(path): \(action): \(reason)")
}
