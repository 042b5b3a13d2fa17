// Header section "vit".

import CUSP
import USPBase
import USPKit
import USPTensor

private func inputs(
    _ vit: ViT, _ images: UnsafePointer<usp_tensor>?
) throws(USPError) -> Tensor {
    try tensor(images, "images", ["B", .extent(vit.inputShape(batch: 1)[1]), "H", "W"])
}

@_cdecl("usp_vit_tokens") @implementation public func usp_vit_tokens(
    _ vit: OpaquePointer?, _ images: UnsafePointer<usp_tensor>?, _ norm: Int32, _ leading: Int32,
    _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_vit_tokens") { () throws(USPError) in
        let vit = try model(vit, as: ViT.self, "vit")
        let images = try inputs(vit, images)
        let tokens = try vit.tokens(images, norm: norm != 0, leading: leading != 0)
        let target = try output(out, "out", tokens.shape.extents.map { .extent($0) })
        try target.write(tokens)
    }
}

@_cdecl("usp_vit_leading") @implementation public func usp_vit_leading(
    _ vit: OpaquePointer?
) -> Int64 {
    guarded("usp_vit_leading", else: 0) { () throws(USPError) in
        Int64(try model(vit, as: ViT.self, "vit").leading)
    }
}

@_cdecl("usp_vit_features") @implementation public func usp_vit_features(
    _ vit: OpaquePointer?, _ images: UnsafePointer<usp_tensor>?,
    _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_vit_features") { () throws(USPError) in
        let vit = try model(vit, as: ViT.self, "vit")
        let images = try inputs(vit, images)
        let target = try output(
            out, "out", [.extent(images.shape[0]), .extent(vit.configuration.width)])
        try target.write(vit.features(images))
    }
}

@_cdecl("usp_vit_logits") @implementation public func usp_vit_logits(
    _ vit: OpaquePointer?, _ images: UnsafePointer<usp_tensor>?,
    _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_vit_logits") { () throws(USPError) in
        let vit = try model(vit, as: ViT.self, "vit")
        guard vit.classes > 0 else { throw USPError(.unsupported, "vit: has no head") }
        let images = try inputs(vit, images)
        let target = try output(out, "out", [.extent(images.shape[0]), .extent(vit.classes)])
        try target.write(vit.logits(images))
    }
}

@_cdecl("usp_vit_layers") @implementation public func usp_vit_layers(
    _ vit: OpaquePointer?, _ images: UnsafePointer<usp_tensor>?,
    _ layers: UnsafePointer<Int64>?, _ count: Int, _ tokens: Int32,
    _ outs: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_vit_layers") { () throws(USPError) in
        let vit = try model(vit, as: ViT.self, "vit")
        let images = try inputs(vit, images)
        let patch = vit.configuration.patch
        let places = (images.shape[2] / patch) * (images.shape[3] / patch)
        let target = try LayerOutputs(
            layers, count, outs,
            [images.shape[0]] + (tokens != 0 ? [places] : []) + [vit.configuration.width])
        try target.write(
            vit.features(images, layers: target.layers, tokens: tokens != 0))
    }
}

@_cdecl("usp_vit_attention") @implementation public func usp_vit_attention(
    _ vit: OpaquePointer?, _ images: UnsafePointer<usp_tensor>?, _ layer: Int64,
    _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_vit_attention") { () throws(USPError) in
        let vit = try model(vit, as: ViT.self, "vit")
        let found = try vit.attention(inputs(vit, images), layer: Int(layer))
        try output(out, "out", axes(found.shape)).write(found)
    }
}
