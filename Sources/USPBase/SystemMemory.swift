// Memory from the system: aligned, in huge pages where that pays, never a trap.

import Glibc

package enum SystemMemory {
    private static let hugePage = 2 << 20
    private static let page = 4096

    /// `byteCount` bytes aligned to 64 (to 2 MiB, asking for huge pages, from 4 MiB on).
    ///
    /// - Throws: `.memory` if the system has not that much.
    package static func allocate(_ byteCount: Int) throws(USPError) -> UnsafeMutableRawPointer {
        let large = byteCount >= 2 * hugePage
        var result: UnsafeMutableRawPointer?
        let status = posix_memalign(&result, large ? hugePage : 64, max(byteCount, 64))
        guard status == 0, let result else {
            throw USPError(.memory, "cannot allocate \(byteCount) bytes")
        }
        if large { madvise(result, byteCount, Int32(MADV_HUGEPAGE)) }
        return result
    }

    /// Throws unless the system has memory for so many elements now. Swift's own arrays and texts
    /// end the process where it has not: asked before one whose size a caller or a file chooses.
    package static func expect<Element>(_ count: Int, of type: Element.Type) throws(USPError) {
        let size = MemoryLayout<Element>.stride
        let byteCount = try CheckedMath.multiply(count, size, "memory")
        guard byteCount >= 1 << 16 else { return }
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        guard let range = mmap(nil, byteCount, PROT_READ | PROT_WRITE, flags, -1, 0),
            range != MAP_FAILED
        else { throw USPError(.memory, "cannot allocate \(byteCount) bytes") }
        munmap(range, byteCount)
    }

    /// `byteCount` addresses without memory, aligned to 2 MiB; nil if the system has not so many.
    package static func reserve(_ byteCount: Int) -> UInt? {
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        guard let range = mmap(nil, byteCount + hugePage, PROT_NONE, flags, -1, 0),
            range != MAP_FAILED
        else { return nil }
        let start = (UInt(bitPattern: range) + UInt(hugePage) - 1) / UInt(hugePage) * UInt(hugePage)
        madvise(UnsafeMutableRawPointer(bitPattern: start), byteCount, Int32(MADV_HUGEPAGE))
        return start
    }

    /// Makes reserved addresses usable, in whole pages.
    ///
    /// - Throws: `.memory` if the system has not that much.
    package static func commit(_ start: UInt, _ byteCount: Int) throws(USPError) {
        let pointer = UnsafeMutableRawPointer(bitPattern: start)
        guard mprotect(pointer, byteCount, PROT_READ | PROT_WRITE) == 0 else {
            throw USPError(.memory, "cannot allocate \(byteCount) bytes")
        }
    }

    /// Lets go of the pages that these bytes lie in. Those of a mapped file are read again if they
    /// are touched again; memory of our own loses its content.
    package static func discard(_ pointer: UnsafeRawPointer?, _ byteCount: Int) {
        let start = Int(bitPattern: pointer) / page * page
        let end = Int(bitPattern: pointer) + byteCount
        if byteCount == 0 { return }
        madvise(UnsafeMutableRawPointer(bitPattern: start), end - start, Int32(MADV_DONTNEED))
    }

    /// Gives the pages of the C library's heap that nobody uses back, where it has a way to.
    package static func trim() {
        guard let symbol = dlsym(nil, "malloc_trim") else { return }
        _ = unsafeBitCast(symbol, to: (@convention(c) (Int) -> Int32).self)(0)
    }

    package static func free(_ pointer: UnsafeMutableRawPointer?) { Glibc.free(pointer) }

    /// Largest resident set of this process so far, in bytes.
    package static var peakResident: Int {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return usage.ru_maxrss * 1024
    }
}
