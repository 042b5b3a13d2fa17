// How the tests of this room run samplers.

import USPBase
import USPDiffusion
import USPTensor

/// What the sampler of this name makes of the latents.
func draw(
    _ process: Sampler.Process, _ method: String, _ denoiser: Denoiser, _ latents: Tensor,
    noise: NoiseSource = .streams(RandomKey(seed: 1)), for task: Sampler.Task = .sample,
    _ monitor: SamplingMonitor = SamplingMonitor(),
    _ change: (inout SampleOptions) -> Void = { _ in }
) throws -> Tensor {
    var options = SampleOptions()
    options.method = method
    change(&options)
    return try Sampler(process, options, for: task).run(denoiser, from: latents, noise, monitor)
}

/// Of the Gaussian process.
func draw(
    _ process: Diffusion, _ method: String, _ denoiser: Denoiser, _ latents: Tensor,
    noise: NoiseSource = .streams(RandomKey(seed: 1)), for task: Sampler.Task = .sample,
    _ monitor: SamplingMonitor = SamplingMonitor(),
    _ change: (inout SampleOptions) -> Void = { _ in }
) throws -> Tensor {
    try draw(
        .diffusion(process), method, denoiser, latents, noise: noise, for: task, monitor, change)
}

var echo: Denoiser { Denoiser { x, _, _ throws(USPError) in try x.copied() } }
