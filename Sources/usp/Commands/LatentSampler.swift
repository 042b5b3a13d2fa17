// One way to draw latents, whatever the family: DiT by its diffusion, SiT by its transport.

import USPBase
import USPKit

/// A model with its process, solver and guidance.
struct LatentSampler {
    let method: String
    let steps: Int
    private let draw: (Tensor, [Int], SampleOptions) throws(USPError) -> Tensor
    private let seed: UInt64
    private let classes: Int

    /// - Throws: for unknown solvers and steps that the process has not
    init(
        _ model: DiT, solver: String?, steps: Int?, seed: UInt64, cfg: Float, channels: Int
    ) throws(USPError) {
        var guidance = Guidance(cfg)
        guidance.channels = channels
        let denoiser = try model.denoiser.guided(guidance)
        self.seed = seed
        classes = model.classes
        if model.family == "SiT" {
            let transport = try Transport()
            let isStochastic = solver?.lowercased() == "sde"
            method = solver ?? "dopri5"
            self.steps = steps ?? (isStochastic ? 250 : 50)
            draw = { z, labels, options throws(USPError) in
                isStochastic
                    ? try transport.sampleSDE(denoiser, from: z, labels: labels, options)
                    : try transport.sampleODE(denoiser, from: z, labels: labels, options)
            }
        } else {
            method = solver ?? "ddpm"
            self.steps = steps ?? 250
            var process = Diffusion.Options()
            let count = steps ?? 250
            process.respacing = method.lowercased() == "ddim" ? "ddim\(count)" : "\(count)"
            if !model.configuration.learnsSigma { process.variance = "fixed-large" }
            let diffusion = try Diffusion(process)
            draw = { z, labels, options throws(USPError) in
                try diffusion.sample(denoiser, from: z, labels: labels, options)
            }
        }
    }

    /// Latents of these labels; Ctrl-C ends between two steps.
    ///
    /// - first: number of the first sample, so that batches draw noise of their own
    func draw(_ z: Tensor, _ labels: [Int], first: Int) throws(USPError) -> Tensor {
        for label in labels where !(0...classes).contains(label) {
            throw USPError(
                .argument, "class \(label): the model has 0 to \(classes - 1), and \(classes) for none")
        }
        var options = SampleOptions()
        options.method = method.lowercased() == "sde" ? nil : method
        options.steps = steps
        options.seed = seed
        options.firstSample = first
        options.progress = { _ throws(USPError) in try Interrupt.check() }
        return try draw(z, labels, options)
    }
}
