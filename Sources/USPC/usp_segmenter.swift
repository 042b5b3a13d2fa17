// Header section "segmenter".

import CUSP
import USPBase
import USPKit
import USPTensor

private func images(
    _ pointer: UnsafePointer<usp_tensor>?
) throws(USPError) -> Tensor { try tensor(pointer, "images", ["B", "C", "H", "W"]) }

@_cdecl("usp_segmenter_logits") @implementation public func usp_segmenter_logits(
    _ segmenter: OpaquePointer?, _ images: UnsafePointer<usp_tensor>?,
    _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_segmenter_logits") { () throws(USPError) in
        let network = try model(segmenter, as: Segmenter.self, "segmenter")
        let images = try USPC.images(images)
        let target = try output(
            out, "out", [.extent(images.shape[0]), .extent(network.classes), "H'", "W'"])
        try target.write(
            network.logits(images, height: target.shape[2], width: target.shape[3]))
    }
}

@_cdecl("usp_segmenter_decode") @implementation public func usp_segmenter_decode(
    _ segmenter: OpaquePointer?, _ features: UnsafePointer<usp_tensor>?, _ count: Int64,
    _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_segmenter_decode") { () throws(USPError) in
        let network = try model(segmenter, as: Segmenter.self, "segmenter")
        let wanted = network.configuration.outIndices.count
        guard let features, count == wanted else {
            throw USPError(
                .argument,
                "features: \(count) at \(features == nil ? "NULL" : "an array"), expected \(wanted)"
            )
        }
        var maps: [Tensor] = []
        for index in 0..<wanted {
            maps.append(try tensor(features + index, "features[\(index)]", ["B", "D", "h", "w"]))
        }
        let scores = try network.decode(maps)
        try output(out, "out", axes(scores.shape)).write(scores)
    }
}

@_cdecl("usp_segmenter_gradients") @implementation public func usp_segmenter_gradients(
    _ segmenter: OpaquePointer?, _ images: UnsafePointer<usp_tensor>?,
    _ labels: UnsafePointer<usp_tensor>?, _ options: UnsafePointer<usp_segmenter_options>?,
    _ outLoss: UnsafeMutablePointer<Float>?, _ outGradients: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_segmenter_gradients") { () throws(USPError) in
        try checkOut(outGradients, "out_gradients")
        let network = try model(segmenter, as: Segmenter.self, "segmenter")
        let images = try USPC.images(images)
        let map = try view(
            labels, "labels", [.extent(images.shape[0]), "H'", "W'"], .uint8, .int64)
        let wanted = try USPC.options(options, Segmenter.Options.self, usp_segmenter_options())
        let result = try network.gradients(
            images, labels: map.gathered(as: map.dtype), wanted.options)
        outLoss?.pointee = result.loss
        try store(result.gradients, in: outGradients)
    }
}

/// A network with what is in front of it.
private struct WindowedPass {
    let network: Segmenter
    let vae: VAE?
    let images: Tensor
    let windows: Segmenter.Windows

    init(
        _ segmenter: OpaquePointer?, _ vae: OpaquePointer?, _ images: UnsafePointer<usp_tensor>?,
        _ options: UnsafePointer<usp_window_options>?
    ) throws(USPError) {
        network = try model(segmenter, as: Segmenter.self, "segmenter")
        self.vae = try vae.map { pointer throws(USPError) in
            try model(pointer, as: VAE.self, "vae")
        }
        self.images = try USPC.images(images)
        windows = try USPC.options(options, Segmenter.Windows.self, usp_window_options()).options
    }
}

@_cdecl("usp_segmenter_scores") @implementation public func usp_segmenter_scores(
    _ segmenter: OpaquePointer?, _ vae: OpaquePointer?, _ images: UnsafePointer<usp_tensor>?,
    _ options: UnsafePointer<usp_window_options>?, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_segmenter_scores") { () throws(USPError) in
        let pass = try WindowedPass(segmenter, vae, images, options)
        let target = try output(
            out, "out",
            [.extent(pass.images.shape[0]), .extent(pass.network.classes), "H'", "W'"])
        try target.write(
            pass.network.scores(
                pass.images, vae: pass.vae, pass.windows, height: target.shape[2],
                width: target.shape[3]))
    }
}

@_cdecl("usp_segmenter_predict") @implementation public func usp_segmenter_predict(
    _ segmenter: OpaquePointer?, _ vae: OpaquePointer?, _ images: UnsafePointer<usp_tensor>?,
    _ options: UnsafePointer<usp_window_options>?, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_segmenter_predict") { () throws(USPError) in
        let pass = try WindowedPass(segmenter, vae, images, options)
        let target = try output(
            out, "out", [.extent(pass.images.shape[0]), "H'", "W'"],
            pass.network.classes <= 256 ? .uint8 : .int64)
        try target.write(
            pass.network.predict(
                pass.images, vae: pass.vae, pass.windows, height: target.shape[1],
                width: target.shape[2]))
    }
}
