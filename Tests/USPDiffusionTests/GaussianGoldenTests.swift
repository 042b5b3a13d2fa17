import Glibc
import TestSupport
import Testing
import USPBase
import USPDiffusion
import USPTensor

/// The analytic network of the golden loops, `[mean, variance]` channels; half of it on demand.
private func network(doubled: Bool) -> Denoiser {
    Denoiser { x, times, _ throws(USPError) in
        let (batch, channels) = (x.shape[0], x.shape[1])
        let size = x.count / batch
        let width = doubled ? 2 * size : size
        let result = try Tensor(
            [batch, doubled ? 2 * channels : channels, x.shape[2], x.shape[3]])
        for sample in 0..<batch {
            let from = x.floats + sample * size
            let to = result.floats + sample * width
            for i in 0..<size {
                to[i] = 0.4 * from[i] + 0.1 * sinf(0.01 * times[sample])
                if doubled { to[size + i] = tanhf(0.5 * from[i]) }
            }
        }
        return result
    }
}

private func process(_ variant: String) throws -> (Diffusion, Denoiser) {
    switch variant {
    case "learned": (try gaussian(respacing: "10"), network(doubled: true))
    case "fixed_large":
        (try gaussian(respacing: "10", variance: "FIXED_LARGE"), network(doubled: false))
    case "fixed_small":
        (try gaussian(respacing: "10", variance: "FIXED_SMALL"), network(doubled: false))
    default:
        (
            try gaussian(respacing: "10", prediction: "START_X", variance: "FIXED_LARGE"),
            network(doubled: false)
        )
    }
}

private func last(_ golden: GoldenCase, _ key: String, count: Int) throws -> [Float] {
    Array(try golden.values(key).suffix(count))
}

@Suite struct GaussianGoldenTests {
    @Test(arguments: ["learned", "fixed_large", "fixed_small", "start"], [true, false])
    func loopsAreTheOriginals(_ variant: String, _ clips: Bool) throws {
        let golden = try GoldenCase("diffusion/loops")
        let (process, denoiser) = try process(variant)
        let start = try golden.tensor("in.start")
        let suffix = "\(variant).\(clips ? "clip" : "free")"
        func noise() throws -> NoiseSource { try .stack(golden.tensor("in.noises")) }
        let ancestral = try draw(process, "ddpm", denoiser, start, noise: noise()) {
            $0.clip = clips
        }
        let expected = try last(golden, "out.ddpm.\(suffix)", count: start.count)
        #expect(relativeError(ancestral, expected) < 1e-4)
        for eta in [0.0, 0.5, 1.0] {
            let implicit = try draw(process, "ddim", denoiser, start, noise: noise()) {
                ($0.clip, $0.eta) = (clips, Float(eta))
            }
            let expected = try last(golden, "out.ddim_\(eta).\(suffix)", count: start.count)
            #expect(relativeError(implicit, expected) < 1e-4)
        }
    }

    @Test func inversionIsTheOriginals() throws {
        let golden = try GoldenCase("diffusion/loops")
        let (process, denoiser) = try process("learned")
        let start = try golden.tensor("in.start")
        let noise = try draw(process, "ddim", denoiser, start, for: .invert)
        let expected = try last(golden, "out.ddim_reverse", count: start.count)
        #expect(relativeError(noise, expected) < 1e-4)
    }

    @Test func boundIsTheOriginals() throws {
        let golden = try GoldenCase("diffusion/loops")
        let (process, denoiser) = try process("learned")
        var options = SampleOptions()
        options.clip = true
        let bits = try process.bitsPerDimension(
            denoiser, of: golden.tensor("in.data"), noise: golden.tensor("in.noises"), options)
        func compare(_ got: [Double], _ key: String) throws {
            let expected = try golden.values("out.bound.\(key)")
            #expect(relativeError(got.map { Float($0) }, expected) < 1e-4)
        }
        try compare(bits.total, "total_bpd")
        try compare(bits.prior, "prior_bpd")
        try compare(bits.bound.flatMap { $0 }, "vb")
        try compare(bits.startError.flatMap { $0 }, "xstart_mse")
        try compare(bits.noiseError.flatMap { $0 }, "mse")
    }

    /// The golden gradient is of the sum over samples, ours is weighted by ones.
    @Test(arguments: ["MSE", "RESCALED_MSE", "KL", "RESCALED_KL"])
    func lossesAndGradientsAreTheOriginals(_ loss: String) throws {
        let golden = try GoldenCase("diffusion/losses")
        let (x, noise) = (try golden.tensor("in.x"), try golden.tensor("in.noise"))
        let output = try golden.tensor("in.model_output")
        let times = try golden.indices("in.t")
        var cases = 0
        for key in golden.names("grad_in.") where key.split(separator: ".")[0] == loss {
            let parts = key.split(separator: ".").map(String.init)
            let process = try shortGaussian(parts)
            let given = process.options.variance.isLearned ? output : try firstHalf(output)
            let noised = try process.noised(x, steps: times, noise: noise)
            let result = try process.losses(
                output: given, start: x, noised: noised, noise: noise, steps: times,
                weights: [1, 1, 1, 1])
            #expect(relativeError(result.losses, try golden.values("out.\(key).loss")) < 1e-5)
            #expect(relativeError(result.gradient, try golden.values("grad_in.\(key)")) < 1e-4)
            for term in ["mse", "vb"] {
                guard let expected = try? golden.values("out.\(key).\(term)") else { continue }
                #expect(relativeError(result.terms[term] ?? [], expected) < 1e-5)
            }
            cases += 1
        }
        #expect(cases > 2)
    }

    /// 250 steps whose betas are every fourth of the 1000 linear ones.
    private func shortGaussian(_ parts: [String]) throws -> Diffusion {
        var configuration = Diffusion.Options()
        configuration.loss = try GaussianLoss.named(parts[0])
        configuration.prediction = try GaussianPrediction.named(parts[1])
        configuration.variance = try GaussianVariance.named(parts[2])
        let all = try BetaSchedule.linear.betas(steps: 1000)
        let betas = stride(from: 0, to: 1000, by: 4).map { all[$0] }
        return try Diffusion(configuration, betas: betas)
    }

    private func firstHalf(_ output: Tensor) throws -> Tensor {
        let (batch, size) = (output.shape[0], output.count / output.shape[0] / 2)
        let result = try Tensor([batch, output.shape[1] / 2, output.shape[2], output.shape[3]])
        for sample in 0..<batch {
            for i in 0..<size {
                result.floats[sample * size + i] = output.floats[2 * sample * size + i]
            }
        }
        return result
    }
}
