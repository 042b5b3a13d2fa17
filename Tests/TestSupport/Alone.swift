// Tests that change the process-wide settings (threads, instruction set), or that compare bits,
// take turns.

import Foundation

private let turn = NSLock()

/// Runs the body while no other body runs.
package func alone<Result>(_ body: () throws -> Result) rethrows -> Result {
    turn.lock()
    defer { turn.unlock() }
    return try body()
}
