// Header section "model": outputs, one pass back, other values, other layouts.

import CUSP
import USPBase
import USPKit
import USPTensor

private func inputs(
    _ x: UnsafePointer<usp_tensor>?, _ t: UnsafePointer<usp_tensor>?,
    _ y: UnsafePointer<usp_tensor>?
) throws(USPError) -> ModelInputs {
    var result = ModelInputs(try tensor(x, "x", latentAxes))
    let samples = [Axis.extent(result.x.shape[0])]
    if t != nil { result.t = try reals(t, "t", samples) }
    result.y = try optionalIntegers(y, "y", samples)
    return result
}

@_cdecl("usp_model_replace") @implementation public func usp_model_replace(
    _ model: OpaquePointer?, _ values: OpaquePointer?,
    _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_model_replace") { () throws(USPError) in
        try checkOut(out)
        let replaced = try USPC.model(model).replacing(checkpoint(values))
        try store(ModelHandle(replaced), in: out)
    }
}

@_cdecl("usp_model_output") @implementation public func usp_model_output(
    _ model: OpaquePointer?, _ x: UnsafePointer<usp_tensor>?, _ t: UnsafePointer<usp_tensor>?,
    _ y: UnsafePointer<usp_tensor>?, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_model_output") { () throws(USPError) in
        let result = try USPC.model(model).output(inputs(x, t, y))
        try output(out, "out", axes(result.shape)).write(result)
    }
}

@_cdecl("usp_model_backward") @implementation public func usp_model_backward(
    _ model: OpaquePointer?, _ x: UnsafePointer<usp_tensor>?, _ t: UnsafePointer<usp_tensor>?,
    _ y: UnsafePointer<usp_tensor>?, _ gradient: UnsafePointer<usp_tensor>?,
    _ outX: UnsafeMutablePointer<usp_tensor>?, _ outGradients: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_model_backward") { () throws(USPError) in
        try checkOut(outGradients, "out_gradients")
        let inputs = try inputs(x, t, y)
        let target = try optionalOutput(outX, "out_x", axes(inputs.x.shape))
        let seed = try view(gradient, "gradient").gathered(as: .float32)
        let result = try USPC.model(model).backward(inputs, along: seed)
        try target?.write(result.x)
        try store(result.parameters, in: outGradients)
    }
}

@_cdecl("usp_model_written") @implementation public func usp_model_written(
    _ model: OpaquePointer?, _ layout: UnsafePointer<CChar>?,
    _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_model_written") { () throws(USPError) in
        try checkOut(out)
        try store(USPC.model(model).written(as: text(layout, "layout")), in: out)
    }
}
