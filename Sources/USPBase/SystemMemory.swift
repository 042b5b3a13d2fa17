// Memory from the system: aligned, in huge pages where that pays, never a trap.

import Glibc

package enum SystemMemory {
    private static let hugePage = 2 << 20

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

    package static func free(_ pointer: UnsafeMutableRawPointer) { Glibc.free(pointer) }

    /// Largest resident set of this process so far, in bytes.
    package static var peakResident: Int {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return usage.ru_maxrss * 1024
    }
}
