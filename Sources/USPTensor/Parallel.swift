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

/// The body's values for 0 ..< count in order, each computed by one thread.
///
/// - Throws: the error of the first place that has one; the others are computed all the same
package func parallelMap<Value: Sendable>(
    _ count: Int, _ body: (Int) throws(USPError) -> Value
) throws(USPError) -> [Value] {
    let slots = Lock([Result<Value, USPError>?](repeating: nil, count: count))
    parallelRanges(count, grain: 1) { range in
        for place in range {
            let outcome: Result<Value, USPError>
            do throws(USPError) {
                outcome = .success(try body(place))
            } catch {
                outcome = .failure(error)
            }
            slots.withLock { $0[place] = outcome }
        }
    }
    var values: [Value] = []
    for slot in slots.withLock({ $0 }) {
        guard let slot else { throw USPError(.internal, "a value was not computed") }
        values.append(try slot.get())
    }
    return values
}
