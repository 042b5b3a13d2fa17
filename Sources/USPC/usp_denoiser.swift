// Header section "denoiser": a model or a C function as the samplers see it, and how they run.

import CUSP
import USPBase
import USPKit
import USPTensor

/// The denoiser that the caller describes.
///
/// - channels: of a function's output for latents of so many channels, where it does not say
func denoiser(
    _ pointer: UnsafePointer<usp_denoiser>?, channels: @escaping (Int) -> Int
) throws(USPError) -> Denoiser {
    guard pointer != nil else { throw USPError(.argument, "denoiser: is NULL") }
    let options = try options(pointer, zeros: usp_denoiser(), "denoiser")
    let plain: Denoiser
    if options.model != nil {
        plain = try model(options.model, as: DiT.self, "denoiser.model").denoiser
    } else if let function = options.function {
        let call = DenoiserCall(
            function: function, user: options.user, channels: Int(options.out_channels),
            defaultChannels: channels)
        plain = Denoiser(nullClass: Int(options.null_class)) { x, times, labels throws(USPError) in
            try call.predict(x, times, labels)
        }
    } else {
        throw USPError(.argument, "denoiser: neither model nor function is set")
    }
    guard let guidance = try guidance(options) else { return plain }
    return try plain.guided(guidance)
}

/// The guidance that the options ask for.
private func guidance(_ options: usp_denoiser) throws(USPError) -> Guidance? {
    var guidance: Guidance
    if options.guidance_scales != nil {
        guidance = Guidance(scales: try reals(options.guidance_scales, "guidance_scales", ["B"]))
    } else {
        let scale = try real(options.guidance, else: 1, "guidance")
        guard scale != 1 else { return nil }
        guidance = Guidance(scale)
    }
    guidance.channels = try count(options.guidance_channels, else: 3, "guidance_channels")
    if options.guidance_begin != 0 || options.guidance_end != 0 {
        guard options.guidance_begin <= options.guidance_end else {
            throw USPError(
                .argument,
                "guidance_begin \(options.guidance_begin) is above guidance_end "
                    + "\(options.guidance_end)")
        }
        guidance.interval = options.guidance_begin...options.guidance_end
    }
    return guidance
}

/// A C function that denoises.
private struct DenoiserCall {
    let function: usp_denoise_fn
    let user: UnsafeMutableRawPointer?
    let channels: Int
    let defaultChannels: (Int) -> Int

    func predict(_ x: Tensor, _ times: [Float], _ labels: [Int]?) throws(USPError) -> Tensor {
        let outChannels = channels > 0 ? channels : defaultChannels(x.shape[1])
        let out = try Tensor([x.shape[0], outChannels, x.shape[2], x.shape[3]])
        let t = try Tensor([times.count], times)
        let y = try labels.map { (values) throws(USPError) in try integerTensor(values) }
        var (xs, ts, ys, outs) = (usp_tensor(), usp_tensor(), usp_tensor(), usp_tensor())
        describe(x, in: &xs)
        describe(t, in: &ts)
        describe(out, in: &outs)
        var status: Int32
        if let y {
            describe(y, in: &ys)
            status = function(&xs, &ts, &ys, &outs, user)
        } else {
            status = function(&xs, &ts, nil, &outs, user)
        }
        withExtendedLifetime((x, t, y)) {}
        guard status == 0 else {
            throw USPError(.callback, "denoiser: the function returned \(status)")
        }
        return out
    }
}

private func integerTensor(_ values: [Int]) throws(USPError) -> Tensor {
    let result = try Tensor([values.count], .int64)
    let words = result.raw.assumingMemoryBound(to: Int64.self)
    for (i, value) in values.enumerated() { words[i] = Int64(value) }
    return result
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

/// A C callback that changes predicted latents as a Swift one.
private func startFunction(
    _ function: usp_start_fn?, _ user: UnsafeMutableRawPointer?
) -> SampleOptions.StartFunction? {
    guard let function else { return nil }
    return { start throws(USPError) in
        var latents = usp_tensor()
        describe(start, in: &latents)
        let status = function(&latents, user)
        guard status == 0 else {
            throw USPError(.callback, "adjust_start: the callback returned \(status)")
        }
    }
}

/// A process with samplers behind a handle.
protocol SamplerProcess: Handled {
    /// Channels that a function has to give for latents of so many.
    func outputChannels(_ channels: Int) -> Int
}

/// The arguments of a sampler's run, checked.
struct SamplerRun<Process: SamplerProcess> {
    let process: Process
    let denoiser: Denoiser
    let start: Tensor
    let labels: [Int]?
    let options: SampleOptions

    init(
        _ handle: OpaquePointer?, _ type: Process.Type, _ model: UnsafePointer<usp_denoiser>?,
        _ latents: UnsafePointer<usp_tensor>?, _ name: String, _ y: UnsafePointer<usp_tensor>?,
        _ given: UnsafePointer<usp_sample_options>?
    ) throws(USPError) {
        process = try USPC.handle(handle, type, String(type.handleName.dropFirst(4)))
        denoiser = try USPC.denoiser(model, channels: process.outputChannels)
        start = try tensor(latents, name, latentAxes)
        labels = try optionalIntegers(y, "y", [.extent(start.shape[0])])
        options = try sampleOptions(given, latents: start.shape)
    }

    /// Writes what the body makes of the process: latents like those of the start.
    func write(
        to out: UnsafeMutablePointer<usp_tensor>?, _ body: (Process) throws(USPError) -> Tensor
    ) throws(USPError) {
        let target = try output(out, "out", axes(start.shape))
        try target.write(body(process))
    }
}

/// The settings of one run.
func sampleOptions(
    _ pointer: UnsafePointer<usp_sample_options>?, latents: Shape
) throws(USPError) -> SampleOptions {
    let given = try options(pointer, zeros: usp_sample_options())
    var result = SampleOptions()
    let steps = try count(given.steps, else: 0, "steps")
    result.steps = steps == 0 ? nil : steps
    result.method = try optionalText(given.method, "method")
    result.seed = given.seed
    result.firstSample = try count(given.first_sample, else: 0, "first_sample")
    let total = try count(given.total_samples, else: 0, "total_samples")
    result.totalSamples = total == 0 ? nil : total
    result.generator = try optionalText(given.generator, "generator")
    result.noise = try optionalTensor(given.noise, "noise", ["S"] + axes(latents))
    result.clipsStart = given.clip != 0
    result.eta = try real(given.eta, else: 0, "eta")
    result.atol = try real(given.atol, else: result.atol, "atol")
    result.rtol = try real(given.rtol, else: result.rtol, "rtol")
    result.timestepShift = try real(given.timestep_shift, else: 1, "timestep_shift")
    result.form = try text(given.form, else: result.form, "form")
    result.norm = try real(given.norm, else: 1, "norm")
    result.lastStep = try text(given.last_step, else: result.lastStep, "last_step")
    result.lastStepSize = try real(
        given.last_step_size, else: result.lastStepSize, "last_step_size")
    result.progress = progressFunction(given.progress, given.progress_user, "progress")
    result.preview = progressFunction(given.preview, given.preview_user, "preview")
    result.adjustStart = startFunction(given.adjust_start, given.adjust_user)
    result.previewInterval = try count(given.preview_interval, else: 10, "preview_interval")
    return result
}
