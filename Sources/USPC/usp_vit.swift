// Header section "vit".

import CUSP
import USPBase
import USPKit
import USPTensor

@_cdecl("usp_vit_create") @implementation public func usp_vit_create(
    _ config: UnsafePointer<usp_vit_config>?, _ seed: UInt64,
    _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_vit_create") { () throws(USPError) in
        try checkOut(out)
        let given = try options(config, zeros: usp_vit_config(), "config")
        var sizes = ViT.Configuration()
        sizes.encoder = try EncoderConfiguration(given)
        sizes.classes = try count(given.classes, else: sizes.classes, "classes")
        sizes.pool = try text(given.pool, else: sizes.pool, "pool")
        sizes.head = try text(given.head, else: sizes.head, "head")
        try store(ModelHandle(ViT(sizes, seed: seed)), in: out)
    }
}

@_cdecl("usp_vit_describe") @implementation public func usp_vit_describe(
    _ vit: OpaquePointer?, _ out: UnsafeMutablePointer<usp_vit_config>?
) -> usp_status {
    guarded("usp_vit_describe") { () throws(USPError) in
        let sizes = try model(vit, as: ViT.self, "vit").configuration
        var result = usp_vit_config()
        sizes.encoder.describe(in: &result)
        result.classes = Int32(sizes.classes)
        result.pool = sizes.pool == "token" ? staticText("token") : staticText("avg")
        switch sizes.head {
        case "probe": result.head = staticText("probe")
        case "none": result.head = staticText("none")
        default: result.head = staticText("linear")
        }
        try returnOptions(result, in: out)
    }
}

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
        let target = try output(out, "out", [.extent(images.shape[0]), .extent(vit.width)])
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
