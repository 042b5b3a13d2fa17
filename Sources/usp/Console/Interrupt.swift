// Ctrl-C ends a run between two steps, after what was done has been saved.

import Glibc
import Synchronization
import USPBase

enum Interrupt {
    private static let raised = Atomic<Bool>(false)

    /// From now on the first Ctrl-C asks for an end; a second one ends the process at once.
    static func listen() {
        signal(SIGINT) { _ in
            if Interrupt.raised.exchange(true, ordering: .relaxed) { _exit(130) }
        }
    }

    static var isRaised: Bool { raised.load(ordering: .relaxed) }

    static func check() throws(USPError) {
        if isRaised { throw USPError(.cancelled, "interrupted") }
    }
}
