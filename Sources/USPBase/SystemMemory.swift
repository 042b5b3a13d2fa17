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

    /// Lets go of the pages of a mapped file that these bytes lie in: touched again, they are read
    /// again. Memory of our own would lose its content.
    package static func discard(_ pointer: UnsafeRawPointer, _ byteCount: Int) {
        let start = Int(bitPattern: pointer) / page * page
        let end = Int(bitPattern: pointer) + byteCount
        guard byteCount > 0, let first = UnsafeMutableRawPointer(bitPattern: start) else { return }
        madvise(first, end - start, Int32(MADV_DONTNEED))
    }

    package static func free(_ pointer: UnsafeMutableRawPointer) { Glibc.free(pointer) }

    /// Largest resident set of this process so far, in bytes.
    package static var peakResident: Int {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return usage.ru_maxrss * 1024
    }
}
