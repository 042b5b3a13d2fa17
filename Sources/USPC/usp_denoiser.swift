// Header section "denoiser": a model or a C function as the samplers see it.

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
    var (options, given) = try options(
        pointer, Denoiser.Options.self, usp_denoiser(), "denoiser")
    if given.cfg_scales != nil {
        options.guidance.scales = try reals(given.cfg_scales, "cfg_scales", ["B"])
    }
    if given.model != nil {
        return try model(given.model, as: DiT.self, "denoiser.model").denoiser
            .guided(options.guidance)
    }
    guard let function = given.function else {
        throw USPError(.argument, "denoiser: neither model nor function is set")
    }
    let outChannels = options.outChannels
    let call = DenoiserCall(function: function, user: given.user) { outChannels ?? channels($0) }
    return try Denoiser(nullClass: options.nullClass) { x, times, labels throws(USPError) in
        try call.predict(x, times, labels)
    }.guided(options.guidance)
}

/// A C function that denoises.
private struct DenoiserCall {
    let function: usp_denoise_fn
    let user: UnsafeMutableRawPointer?
    /// Of the output, for latents of so many.
    let channels: (Int) -> Int

    func predict(_ x: Tensor, _ times: [Float], _ labels: [Int]?) throws(USPError) -> Tensor {
        let out = try Tensor([x.shape[0], channels(x.shape[1]), x.shape[2], x.shape[3]])
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
