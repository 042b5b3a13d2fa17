// Header section "alignment".

import CUSP
import USPBase
import USPKit
import USPTensor

private func encoder(_ pointer: UnsafePointer<CChar>?) throws(USPError) -> TeacherEncoder {
    try TeacherEncoder.named(text(pointer, "encoder"))
}

/// nil for 0.
private func side(_ value: Int64) -> Int? {
    value == 0 ? nil : Int(value)
}

@_cdecl("usp_alignment_size") @implementation public func usp_alignment_size(
    _ name: UnsafePointer<CChar>?, _ height: Int64, _ width: Int64, _ size: Int64,
    _ outHeight: UnsafeMutablePointer<Int64>?, _ outWidth: UnsafeMutablePointer<Int64>?
) -> usp_status {
    guarded("usp_alignment_size") { () throws(USPError) in
        let found = try encoder(name).inputSize(
            height: Int(height), width: Int(width), side: side(size))
        outHeight?.pointee = Int64(found.height)
        outWidth?.pointee = Int64(found.width)
    }
}

@_cdecl("usp_alignment_prepare") @implementation public func usp_alignment_prepare(
    _ images: UnsafePointer<usp_tensor>?, _ name: UnsafePointer<CChar>?, _ size: Int64,
    _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_alignment_prepare") { () throws(USPError) in
        let encoder = try encoder(name)
        let images = try view(images, "images", ["B", 3, "H", "W"], .uint8).gathered(as: .uint8)
        let (batch, side) = (images.shape[0], side(size))
        let found = try encoder.inputSize(
            height: images.shape[2], width: images.shape[3], side: side)
        let target = try output(
            out, "out", [.extent(batch), 3, .extent(found.height), .extent(found.width)])
        try target.write(encoder.prepare(images, side: side))
    }
}
