// Ctrl-C and SIGTERM end a run between two steps, after what was done has been saved.

import Glibc
import Synchronization
import USPBase

enum Interrupt {
    /// The signal; 0 is none.
    private static let raised = Atomic<Int32>(0)

    /// From now on the first signal asks for an end; a second one ends the process at once.
    static func listen() {
        for number in [SIGINT, SIGTERM] {
            signal(number) { number in
                let before = Interrupt.raised.exchange(number, ordering: .relaxed)
                if before != 0 { _exit(128 + number) }
            }
        }
    }

    static var isRaised: Bool { raised.load(ordering: .relaxed) != 0 }

    /// 130 or 143, as shells tell of a signal.
    static var exitCode: Int32 { 128 + max(raised.load(ordering: .relaxed), SIGINT) }

    static func check() throws(USPError) {
        if isRaised { throw USPError(.cancelled, "interrupted") }
    }
}
