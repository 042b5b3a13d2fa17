// A flag that another thread may raise to stop a long call.

import Synchronization

/// Polled between steps by everything that takes long.
///
/// Sticky: a cancel that arrives early is kept until a run has thrown `.cancelled`.
package final class Cancellation: Sendable {
    private let flag = Atomic<Bool>(false)

    package init() {}

    /// Raises the flag; the one call allowed while a run is under way.
    package func cancel() { flag.store(true, ordering: .releasing) }

    /// Throws `.cancelled` if the flag is up, and takes it down.
    package func check(_ place: @autoclosure () -> String) throws(USPError) {
        let (raised, _) = flag.compareExchange(
            expected: true, desired: false, ordering: .acquiringAndReleasing)
        if raised { throw USPError(.cancelled, "\(place()): cancelled") }
    }
}
