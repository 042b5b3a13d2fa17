// Header section "vit".

import CUSP
import USPBase
import USPKit
import USPTensor

private func inputs(
    _ vit: ViT, _ images: UnsafePointer<usp_tensor>?
) throws(USPError) -> Tensor {
    let one = vit.inputShape(batch: 1)
    return try tensor(images, "images", ["B", .extent(one[1]), .extent(one[2]), .extent(one[3])])
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
