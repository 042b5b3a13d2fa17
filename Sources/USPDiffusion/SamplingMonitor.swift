// What a caller sees of a running sampler, and how it stops one.

import USPBase
import USPTensor

/// Callbacks between steps, on the caller's thread; an error that they throw ends the run.
public struct SamplingMonitor {
    /// After each step.
    public var progress: ProgressFunction?
    /// Every so many steps, and after the last one, with the predicted clean latents: a scratch
    /// tensor, copy what is kept.
    public var preview: ProgressFunction?
    /// Changes predicted clean latents `[B, C, H, W]` in place at each step of a diffusion, before
    /// they are clipped.
    public var adjustStart: AdjustFunction?
    public typealias AdjustFunction = (_ start: Tensor) throws(USPError) -> Void

    public init() {}
    public init(progress: @escaping ProgressFunction) { self.progress = progress }
}

extension SamplingMonitor {
    /// How C gives it.
    ///
    /// - unit: what progress is told after
    package static func members(each unit: String) -> [CMember] {
        [
            CMember("usp_progress_fn", "progress", "After each \(unit); NULL = none."),
            CMember("void *", "progress_user", "Handed to progress."),
            CMember(
                "usp_progress_fn", "preview",
                "Every preview_interval \(unit)s, with usp_progress.latents set; NULL = none."),
            CMember("void *", "preview_user", "Handed to preview."),
        ]
    }
}
