// Header section "dit".

import CUSP
import USPBase
import USPKit
import USPTensor

@_cdecl("usp_dit_out_channels") @implementation public func usp_dit_out_channels(
    _ dit: OpaquePointer?
) -> Int64 {
    guarded("usp_dit_out_channels", else: 0) { () throws(USPError) in
        Int64(try model(dit, as: DiT.self, "dit").outputChannels)
    }
}

/// What a pass of a diffusion transformer takes, checked.
private struct DenoisingPass {
    let dit: DiT
    let x: Tensor
    let t: [Float]
    let y: [Int]?

    init(
        _ handle: OpaquePointer?, _ x: UnsafePointer<usp_tensor>?, _ t: UnsafePointer<usp_tensor>?,
        _ y: UnsafePointer<usp_tensor>?
    ) throws(USPError) {
        dit = try model(handle, as: DiT.self, "dit")
        let one = dit.inputShape(batch: 1)
        self.x = try tensor(x, "x", ["B", .extent(one[1]), .extent(one[2]), .extent(one[3])])
        self.t = try reals(t, "t", [.extent(self.x.shape[0])])
        self.y = try optionalIntegers(y, "y", [.extent(self.x.shape[0])])
    }

    func target(_ out: UnsafeMutablePointer<usp_tensor>?) throws(USPError) -> StridedView {
        try output(
            out, "out",
            [
                .extent(x.shape[0]), .extent(dit.outputChannels), .extent(x.shape[2]),
                .extent(x.shape[3]),
            ])
    }
}

@_cdecl("usp_dit_forward") @implementation public func usp_dit_forward(
    _ dit: OpaquePointer?, _ x: UnsafePointer<usp_tensor>?, _ t: UnsafePointer<usp_tensor>?,
    _ y: UnsafePointer<usp_tensor>?, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_dit_forward") { () throws(USPError) in
        let pass = try DenoisingPass(dit, x, t, y)
        let target = try pass.target(out)
        try target.write(pass.dit.forward(pass.x, t: pass.t, y: pass.y))
    }
}

@_cdecl("usp_dit_forward_guided") @implementation public func usp_dit_forward_guided(
    _ dit: OpaquePointer?, _ x: UnsafePointer<usp_tensor>?, _ t: UnsafePointer<usp_tensor>?,
    _ y: UnsafePointer<usp_tensor>?, _ scale: Float, _ channels: Int32, _ begin: Float,
    _ end: Float, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_dit_forward_guided") { () throws(USPError) in
        let pass = try DenoisingPass(dit, x, t, y)
        let target = try pass.target(out)
        guard let labels = pass.y else { throw USPError(.argument, "y: is NULL") }
        var guidance = Guidance(scale)
        guidance.channels = try count(channels, else: 3, "channels")
        guidance.begin = begin.isNaN ? nil : begin
        guidance.end = end.isNaN ? nil : end
        try target.write(pass.dit.forwardGuided(pass.x, t: pass.t, y: labels, guidance))
    }
}

@_cdecl("usp_dit_gradients") @implementation public func usp_dit_gradients(
    _ dit: OpaquePointer?, _ x: UnsafePointer<usp_tensor>?, _ t: UnsafePointer<usp_tensor>?,
    _ y: UnsafePointer<usp_tensor>?, _ outLoss: UnsafeMutablePointer<Float>?,
    _ outGradients: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_dit_gradients") { () throws(USPError) in
        try checkOut(outGradients, "out_gradients")
        let pass = try DenoisingPass(dit, x, t, y)
        let result = try pass.dit.gradients(pass.x, t: pass.t, y: pass.y)
        outLoss?.pointee = result.loss
        try store(result.gradients, in: outGradients)
    }
}

@_cdecl("usp_dit_features") @implementation public func usp_dit_features(
    _ dit: OpaquePointer?, _ x: UnsafePointer<usp_tensor>?, _ t: UnsafePointer<usp_tensor>?,
    _ y: UnsafePointer<usp_tensor>?, _ depth: Int32, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_dit_features") { () throws(USPError) in
        let pass = try DenoisingPass(dit, x, t, y)
        let sizes = pass.dit.configuration
        let target = try output(out, "out", [.extent(pass.x.shape[0]), .extent(sizes.width)])
        try target.write(
            pass.dit.features(
                pass.x, t: pass.t, y: pass.y, depth: count(depth, else: sizes.depth, "depth")))
    }
}

@_cdecl("usp_dit_projections") @implementation public func usp_dit_projections(
    _ dit: OpaquePointer?, _ x: UnsafePointer<usp_tensor>?, _ t: UnsafePointer<usp_tensor>?,
    _ y: UnsafePointer<usp_tensor>?, _ count: Int32, _ outs: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_dit_projections") { () throws(USPError) in
        let pass = try DenoisingPass(dit, x, t, y)
        try pass.dit.expectProjectors()
        let sizes = pass.dit.configuration
        let widths = sizes.projections
        guard let outs, Int(count) == widths.count else {
            throw USPError(.argument, "outs: \(count) arrays, expected \(widths.count)")
        }
        var targets: [StridedView] = []
        for (index, width) in widths.enumerated() {
            let axes = [pass.x.shape[0], sizes.grid.count, width].map { Axis.extent($0) }
            targets.append(try output(outs + index, "outs[\(index)]", axes))
        }
        let results = try pass.dit.projections(pass.x, t: pass.t, y: pass.y)
        for (target, result) in zip(targets, results) { try target.write(result) }
    }
}

@_cdecl("usp_dit_layers") @implementation public func usp_dit_layers(
    _ dit: OpaquePointer?, _ x: UnsafePointer<usp_tensor>?, _ t: UnsafePointer<usp_tensor>?,
    _ y: UnsafePointer<usp_tensor>?, _ layers: UnsafePointer<Int64>?, _ count: Int,
    _ tokens: Int32, _ outs: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_dit_layers") { () throws(USPError) in
        let pass = try DenoisingPass(dit, x, t, y)
        let sizes = pass.dit.configuration
        let target = try LayerOutputs(
            layers, count, outs,
            [pass.x.shape[0]] + (tokens != 0 ? [sizes.grid.count] : []) + [sizes.width])
        try target.write(
            pass.dit.features(
                pass.x, t: pass.t, y: pass.y, layers: target.layers, tokens: tokens != 0))
    }
}

@_cdecl("usp_dit_attention") @implementation public func usp_dit_attention(
    _ dit: OpaquePointer?, _ x: UnsafePointer<usp_tensor>?, _ t: UnsafePointer<usp_tensor>?,
    _ y: UnsafePointer<usp_tensor>?, _ layer: Int64, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_dit_attention") { () throws(USPError) in
        let pass = try DenoisingPass(dit, x, t, y)
        let found = try pass.dit.attention(pass.x, t: pass.t, y: pass.y, layer: Int(layer))
        try output(out, "out", axes(found.shape)).write(found)
    }
}
