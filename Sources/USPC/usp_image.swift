// Header section "image".

import CUSP
import USPBase
import USPKit
import USPTensor

/// An image's pixels.
private final class ImageHandle: Handled {
    static let handleName = "usp_image"
    let pixels: Tensor
    init(_ pixels: Tensor) { self.pixels = pixels }
}

@_cdecl("usp_image_open") @implementation public func usp_image_open(
    _ path: UnsafePointer<CChar>?, _ asStored: Int32, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_image_open") { () throws(USPError) in
        try checkOut(out)
        let pixels = try Images.read(text(path, "path"), asStored: asStored != 0)
        try store(ImageHandle(pixels), in: out)
    }
}

@_cdecl("usp_image_free") @implementation public func usp_image_free(_ image: OpaquePointer?) {
    freeHandle(image, ImageHandle.self)
}

@_cdecl("usp_image_pixels") @implementation public func usp_image_pixels(
    _ image: OpaquePointer?, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_image_pixels") { () throws(USPError) in
        let out = try result(out, "out")
        describe(try handle(image, ImageHandle.self, "image").pixels, in: out)
    }
}

@_cdecl("usp_image_write") @implementation public func usp_image_write(
    _ path: UnsafePointer<CChar>?, _ pixels: UnsafePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_image_write") { () throws(USPError) in
        let path = try text(path, "path")
        try Images.write(
            path, view(pixels, "pixels", ["H", "W", "C"], .uint8).gathered(as: .uint8))
    }
}
