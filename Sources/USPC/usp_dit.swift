// Header section "dit".

import CUSP
import USPBase
import USPKit
import USPTensor

@_cdecl("usp_dit_create") @implementation public func usp_dit_create(
    _ config: UnsafePointer<usp_dit_config>?, _ seed: UInt64,
    _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_dit_create") { () throws(USPError) in
        try checkOut(out)
        let given = try options(config, zeros: usp_dit_config(), "config")
        var sizes = DiT.Configuration()
        sizes.family = try text(given.family, else: sizes.family, "family")
        sizes.gridHeight = try count(given.grid_height, else: sizes.gridHeight, "grid_height")
        sizes.gridWidth = try count(given.grid_width, else: sizes.gridWidth, "grid_width")
        sizes.channels = try count(given.channels, else: sizes.channels, "channels")
        sizes.patch = try count(given.patch, else: sizes.patch, "patch")
        sizes.width = try count(given.width, else: sizes.width, "width")
        sizes.depth = try count(given.depth, else: sizes.depth, "depth")
        sizes.heads = try count(given.heads, else: sizes.heads, "heads")
        sizes.classes = try count(given.classes, else: sizes.classes, "classes")
        sizes.affineNorms = given.affine != 0
        sizes.learnsSigma = given.learn_sigma != USP_NO
        try store(ModelHandle(DiT(sizes, seed: seed)), in: out)
    }
}

@_cdecl("usp_dit_describe") @implementation public func usp_dit_describe(
    _ dit: OpaquePointer?, _ out: UnsafeMutablePointer<usp_dit_config>?
) -> usp_status {
    guarded("usp_dit_describe") { () throws(USPError) in
        let sizes = try model(dit, as: DiT.self, "dit").configuration
        var result = usp_dit_config()
        result.grid_height = Int32(sizes.gridHeight)
        result.grid_width = Int32(sizes.gridWidth)
        result.channels = Int32(sizes.channels)
        result.patch = Int32(sizes.patch)
        result.width = Int32(sizes.width)
        result.depth = Int32(sizes.depth)
        result.heads = Int32(sizes.heads)
        result.classes = Int32(sizes.classes)
        result.affine = sizes.affineNorms ? 1 : 0
        result.learn_sigma = sizes.learnsSigma ? USP_YES : USP_NO
        result.family = familyText(sizes.family)
        try returnOptions(result, in: out)
    }
}

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
    _ y: UnsafePointer<usp_tensor>?, _ scale: Float, _ channels: Int32,
    _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_dit_forward_guided") { () throws(USPError) in
        let pass = try DenoisingPass(dit, x, t, y)
        let target = try pass.target(out)
        guard let labels = pass.y else { throw USPError(.argument, "y: is NULL") }
        try target.write(
            pass.dit.forwardGuided(
                pass.x, t: pass.t, y: labels, scale: scale,
                channels: count(channels, else: 3, "channels")))
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
