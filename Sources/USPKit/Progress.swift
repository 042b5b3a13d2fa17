// What long calls tell while they run.

import USPBase
import USPTensor

/// Where a long call stands, told between steps on the caller's thread.
public struct Progress {
    /// What is being done, such as `sample`.
    public let stage: String
    /// Steps done.
    public let step: Int
    /// Steps in all; 0 if not known (adaptive solvers).
    public let steps: Int
    /// Since the call began.
    public let seconds: Double
    /// In previews only: the predicted clean latents `[B, C, H, W]`; copy what is kept.
    public let latents: Tensor?
}

/// Receives progress; an error that it throws ends the call.
public typealias ProgressFunction = (Progress) throws(USPError) -> Void

/// Measures the seconds of one call.
struct Stopwatch {
    private let start = ContinuousClock.now

    var seconds: Double {
        let elapsed = ContinuousClock.now - start
        return Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) * 1e-18
    }
}
