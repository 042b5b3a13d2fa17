// Header section "inception".

import CUSP
import USPBase
import USPKit
import USPTensor

@_cdecl("usp_inception_features") @implementation public func usp_inception_features(
    _ inception: OpaquePointer?, _ images: UnsafePointer<usp_tensor>?,
    _ options: UnsafePointer<usp_inception_options>?, _ outPool: UnsafeMutablePointer<usp_tensor>?,
    _ outSpatial: UnsafeMutablePointer<usp_tensor>?, _ outLogits: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_inception_features") { () throws(USPError) in
        let inception = try model(inception, as: Inception.self, "inception")
        let wanted = try USPC.options(options, Inception.Options.self, usp_inception_options())
        let images = try view(images, "images", ["B", "H", "W", 3], .uint8)
        func target(
            _ pointer: UnsafeMutablePointer<usp_tensor>?, _ name: String, _ width: Int
        ) throws(USPError) -> StridedView? {
            try optionalOutput(pointer, name, [.extent(images.shape[0]), .extent(width)])
        }
        let pool = try target(outPool, "out_pool", Inception.widths.pool)
        let spatial = try target(outSpatial, "out_spatial", Inception.widths.spatial)
        let logits = try target(outLogits, "out_logits", Inception.widths.logits)
        let features = try inception.features(
            images.tensor(), preprocessing: wanted.options.preprocessing)
        try pool?.write(features.pool)
        try spatial?.write(features.spatial)
        try logits?.write(features.logits)
    }
}
