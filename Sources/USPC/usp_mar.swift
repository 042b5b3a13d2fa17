// Header section "mar".

import CUSP
import USPBase
import USPKit
import USPTensor

/// The latents and labels of a pass.
private struct LatentPass {
    let mar: MAR
    let latents: Tensor
    let labels: [Int]?
    var batch: Axis { .extent(latents.shape[0]) }
    var tokens: Axis { .extent(mar.tokens) }

    init(
        _ handle: OpaquePointer?, _ latents: UnsafePointer<usp_tensor>?,
        _ y: UnsafePointer<usp_tensor>?
    ) throws(USPError) {
        mar = try model(handle, as: MAR.self, "mar")
        let one = mar.inputShape(batch: 1)
        self.latents = try tensor(
            latents, "latents", ["B", .extent(one[1]), .extent(one[2]), .extent(one[3])])
        labels = try optionalIntegers(y, "y", [.extent(self.latents.shape[0])])
    }

    func options(_ pointer: UnsafePointer<usp_mar_options>?) throws(USPError) -> MAR.Options {
        var (options, given) = try USPC.options(pointer, MAR.Options.self, usp_mar_options())
        options.mask = try optionalTensor(given.mask, "mask", [batch, tokens])
        options.noise = try optionalTensor(
            given.noise, "noise", ["M"] + axes(latents.shape))
        guard given.times != nil else { return options }
        let times = try integers(given.times, "times", ["M", batch, tokens])
        let copies = times.count / max(latents.shape[0] * mar.tokens, 1)
        options.times = try Tensor(
            [copies, latents.shape[0], mar.tokens], times.map { Float($0) })
        return options
    }
}

@_cdecl("usp_mar_forward") @implementation public func usp_mar_forward(
    _ mar: OpaquePointer?, _ latents: UnsafePointer<usp_tensor>?, _ y: UnsafePointer<usp_tensor>?,
    _ options: UnsafePointer<usp_mar_options>?, _ outLoss: UnsafeMutablePointer<Float>?,
    _ outTokenLoss: UnsafeMutablePointer<usp_tensor>?, _ outMask: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_mar_forward") { () throws(USPError) in
        let pass = try LatentPass(mar, latents, y)
        let options = try pass.options(options)
        let losses = try optionalOutput(
            outTokenLoss, "out_token_loss", ["M", pass.batch, pass.tokens])
        let mask = try optionalOutput(outMask, "out_mask", [pass.batch, pass.tokens])
        let output = try pass.mar.forward(pass.latents, labels: pass.labels, options)
        outLoss?.pointee = output.loss
        try losses?.write(output.tokenLoss)
        try mask?.write(output.mask)
    }
}

@_cdecl("usp_mar_gradients") @implementation public func usp_mar_gradients(
    _ mar: OpaquePointer?, _ latents: UnsafePointer<usp_tensor>?, _ y: UnsafePointer<usp_tensor>?,
    _ options: UnsafePointer<usp_mar_options>?, _ outLoss: UnsafeMutablePointer<Float>?,
    _ outGradients: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_mar_gradients") { () throws(USPError) in
        try checkOut(outGradients, "out_gradients")
        let pass = try LatentPass(mar, latents, y)
        let result = try pass.mar.gradients(
            pass.latents, labels: pass.labels, pass.options(options))
        outLoss?.pointee = result.loss
        try store(result.gradients, in: outGradients)
    }
}

@_cdecl("usp_mar_condition") @implementation public func usp_mar_condition(
    _ mar: OpaquePointer?, _ latents: UnsafePointer<usp_tensor>?, _ y: UnsafePointer<usp_tensor>?,
    _ mask: UnsafePointer<usp_tensor>?, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_mar_condition") { () throws(USPError) in
        let pass = try LatentPass(mar, latents, y)
        let mask = try tensor(mask, "mask", [pass.batch, pass.tokens])
        let width = Axis.extent(pass.mar.configuration.decoderWidth)
        let target = try output(out, "out", [pass.batch, pass.tokens, width])
        try target.write(pass.mar.condition(pass.latents, labels: pass.labels, mask: mask))
    }
}

/// Tokens, steps and conditions of the head, checked.
private struct TokenPass {
    let mar: MAR
    let x: Tensor
    let t: [Float]
    let condition: Tensor
    let target: StridedView

    init(
        _ handle: OpaquePointer?, _ x: UnsafePointer<usp_tensor>?, _ t: UnsafePointer<usp_tensor>?,
        _ condition: UnsafePointer<usp_tensor>?, _ out: UnsafeMutablePointer<usp_tensor>?
    ) throws(USPError) {
        mar = try model(handle, as: MAR.self, "mar")
        self.x = try tensor(x, "x", ["N", .extent(mar.patchSize)])
        let count = Axis.extent(self.x.shape[0])
        self.t = try reals(t, "t", [count])
        self.condition = try tensor(
            condition, "condition", [count, .extent(mar.configuration.decoderWidth)])
        target = try output(out, "out", [count, .extent(2 * mar.patchSize)])
    }
}

@_cdecl("usp_mar_denoise") @implementation public func usp_mar_denoise(
    _ mar: OpaquePointer?, _ x: UnsafePointer<usp_tensor>?, _ t: UnsafePointer<usp_tensor>?,
    _ condition: UnsafePointer<usp_tensor>?, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_mar_denoise") { () throws(USPError) in
        let pass = try TokenPass(mar, x, t, condition, out)
        try pass.target.write(pass.mar.denoise(pass.x, t: pass.t, condition: pass.condition))
    }
}

@_cdecl("usp_mar_denoise_guided") @implementation public func usp_mar_denoise_guided(
    _ mar: OpaquePointer?, _ x: UnsafePointer<usp_tensor>?, _ t: UnsafePointer<usp_tensor>?,
    _ condition: UnsafePointer<usp_tensor>?, _ scale: Float,
    _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_mar_denoise_guided") { () throws(USPError) in
        let pass = try TokenPass(mar, x, t, condition, out)
        try pass.target.write(
            pass.mar.denoiseGuided(
                pass.x, t: pass.t, condition: pass.condition, scale: scale))
    }
}

@_cdecl("usp_mar_sample") @implementation public func usp_mar_sample(
    _ mar: OpaquePointer?, _ y: UnsafePointer<usp_tensor>?,
    _ options: UnsafePointer<usp_mar_sample_options>?, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_mar_sample") { () throws(USPError) in
        let mar = try model(mar, as: MAR.self, "mar")
        let one = mar.inputShape(batch: 1)
        let image: [Axis] = [.extent(one[1]), .extent(one[2]), .extent(one[3])]
        let target = try output(out, "out", ["B"] + image)
        let batch = Axis.extent(target.shape[0])
        let labels = try optionalIntegers(y, "y", [batch])
        var (options, given) = try USPC.options(
            options, MAR.SampleOptions.self, usp_mar_sample_options())
        options.orders = try optionalIntegers(
            given.orders, "orders", [batch, .extent(mar.tokens)])
        options.start = try optionalTensor(given.z, "z", [batch] + image)
        options.noise = try optionalTensor(given.noise, "noise", ["S", batch] + image)
        var monitor = SamplingMonitor()
        monitor.progress = progressFunction(given.progress, given.progress_user, "progress")
        monitor.preview = progressFunction(given.preview, given.preview_user, "preview")
        try target.write(
            mar.sample(labels: labels, count: target.shape[0], options, monitor))
    }
}
