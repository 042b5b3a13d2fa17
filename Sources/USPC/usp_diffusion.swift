// Header section "diffusion".

import CUSP
import USPBase
import USPKit
import USPTensor

extension Diffusion: SamplerProcess {
    static var handleName: String { "usp_diffusion" }
    func outputChannels(_ channels: Int) -> Int {
        options.variance.isLearned ? 2 * channels : channels
    }
}

@_cdecl("usp_diffusion_create") @implementation public func usp_diffusion_create(
    _ options: UnsafePointer<usp_diffusion_options>?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_diffusion_create") { () throws(USPError) in
        try checkOut(out)
        let wanted = try USPC.options(
            options, Diffusion.Options.self, usp_diffusion_options()
        ).options
        try store(Diffusion(wanted), in: out)
    }
}

@_cdecl("usp_diffusion_free") @implementation public func usp_diffusion_free(
    _ diffusion: OpaquePointer?
) {
    freeHandle(diffusion, Diffusion.self)
}

@_cdecl("usp_diffusion_steps") @implementation public func usp_diffusion_steps(
    _ diffusion: OpaquePointer?
) -> Int64 {
    guarded("usp_diffusion_steps", else: 0) { () throws(USPError) in
        Int64(try handle(diffusion, Diffusion.self, "diffusion").steps)
    }
}

@_cdecl("usp_diffusion_table") @implementation public func usp_diffusion_table(
    _ diffusion: OpaquePointer?, _ name: UnsafePointer<CChar>?,
    _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_diffusion_table") { () throws(USPError) in
        let diffusion = try handle(diffusion, Diffusion.self, "diffusion")
        let values = try diffusion.table(text(name, "name"))
        let target = try output(out, "out", [.extent(values.count)], .float64)
        let tensor = try Tensor([values.count], .float64)
        let words = tensor.raw.assumingMemoryBound(to: Double.self)
        for (i, value) in values.enumerated() { words[i] = value }
        try target.write(tensor)
    }
}

@_cdecl("usp_diffusion_noise") @implementation public func usp_diffusion_noise(
    _ diffusion: OpaquePointer?, _ start: UnsafePointer<usp_tensor>?,
    _ t: UnsafePointer<usp_tensor>?, _ noise: UnsafePointer<usp_tensor>?,
    _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_diffusion_noise") { () throws(USPError) in
        let diffusion = try handle(diffusion, Diffusion.self, "diffusion")
        let start = try tensor(start, "start", latentAxes)
        let target = try output(out, "out", axes(start.shape))
        try target.write(
            diffusion.noised(
                start, steps: integers(t, "t", [.extent(start.shape[0])]),
                noise: tensor(noise, "noise", axes(start.shape))))
    }
}

@_cdecl("usp_diffusion_sample") @implementation public func usp_diffusion_sample(
    _ diffusion: OpaquePointer?, _ denoiser: UnsafePointer<usp_denoiser>?,
    _ z: UnsafePointer<usp_tensor>?, _ y: UnsafePointer<usp_tensor>?,
    _ options: UnsafePointer<usp_sample_options>?, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_diffusion_sample") { () throws(USPError) in
        try runSampler(
            RunArguments(diffusion, Diffusion.self, denoiser, z, "z", y, options), out
        ) { .diffusion($0) }
    }
}

@_cdecl("usp_diffusion_invert") @implementation public func usp_diffusion_invert(
    _ diffusion: OpaquePointer?, _ denoiser: UnsafePointer<usp_denoiser>?,
    _ x: UnsafePointer<usp_tensor>?, _ y: UnsafePointer<usp_tensor>?,
    _ options: UnsafePointer<usp_sample_options>?, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_diffusion_invert") { () throws(USPError) in
        try runSampler(
            RunArguments(diffusion, Diffusion.self, denoiser, x, "x", y, options), out, .invert
        ) { .diffusion($0) }
    }
}

@_cdecl("usp_diffusion_losses") @implementation public func usp_diffusion_losses(
    _ diffusion: OpaquePointer?, _ denoiser: UnsafePointer<usp_denoiser>?,
    _ start: UnsafePointer<usp_tensor>?, _ t: UnsafePointer<usp_tensor>?,
    _ y: UnsafePointer<usp_tensor>?, _ noise: UnsafePointer<usp_tensor>?, _ seed: UInt64,
    _ outLosses: UnsafeMutablePointer<usp_tensor>?, _ outMse: UnsafeMutablePointer<usp_tensor>?,
    _ outVb: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_diffusion_losses") { () throws(USPError) in
        let run = try RunArguments(diffusion, Diffusion.self, denoiser, start, "start", y)
        let batch = [Axis.extent(run.start.shape[0])]
        let losses = try output(outLosses, "out_losses", batch)
        let parts = [
            ("mse", try optionalOutput(outMse, "out_mse", batch)),
            ("vb", try optionalOutput(outVb, "out_vb", batch)),
        ]
        let result = try run.process.losses(
            of: run.denoiser, start: run.start, steps: optionalIntegers(t, "t", batch),
            labels: run.labels, noise: optionalTensor(noise, "noise", axes(run.start.shape)),
            seed: seed)
        try result.write(losses, parts)
    }
}

@_cdecl("usp_diffusion_bits_per_dimension") @implementation
public func usp_diffusion_bits_per_dimension(
    _ diffusion: OpaquePointer?, _ denoiser: UnsafePointer<usp_denoiser>?,
    _ start: UnsafePointer<usp_tensor>?, _ y: UnsafePointer<usp_tensor>?,
    _ options: UnsafePointer<usp_sample_options>?, _ outTotal: UnsafeMutablePointer<usp_tensor>?,
    _ outPrior: UnsafeMutablePointer<usp_tensor>?, _ outVb: UnsafeMutablePointer<usp_tensor>?,
    _ outStartMse: UnsafeMutablePointer<usp_tensor>?,
    _ outNoiseMse: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_diffusion_bits_per_dimension") { () throws(USPError) in
        let run = try RunArguments(
            diffusion, Diffusion.self, denoiser, start, "start", y, options)
        let batch = Axis.extent(run.start.shape[0])
        let terms = [batch, .extent(run.process.steps)]
        let total = try output(outTotal, "out_total", [batch])
        let prior = try optionalOutput(outPrior, "out_prior", [batch])
        let vb = try optionalOutput(outVb, "out_vb", terms)
        let startErrors = try optionalOutput(outStartMse, "out_start_mse", terms)
        let noiseErrors = try optionalOutput(outNoiseMse, "out_noise_mse", terms)
        let result = try run.process.bitsPerDimension(
            run.denoiser, of: run.start, labels: run.labels, noise: run.noise, run.options,
            run.monitor)
        func write(_ values: [Double], _ target: StridedView?) throws(USPError) {
            guard let target else { return }
            try target.write(Tensor(target.shape, values.map { Float($0) }))
        }
        try write(result.total, total)
        try write(result.prior, prior)
        try write(result.bound.flatMap { $0 }, vb)
        try write(result.startError.flatMap { $0 }, startErrors)
        try write(result.noiseError.flatMap { $0 }, noiseErrors)
    }
}
