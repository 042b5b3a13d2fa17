// Header section "mae".

import CUSP
import USPBase
import USPKit
import USPTensor

/// The images of a masked pass and how it runs.
private struct MaskedPass {
    let mae: MaskedAutoencoder
    let images: Tensor
    var options = MaskedAutoencoder.Options()
    var batch: Int { images.shape[0] }

    init(
        _ handle: OpaquePointer?, _ images: UnsafePointer<usp_tensor>?,
        _ pointer: UnsafePointer<usp_mae_options>?
    ) throws(USPError) {
        mae = try model(handle, as: MaskedAutoencoder.self, "mae")
        let one = mae.inputShape(batch: 1)
        self.images = try tensor(
            images, "images", ["B", .extent(one[1]), .extent(one[2]), .extent(one[3])])
        let given: usp_mae_options
        (options, given) = try USPC.options(
            pointer, MaskedAutoencoder.Options.self, usp_mae_options())
        options.noise = try optionalTensor(
            given.noise, "noise", [.extent(self.images.shape[0]), .extent(mae.tokens)])
        options.target = try optionalTensor(given.target, "target", axes(self.images.shape))
    }
}

@_cdecl("usp_mae_forward") @implementation public func usp_mae_forward(
    _ mae: OpaquePointer?, _ images: UnsafePointer<usp_tensor>?,
    _ options: UnsafePointer<usp_mae_options>?, _ outLoss: UnsafeMutablePointer<Float>?,
    _ outPred: UnsafeMutablePointer<usp_tensor>?, _ outMask: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_mae_forward") { () throws(USPError) in
        let pass = try MaskedPass(mae, images, options)
        let tokens = [Axis.extent(pass.batch), .extent(pass.mae.tokens)]
        let prediction = try optionalOutput(
            outPred, "out_pred", tokens + [.extent(pass.mae.patchSize)])
        let mask = try optionalOutput(outMask, "out_mask", tokens)
        let result: (prediction: Tensor, mask: Tensor)
        if let outLoss {
            let output = try pass.mae.forward(pass.images, pass.options)
            outLoss.pointee = output.loss
            result = (output.prediction, output.mask)
        } else {
            result = try pass.mae.predict(pass.images, pass.options)
        }
        try prediction?.write(result.prediction)
        try mask?.write(result.mask)
    }
}

@_cdecl("usp_mae_gradients") @implementation public func usp_mae_gradients(
    _ mae: OpaquePointer?, _ images: UnsafePointer<usp_tensor>?,
    _ options: UnsafePointer<usp_mae_options>?, _ outLoss: UnsafeMutablePointer<Float>?,
    _ outGradients: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_mae_gradients") { () throws(USPError) in
        try checkOut(outGradients, "out_gradients")
        let pass = try MaskedPass(mae, images, options)
        let result = try pass.mae.gradients(pass.images, pass.options)
        outLoss?.pointee = result.loss
        try store(result.gradients, in: outGradients)
    }
}

@_cdecl("usp_mae_features") @implementation public func usp_mae_features(
    _ mae: OpaquePointer?, _ images: UnsafePointer<usp_tensor>?,
    _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_mae_features") { () throws(USPError) in
        let pass = try MaskedPass(mae, images, nil)
        let sizes = pass.mae.configuration
        let target = try output(
            out, "out",
            [.extent(pass.batch), .extent(sizes.leading + sizes.tokens), .extent(sizes.width)])
        try target.write(pass.mae.features(pass.images))
    }
}

@_cdecl("usp_mae_image") @implementation public func usp_mae_image(
    _ mae: OpaquePointer?, _ pred: UnsafePointer<usp_tensor>?,
    _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_mae_image") { () throws(USPError) in
        let mae = try model(mae, as: MaskedAutoencoder.self, "mae")
        let prediction = try tensor(
            pred, "pred", ["B", .extent(mae.tokens), .extent(mae.patchSize)])
        let target = try output(out, "out", axes(mae.inputShape(batch: prediction.shape[0])))
        try target.write(mae.image(prediction))
    }
}

@_cdecl("usp_mae_layers") @implementation public func usp_mae_layers(
    _ mae: OpaquePointer?, _ images: UnsafePointer<usp_tensor>?,
    _ layers: UnsafePointer<Int64>?, _ count: Int, _ tokens: Int32,
    _ outs: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_mae_layers") { () throws(USPError) in
        let pass = try MaskedPass(mae, images, nil)
        let sizes = pass.mae.configuration
        let target = try LayerOutputs(
            layers, count, outs,
            [pass.batch] + (tokens != 0 ? [sizes.tokens] : []) + [sizes.width])
        try target.write(
            pass.mae.features(pass.images, layers: target.layers, tokens: tokens != 0))
    }
}

@_cdecl("usp_mae_attention") @implementation public func usp_mae_attention(
    _ mae: OpaquePointer?, _ images: UnsafePointer<usp_tensor>?, _ layer: Int64,
    _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_mae_attention") { () throws(USPError) in
        let pass = try MaskedPass(mae, images, nil)
        let found = try pass.mae.attention(pass.images, layer: Int(layer))
        try output(out, "out", axes(found.shape)).write(found)
    }
}
