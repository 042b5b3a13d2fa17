// A file in the address space: its pages are read when touched and cost no memory of ours.

import Glibc
import USPBase

/// A regular file, mapped read-only for as long as the object lives.
///
/// The file must not be cut short by others while it is mapped; replacing it by renaming is fine.
package final class MappedFile: @unchecked Sendable {
    // SAFETY of @unchecked: nothing changes after `init`.
    package let path: String
    package let count: Int
    /// Open for reading; for copies inside the kernel.
    let descriptor: Int32
    private let base: UnsafeRawPointer

    /// Maps the whole file.
    ///
    /// - Throws: `.io` if it cannot be opened or is no regular file.
    package init(_ path: String) throws(USPError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw systemError("cannot open", path) }
        do {
            let size = try MappedFile.size(descriptor, path)
            base = try MappedFile.map(descriptor, size, path)
            count = size
        } catch {
            close(descriptor)
            throw error
        }
        self.path = path
        self.descriptor = descriptor
    }

    deinit {
        if count > 0 { munmap(UnsafeMutableRawPointer(mutating: base), count) }
        close(descriptor)
    }

    private static func size(_ descriptor: Int32, _ path: String) throws(USPError) -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw systemError("cannot inspect", path) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw USPError(.io, "\(path): not a regular file")
        }
        return Int(status.st_size)
    }

    private static func map(
        _ descriptor: Int32, _ size: Int, _ path: String
    ) throws(USPError) -> UnsafeRawPointer {
        // An empty file has no pages to map; nothing is read through this address.
        guard size > 0 else { return UnsafeRawPointer(bitPattern: 64).unsafelyUnwrapped }
        let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0)
        guard let address, address != MAP_FAILED else { throw systemError("cannot map", path) }
        return UnsafeRawPointer(address)
    }

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
}

/// An `.io` error that tells the system's reason.
func systemError(_ action: String, _ path: String) -> USPError {
    let reason = String(cString: strerror(errno))
    return USPError(.io, "\(path): \(action): \(reason)")
}

extension ByteView {
    /// Lets go of the view's pages, if it is part of a mapped file; touched again they are read
    /// again.
    package func release() { (owner as? MappedFile)?.release(self) }
}
