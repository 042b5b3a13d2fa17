// What long calls tell while they run.

import Glibc
import USPBase

/// Where a long call stands, told between steps on the caller's thread.
public struct Progress {
    /// What is being done, such as `sample`.
    public let stage: String
    /// Steps done.
    public let step: Int
    /// Steps in all; 0 if not known.
    public let steps: Int
    /// Since the call began.
    public let seconds: Double
    /// Evaluations of the model so far, as far as they were computed where a run uses parts of them
    /// again; 0 where none is made.
    public let evaluations: Double
    /// In previews only: the predicted clean latents `[B, C, H, W]`; copy what is kept.
    public let latents: Tensor?

    package init(
        stage: String, step: Int, steps: Int, seconds: Double, evaluations: Double = 0,
        latents: Tensor? = nil
    ) {
        (self.stage, self.step, self.steps, self.seconds) = (stage, step, steps, seconds)
        (self.evaluations, self.latents) = (evaluations, latents)
    }
}

/// Receives progress; an error that it throws ends the call.
public typealias ProgressFunction = (Progress) throws(USPError) -> Void

/// Measures the seconds of one call.
package struct Stopwatch {
    private let start = Stopwatch.now

    package init() {}

    package var seconds: Double { Stopwatch.now - start }

    private static var now: Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}
