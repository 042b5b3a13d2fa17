// Tests that change the process-wide settings (threads, instruction set), or that compare bits,
// take turns.

import CKernels
import Foundation
import USPBase

private let turn = NSLock()
/// The thread whose turn it is.
private let holder = Lock<pthread_t?>(nil)

/// Runs the body while no other body runs. The settings that it finds are those of the process, and
/// they are so again when it is done.
package func alone<Result>(_ body: () throws -> Result) rethrows -> Result {
    turn.lock()
    defer { turn.unlock() }
    holder.withLock { $0 = pthread_self() }
    let (level, threads) = (uspi_isa(), ThreadPool.shared.threads)
    defer {
        uspi_set_isa(level)
        ThreadPool.shared.threads = threads
        holder.withLock { $0 = nil }
    }
    return try body()
}

/// Until the end of the turn loops run on so many threads.
package func useThreads(_ count: Int) {
    expectTurn()
    ThreadPool.shared.threads = count
}

/// Until the end of the turn kernels are those of this level of instructions.
package func useInstructions(_ level: Int32) {
    expectTurn()
    uspi_set_isa(level)
}

/// Who changes the settings outside of a turn changes the bits of whoever compares some.
private func expectTurn() {
    let isOurs = holder.withLock { $0.map { pthread_equal($0, pthread_self()) != 0 } ?? false }
    precondition(isOurs, "settings are changed inside of `alone` only")
}
