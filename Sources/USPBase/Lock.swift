// One thread at a time, also in a child of `fork` beside threads that were computing.

import Glibc

/// A value that one thread at a time touches.
///
/// Swift's own `Mutex` knows its owner by a number that each thread remembers; in a child of `fork`
/// that number is still the parent's, and two threads that meet there end the process.
package final class Lock<Value>: @unchecked Sendable {
    // SAFETY of @unchecked: the value is touched only in `withLock`.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private var held: Held

    /// Never empty: an empty value has the address of something else, the object's own type, and a
    /// sanitizer would take its changes for changes of that.
    private struct Held {
        var value: Value
        let filling: UInt8 = 0
    }

    package init(_ value: Value) {
        held = Held(value: value)
        mutex = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    package func withLock<Result, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        pthread_rwlock_rdlock(ForkGate.shared.gate)
        pthread_mutex_lock(mutex)
        defer {
            pthread_mutex_unlock(mutex)
            pthread_rwlock_unlock(ForkGate.shared.gate)
        }
        return try body(&held.value)
    }
}

/// Whoever holds a lock is inside; `fork` waits until nobody is, so that a child finds all locks
/// free and all that they guard whole.
private final class ForkGate: @unchecked Sendable {
    // SAFETY of @unchecked: the pointer never changes; what it points to is made for threads.
    static let shared = ForkGate()
    let gate: UnsafeMutablePointer<pthread_rwlock_t>

    private init() {
        gate = .allocate(capacity: 1)
        // Readers first (the default): a thread inside may take a second lock while `fork` waits.
        pthread_rwlock_init(gate, nil)
        pthread_atfork(
            { pthread_rwlock_wrlock(ForkGate.shared.gate) },
            { pthread_rwlock_unlock(ForkGate.shared.gate) },
            { pthread_rwlock_init(ForkGate.shared.gate, nil) })
    }
}
