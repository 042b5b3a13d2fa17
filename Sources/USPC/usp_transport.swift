// Header section "transport".

import CUSP
import USPBase
import USPKit
import USPTensor

extension Transport: SamplerProcess {
    static var handleName: String { "usp_transport" }
    func outputChannels(_ channels: Int) -> Int { channels }
}

@_cdecl("usp_transport_create") @implementation public func usp_transport_create(
    _ options: UnsafePointer<usp_transport_options>?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_transport_create") { () throws(USPError) in
        try checkOut(out)
        let wanted = try USPC.options(
            options, Transport.Options.self, usp_transport_options()
        ).options
        try store(Transport(wanted), in: out)
    }
}

@_cdecl("usp_transport_free") @implementation public func usp_transport_free(
    _ transport: OpaquePointer?
) {
    freeHandle(transport, Transport.self)
}

@_cdecl("usp_transport_interval") @implementation public func usp_transport_interval(
    _ transport: OpaquePointer?, _ stochastic: Int32,
    _ options: UnsafePointer<usp_sample_options>?, _ outStart: UnsafeMutablePointer<Double>?,
    _ outEnd: UnsafeMutablePointer<Double>?, _ note: UnsafeMutablePointer<CChar>?,
    _ capacity: Int, _ outLength: UnsafeMutablePointer<Int>?
) -> usp_status {
    guarded("usp_transport_interval") { () throws(USPError) in
        let transport = try handle(transport, Transport.self, "transport")
        let (start, end) = (try result(outStart, "out_start"), try result(outEnd, "out_end"))
        let wanted = try USPC.options(
            options, SampleOptions.self, usp_sample_options()
        ).options
        let process = stochastic == 0 ? Sampler.Process.flow(transport) : .stochastic(transport)
        guard let interval = try Sampler(process, wanted).interval else {
            throw USPError(.internal, "a transport without an interval")
        }
        (start.pointee, end.pointee) = (interval.start, interval.end)
        try write(interval.notes.joined(separator: "; "), note, capacity, outLength)
    }
}

@_cdecl("usp_transport_sample_ode") @implementation public func usp_transport_sample_ode(
    _ transport: OpaquePointer?, _ denoiser: UnsafePointer<usp_denoiser>?,
    _ z: UnsafePointer<usp_tensor>?, _ y: UnsafePointer<usp_tensor>?,
    _ options: UnsafePointer<usp_sample_options>?, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_transport_sample_ode") { () throws(USPError) in
        try runSampler(
            RunArguments(transport, Transport.self, denoiser, z, "z", y, options), out
        ) { .flow($0) }
    }
}

@_cdecl("usp_transport_invert_ode") @implementation public func usp_transport_invert_ode(
    _ transport: OpaquePointer?, _ denoiser: UnsafePointer<usp_denoiser>?,
    _ x: UnsafePointer<usp_tensor>?, _ y: UnsafePointer<usp_tensor>?,
    _ options: UnsafePointer<usp_sample_options>?, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_transport_invert_ode") { () throws(USPError) in
        try runSampler(
            RunArguments(transport, Transport.self, denoiser, x, "x", y, options), out, .invert
        ) { .flow($0) }
    }
}

@_cdecl("usp_transport_sample_sde") @implementation public func usp_transport_sample_sde(
    _ transport: OpaquePointer?, _ denoiser: UnsafePointer<usp_denoiser>?,
    _ z: UnsafePointer<usp_tensor>?, _ y: UnsafePointer<usp_tensor>?,
    _ options: UnsafePointer<usp_sample_options>?, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_transport_sample_sde") { () throws(USPError) in
        try runSampler(
            RunArguments(transport, Transport.self, denoiser, z, "z", y, options), out
        ) { .stochastic($0) }
    }
}

@_cdecl("usp_transport_losses") @implementation public func usp_transport_losses(
    _ transport: OpaquePointer?, _ denoiser: UnsafePointer<usp_denoiser>?,
    _ data: UnsafePointer<usp_tensor>?, _ t: UnsafePointer<usp_tensor>?,
    _ y: UnsafePointer<usp_tensor>?, _ noise: UnsafePointer<usp_tensor>?, _ featureCount: Int32,
    _ features: UnsafePointer<usp_tensor>?, _ seed: UInt64,
    _ outLosses: UnsafeMutablePointer<usp_tensor>?, _ outMse: UnsafeMutablePointer<usp_tensor>?,
    _ outCosLoss: UnsafeMutablePointer<usp_tensor>?,
    _ outAlignment: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_transport_losses") { () throws(USPError) in
        let run = try RunArguments(transport, Transport.self, denoiser, data, "data", y)
        let batch = [Axis.extent(run.start.shape[0])]
        let losses = try output(outLosses, "out_losses", batch)
        let parts = [
            ("mse", try optionalOutput(outMse, "out_mse", batch)),
            ("cos_loss", try optionalOutput(outCosLoss, "out_cos_loss", batch)),
            ("alignment", try optionalOutput(outAlignment, "out_alignment", batch)),
        ]
        var times: [Float]?
        if t != nil { times = try reals(t, "t", batch) }
        let result = try run.process.losses(
            of: run.denoiser, data: run.start, times: times, labels: run.labels,
            noise: optionalTensor(noise, "noise", axes(run.start.shape)),
            features: teacherFeatures(featureCount, features, batch[0]), seed: seed)
        try result.write(losses, parts)
    }
}

@_cdecl("usp_transport_draw_times") @implementation public func usp_transport_draw_times(
    _ transport: OpaquePointer?, _ seed: UInt64, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_transport_draw_times") { () throws(USPError) in
        let transport = try handle(transport, Transport.self, "transport")
        let target = try output(out, "out", ["N"])
        try SystemMemory.expect(target.shape.count, of: Float.self)
        try target.write(
            Tensor(target.shape, transport.drawTimes(target.shape.count, seed: seed)))
    }
}

@_cdecl("usp_transport_likelihood") @implementation public func usp_transport_likelihood(
    _ transport: OpaquePointer?, _ denoiser: UnsafePointer<usp_denoiser>?,
    _ x: UnsafePointer<usp_tensor>?, _ y: UnsafePointer<usp_tensor>?,
    _ options: UnsafePointer<usp_sample_options>?, _ outLogp: UnsafeMutablePointer<usp_tensor>?,
    _ outZ: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_transport_likelihood") { () throws(USPError) in
        let run = try RunArguments(transport, Transport.self, denoiser, x, "x", y, options)
        let logp = try output(outLogp, "out_logp", [.extent(run.start.shape[0])])
        let noise = try optionalOutput(outZ, "out_z", axes(run.start.shape))
        var probe: Tensor?
        if let noise = run.noise {
            try require(noise.shape[0] >= 1, .shape, "noise: no entry, expected the probe")
            probe = try noise.detachedRows(0..<1).reshaped(run.start.shape)
        }
        let result = try Sampler(.flow(run.process), run.options, for: .likelihood).likelihood(
            run.denoiser, of: run.start, labels: run.labels, probe: probe, run.monitor)
        try logp.write(Tensor([result.logLikelihood.count], result.logLikelihood))
        try noise?.write(result.noise)
    }
}
