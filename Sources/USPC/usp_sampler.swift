// Header section "sampler": one reading of a run's arguments, and one run behind every function.

import CUSP
import USPBase
import USPKit
import USPTensor

/// `[B, C, H, W]`.
let latentAxes: [Axis] = ["B", "C", "H", "W"]

/// A process with samplers and losses behind a handle.
protocol SamplerProcess: Handled {
    /// Channels that a function has to give for latents of so many.
    func outputChannels(_ channels: Int) -> Int
}

/// What every sampler and loss is given, checked.
struct RunArguments<Process: SamplerProcess> {
    let process: Process
    let denoiser: Denoiser
    let start: Tensor
    let labels: [Int]?
    let options: SampleOptions
    let noise: Tensor?
    let monitor: SamplingMonitor

    /// - name: of the latents
    init(
        _ handle: OpaquePointer?, _ type: Process.Type, _ model: UnsafePointer<usp_denoiser>?,
        _ latents: UnsafePointer<usp_tensor>?, _ name: String, _ y: UnsafePointer<usp_tensor>?,
        _ given: UnsafePointer<usp_sample_options>? = nil
    ) throws(USPError) {
        process = try USPC.handle(handle, type, String(type.handleName.dropFirst(4)))
        denoiser = try USPC.denoiser(model, channels: process.outputChannels)
        start = try tensor(latents, name, latentAxes)
        labels = try optionalIntegers(y, "y", [.extent(start.shape[0])])
        let (options, members) = try USPC.options(
            given, SampleOptions.self, usp_sample_options())
        self.options = options
        noise = try optionalTensor(members.noise, "noise", ["S"] + axes(start.shape))
        monitor = SamplingMonitor(members)
    }
}

/// Runs a sampler of the process and writes latents like those of the start.
func runSampler<Process: SamplerProcess>(
    _ arguments: RunArguments<Process>, _ out: UnsafeMutablePointer<usp_tensor>?,
    _ task: Sampler.Task = .sample, _ process: (Process) -> Sampler.Process
) throws(USPError) {
    let target = try output(out, "out", axes(arguments.start.shape))
    let sampler = try Sampler(process(arguments.process), arguments.options, for: task)
    try target.write(
        sampler.run(
            arguments.denoiser, from: arguments.start, labels: arguments.labels,
            noise: arguments.noise, arguments.monitor))
}

extension LossAndGradient {
    /// Writes the losses, and those of their parts that are wanted.
    func write(
        _ losses: StridedView, _ parts: [(name: String, target: StridedView?)]
    ) throws(USPError) {
        for case (let name, let target?) in parts {
            guard let values = terms[name] else {
                throw USPError(.unsupported, "out_\(name): the loss has no such part; pass NULL")
            }
            try target.write(Tensor([values.count], values))
        }
        try losses.write(Tensor([self.losses.count], self.losses))
    }
}

extension SamplingMonitor {
    /// The callbacks of C.
    init(_ given: usp_sample_options) {
        self.init()
        progress = progressFunction(given.progress, given.progress_user, "progress")
        preview = progressFunction(given.preview, given.preview_user, "preview")
        guard let function = given.adjust_start else { return }
        let user = given.adjust_user
        adjustStart = { start throws(USPError) in
            var latents = usp_tensor()
            describe(start, in: &latents)
            let status = function(&latents, user)
            guard status == 0 else {
                throw USPError(.callback, "adjust_start: the callback returned \(status)")
            }
        }
    }
}

/// A C progress callback as a Swift one; non-zero ends the call as cancelled.
func progressFunction(
    _ function: usp_progress_fn?, _ user: UnsafeMutableRawPointer?, _ name: String
) -> ProgressFunction? {
    guard let function else { return nil }
    return { progress throws(USPError) in
        var latents = usp_tensor()
        if let tensor = progress.latents { describe(tensor, in: &latents) }
        let status = progress.stage.withCString { stage in
            withUnsafePointer(to: latents) { latents in
                var state = usp_progress(
                    stage: stage, step: Int64(progress.step), steps: Int64(progress.steps),
                    seconds: progress.seconds,
                    latents: progress.latents == nil ? nil : latents)
                return function(&state, user)
            }
        }
        guard status == 0 else {
            throw USPError(.cancelled, "\(name): the callback returned \(status)")
        }
    }
}
