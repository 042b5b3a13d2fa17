// Header section "tensor".

import CUSP
import USPBase
import USPKit
import USPTensor

private func known(_ dtype: usp_dtype) -> DType? {
    DType(rawValue: Int32(bitPattern: dtype.rawValue))
}

@_cdecl("usp_dtype_size") @implementation public func usp_dtype_size(_ dtype: usp_dtype) -> Int {
    known(dtype)?.size ?? 0
}

private let dtypeTexts = InternedTexts()

@_cdecl("usp_dtype_name") @implementation public func usp_dtype_name(
    _ dtype: usp_dtype
) -> UnsafePointer<CChar>? {
    known(dtype).map { dtypeTexts.pointer($0.name) }
}

@_cdecl("usp_tensor_copy") @implementation public func usp_tensor_copy(
    _ source: UnsafePointer<usp_tensor>?, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_tensor_copy") { () throws(USPError) in
        let source = try view(source, "source")
        let target = try view(UnsafePointer(out), "out")
        try checkWritable(target)
        try target.copy(from: source)
    }
}

@_cdecl("usp_random_normal") @implementation public func usp_random_normal(
    _ seed: UInt64, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_random_normal") { () throws(USPError) in
        let view = try view(UnsafePointer(out), "out")
        let target = try output(out, "out", axes(view.shape))
        try target.write(try Tensor.normal(target.shape, seed: seed))
    }
}

@_cdecl("usp_random_torch") @implementation public func usp_random_torch(
    _ device: UnsafePointer<CChar>?, _ seed: UInt64, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_random_torch") { () throws(USPError) in
        let view = try view(UnsafePointer(out), "out")
        let target = try output(out, "out", axes(view.shape))
        try target.write(
            Tensor.torchNormal(
                target.shape, seed: seed, device: text(device, else: "cpu", "device")))
    }
}
