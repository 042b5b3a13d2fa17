// A string that each thread has its own of: what `usp_last_error` returns.

import Glibc

/// One C string per thread, freed with its thread.
package final class ThreadText: @unchecked Sendable {
    // SAFETY of @unchecked: the key never changes after `init`; each thread sees its own value.
    private var key = pthread_key_t()
    private let isUsable: Bool
    private let empty: UnsafeMutablePointer<CChar>

    package init() {
        isUsable = pthread_key_create(&key) { Glibc.free($0) } == 0
        empty = .allocate(capacity: 1)
        empty.pointee = 0
    }

    /// Keeps a copy of the text for the calling thread, in place of the one before.
    package func set(_ text: String) {
        guard isUsable, let copy = strdup(text) else { return }
        let before = pthread_getspecific(key)
        if pthread_setspecific(key, copy) == 0 {
            Glibc.free(before)
        } else {
            Glibc.free(copy)
        }
    }

    /// The calling thread's text, empty if there is none; valid until its next `set`.
    package var pointer: UnsafePointer<CChar> {
        guard isUsable, let value = pthread_getspecific(key) else { return UnsafePointer(empty) }
        return UnsafePointer(value.assumingMemoryBound(to: CChar.self))
    }
}
