// Signals end a run between two steps, after what was done has been saved; others save and go on.

import Glibc
import Synchronization
import USPBase

enum Interrupt {
    /// The first signal that asked for an end; 0 is none.
    private static let raised = Atomic<Int32>(0)
    /// How many did.
    private static let count = Atomic<Int>(0)
    /// When the first one came, in milliseconds.
    private static let began = Atomic<Int>(0)
    private static let saves = Atomic<Bool>(false)

    /// From now on Ctrl-C, SIGTERM, SIGHUP (unless it is ignored, as by nohup) and SIGXCPU ask for an
    /// end. A second one within a second is the same request, as wrappers such as `timeout` send it
    /// twice; a later one, or a third, ends the process at once, unsaved. SIGUSR1 and SIGUSR2, which
    /// schedulers send before the end, save and go on. Closed pipes and files that become too large
    /// are errors where they are written.
    static func listen() {
        _ = (raised.load(ordering: .relaxed), count.load(ordering: .relaxed))
        _ = (began.load(ordering: .relaxed), saves.load(ordering: .relaxed))
        for number in [SIGINT, SIGTERM, SIGHUP, SIGXCPU]
        where number != SIGHUP || !isIgnored(number) {
            signal(number) { Interrupt.request($0) }
        }
        for number in [SIGUSR1, SIGUSR2] {
            signal(number) { _ in Interrupt.saves.store(true, ordering: .relaxed) }
        }
        for number in [SIGPIPE, SIGXFSZ] { signal(number, SIG_IGN) }
    }

    private static func isIgnored(_ number: Int32) -> Bool {
        var action = sigaction()
        guard sigaction(number, nil, &action) == 0 else { return false }
        return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
            == unsafeBitCast(SIG_IGN, to: Int.self)
    }

    /// In a signal handler: atomic words, the clock and the end of the process only.
    private static func request(_ number: Int32) {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        let now = time.tv_sec * 1000 + time.tv_nsec / 1_000_000
        let before = count.add(1, ordering: .relaxed).oldValue
        if before == 0 {
            began.store(now, ordering: .relaxed)
            raised.store(number, ordering: .relaxed)
        } else if before > 1 || now - began.load(ordering: .relaxed) >= 1000 {
            _exit(128 + number)
        }
    }

    static var isRaised: Bool { raised.load(ordering: .relaxed) != 0 }

    /// Whether saving was asked for since the last time this was asked.
    static func takeSave() -> Bool { saves.exchange(false, ordering: .relaxed) }

    /// 128 and the signal's number, as shells tell of it.
    static var exitCode: Int32 {
        let number = raised.load(ordering: .relaxed)
        return 128 + (number == 0 ? SIGINT : number)
    }

    static func check() throws(USPError) {
        if isRaised { throw USPError(.cancelled, "interrupted") }
    }
}
