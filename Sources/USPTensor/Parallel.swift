// Loops over ranges on the shared pool. How a loop is cut depends on its length only, never on the
// number of threads, so that partial results are the same whoever computes them.

import USPBase

/// Calls the body for consecutive ranges of at most `grain` that cover 0 ..< count.
package func parallelRanges(_ count: Int, grain: Int, _ body: (Range<Int>) -> Void) {
    let grain = max(grain, 1)
    let parts = (count + grain - 1) / grain
    if parts <= 1 {
        if count > 0 { body(0..<count) }
        return
    }
    ThreadPool.shared.run(parts: parts) { part in
        body(part * grain..<min(count, (part + 1) * grain))
    }
}

/// A grain that gives each part some `elements` of work in rows of `width`.
package func rowGrain(width: Int, elements: Int = 1 << 15) -> Int {
    max(1, elements / max(width, 1))
}
