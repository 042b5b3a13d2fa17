// The caller's progress function.

import CUSP
import USPBase
import USPTensor

/// Tells a caller how far work is, which may end it.
struct ProgressCall {
    let function: usp_progress_fn?
    let user: UnsafeMutableRawPointer?
    private let clock = Stopwatch()

    init(_ function: usp_progress_fn?, _ user: UnsafeMutableRawPointer?) {
        (self.function, self.user) = (function, user)
    }

    /// - Throws: `.cancelled` unless the function returns 0
    func tell(_ stage: String, _ done: Int, _ all: Int) throws(USPError) {
        guard let function else { return }
        let status = stage.withCString { stage in
            var state = usp_progress(
                stage: stage, step: Int64(done), steps: Int64(all), seconds: clock.seconds,
                latents: nil)
            return function(&state, user)
        }
        guard status == 0 else {
            throw USPError(.cancelled, "progress: the callback returned \(status)")
        }
    }
}
