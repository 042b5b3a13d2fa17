// Header section "mae".

import CUSP
import USPBase
import USPKit
import USPTensor

@_cdecl("usp_mae_create") @implementation public func usp_mae_create(
    _ config: UnsafePointer<usp_mae_config>?, _ seed: UInt64,
    _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_mae_create") { () throws(USPError) in
        try checkOut(out)
        let given = try options(config, zeros: usp_mae_config(), "config")
        var sizes = MaskedAutoencoder.Configuration()
        sizes.encoder = try EncoderConfiguration(given)
        sizes.decoderWidth = try count(
            given.decoder_width, else: sizes.decoderWidth, "decoder_width")
        sizes.decoderDepth = try count(
            given.decoder_depth, else: sizes.decoderDepth, "decoder_depth")
        sizes.decoderHeads = try count(
            given.decoder_heads, else: sizes.decoderHeads, "decoder_heads")
        if given.without_decoder != 0 { sizes.decoderWidth = 0 }
        try store(ModelHandle(MaskedAutoencoder(sizes, seed: seed)), in: out)
    }
}

/// What the configurations of masked autoencoders and classifiers begin with.
protocol EncoderFields {
    var grid_height: Int32 { get set }
    var grid_width: Int32 { get set }
    var channels: Int32 { get set }
    var patch: Int32 { get set }
    var width: Int32 { get set }
    var depth: Int32 { get set }
    var heads: Int32 { get set }
}

extension usp_mae_config: EncoderFields {}
extension usp_vit_config: EncoderFields {}

extension EncoderConfiguration {
    /// 0 is the default.
    init(_ given: some EncoderFields) throws(USPError) {
        self.init()
        gridHeight = try count(given.grid_height, else: gridHeight, "grid_height")
        gridWidth = try count(given.grid_width, else: gridWidth, "grid_width")
        channels = try count(given.channels, else: channels, "channels")
        patch = try count(given.patch, else: patch, "patch")
        width = try count(given.width, else: width, "width")
        depth = try count(given.depth, else: depth, "depth")
        heads = try count(given.heads, else: heads, "heads")
    }

    func describe(in result: inout some EncoderFields) {
        (result.grid_height, result.grid_width) = (Int32(gridHeight), Int32(gridWidth))
        (result.channels, result.patch) = (Int32(channels), Int32(patch))
        (result.width, result.depth, result.heads) = (Int32(width), Int32(depth), Int32(heads))
    }
}

@_cdecl("usp_mae_describe") @implementation public func usp_mae_describe(
    _ mae: OpaquePointer?, _ out: UnsafeMutablePointer<usp_mae_config>?
) -> usp_status {
    guarded("usp_mae_describe") { () throws(USPError) in
        let sizes = try model(mae, as: MaskedAutoencoder.self, "mae").configuration
        var result = usp_mae_config()
        sizes.encoder.describe(in: &result)
        result.decoder_width = Int32(sizes.decoderWidth)
        result.decoder_depth = Int32(sizes.decoderDepth)
        result.decoder_heads = Int32(sizes.decoderHeads)
        result.without_decoder = sizes.decoderWidth == 0 ? 1 : 0
        try returnOptions(result, in: out)
    }
}

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
        let given = try USPC.options(pointer, zeros: usp_mae_options())
        options.maskRatio =
            given.keep_all != 0 ? 0 : try decimal(given.mask_ratio, else: 0.75, "mask_ratio")
        options.noise = try optionalTensor(
            given.noise, "noise", [.extent(self.images.shape[0]), .extent(mae.tokens)])
        options.target = try optionalTensor(given.target, "target", axes(self.images.shape))
        options.seed = given.seed
        options.normalizesPatches = given.norm_pix_loss != 0
        options.normalizesImage = given.norm_image != 0
        options.addsNoise = given.add_noise != 0
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
        let sizes = pass.mae.configuration.encoder
        let leading = pass.mae.network.configuration.encoder.leading
        let target = try output(
            out, "out",
            [.extent(pass.batch), .extent(leading + pass.mae.tokens), .extent(sizes.width)])
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
