// Header section "model".

import CUSP
import USPBase
import USPKit
import USPTensor

/// A model of any family behind one kind of handle.
final class ModelHandle: Handled {
    static let handleName = "usp_model"
    let model: any Model
    init(_ model: any Model) { self.model = model }
}

func model(_ pointer: OpaquePointer?, _ name: String = "model") throws(USPError) -> any Model {
    try handle(pointer, ModelHandle.self, name).model
}

/// The model, if it is of this class.
func model<Wanted: Model>(
    _ pointer: OpaquePointer?, as type: Wanted.Type, _ name: String
) throws(USPError) -> Wanted {
    let model = try model(pointer, name)
    guard let wanted = model as? Wanted else {
        let wanted = "\(Wanted.self)"
        let article = wanted.hasPrefix("I") ? "an" : "a"
        throw USPError(.argument, "\(name): is a \(model.family), expected \(article) \(wanted)")
    }
    return wanted
}

private func loadOptions(
    _ pointer: UnsafePointer<usp_model_options>?
) throws(USPError) -> LoadOptions {
    let given = try options(pointer, zeros: usp_model_options())
    var result = LoadOptions()
    let heads = try count(given.heads, else: 0, "heads")
    let decoderHeads = try count(given.decoder_heads, else: 0, "decoder_heads")
    result.heads = heads == 0 ? nil : heads
    result.decoderHeads = decoderHeads == 0 ? nil : decoderHeads
    if given.grid_height != 0 || given.grid_width != 0 {
        let height = try count(given.grid_height, else: Int(given.grid_width), "grid_height")
        result.grid = (height, try count(given.grid_width, else: height, "grid_width"))
    }
    if given.scale != 0 { result.scale = [try real(given.scale, else: 1, "scale")] }
    if given.shift != 0 { result.shift = [try real(given.shift, else: 0, "shift")] }
    result.family = try optionalText(given.family, "family")
    result.table = try optionalText(given.table, "table")
    result.compute = try computeType(given.compute)
    result.exact = given.exact != 0
    result.pool = try optionalText(given.pool, "pool")
    return result
}

/// The type of the products' inputs.
func computeType(_ pointer: UnsafePointer<CChar>?) throws(USPError) -> DType {
    let type = try floatingType(text(pointer, else: "f32", "compute"))
    guard type != .float16 else { throw USPError(.unsupported, "compute: f16; use f32 or bf16") }
    return type
}

@_cdecl("usp_model_open") @implementation public func usp_model_open(
    _ path: UnsafePointer<CChar>?, _ options: UnsafePointer<usp_model_options>?,
    _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_model_open") { () throws(USPError) in
        try checkOut(out)
        try store(ModelHandle(loadModel(text(path, "path"), loadOptions(options))), in: out)
    }
}

@_cdecl("usp_model_load") @implementation public func usp_model_load(
    _ checkpoint: OpaquePointer?, _ options: UnsafePointer<usp_model_options>?,
    _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_model_load") { () throws(USPError) in
        try checkOut(out)
        let checkpoint = try USPC.checkpoint(checkpoint)
        try store(ModelHandle(loadModel(checkpoint, loadOptions(options))), in: out)
    }
}

@_cdecl("usp_model_free") @implementation public func usp_model_free(_ model: OpaquePointer?) {
    freeHandle(model, ModelHandle.self)
}

@_cdecl("usp_model_family") @implementation public func usp_model_family(
    _ model: OpaquePointer?
) -> UnsafePointer<CChar>? {
    guarded("usp_model_family", else: nil) { () throws(USPError) in
        familyText(try USPC.model(model).family)
    }
}

func familyText(_ family: String) -> UnsafePointer<CChar>? {
    switch family {
    case "VAE": staticText("VAE")
    case "MAE": staticText("MAE")
    case "ViT": staticText("ViT")
    case "SiT": staticText("SiT")
    case "Inception": staticText("Inception")
    default: staticText("DiT")
    }
}

@_cdecl("usp_model_size") @implementation public func usp_model_size(_ model: OpaquePointer?)
    -> Int64
{
    guarded("usp_model_size", else: 0) { () throws(USPError) in
        Int64(try USPC.model(model).weights.count)
    }
}

@_cdecl("usp_model_parameter_count") @implementation public func usp_model_parameter_count(
    _ model: OpaquePointer?
) -> Int {
    guarded("usp_model_parameter_count", else: 0) { () throws(USPError) in
        try USPC.model(model).weights.parameters.specs.count
    }
}

@_cdecl("usp_model_parameter_name") @implementation public func usp_model_parameter_name(
    _ model: OpaquePointer?, _ index: Int
) -> UnsafePointer<CChar>? {
    lentItem("usp_model_parameter_name", model, index, ModelHandle.self, "model") {
        let specs = $0.model.weights.parameters.specs
        return specs.indices.contains($1) ? specs[$1].name : nil
    }
}

@_cdecl("usp_model_parameter") @implementation public func usp_model_parameter(
    _ model: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_model_parameter") { () throws(USPError) in
        let out = try result(out, "out")
        describe(try USPC.model(model).weights[text(name, "name")], in: out)
    }
}

@_cdecl("usp_model_input") @implementation public func usp_model_input(
    _ model: OpaquePointer?, _ batch: Int64, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_model_input") { () throws(USPError) in
        let out = try result(out, "out")
        guard batch >= 0 else { throw USPError(.argument, "batch: is \(batch)") }
        describe(nil, try USPC.model(model).inputShape(batch: Int(batch)), .float32, in: out)
    }
}

@_cdecl("usp_model_report") @implementation public func usp_model_report(
    _ model: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int,
    _ outLength: UnsafeMutablePointer<Int>?
) -> usp_status {
    guarded("usp_model_report") { () throws(USPError) in
        try write(USPC.model(model).weights.report, buffer, capacity, outLength)
    }
}

@_cdecl("usp_model_report_json") @implementation public func usp_model_report_json(
    _ model: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int,
    _ outLength: UnsafeMutablePointer<Int>?
) -> usp_status {
    guarded("usp_model_report_json") { () throws(USPError) in
        try write(USPC.model(model).weights.reportJSON, buffer, capacity, outLength)
    }
}

@_cdecl("usp_model_checkpoint") @implementation public func usp_model_checkpoint(
    _ model: OpaquePointer?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_model_checkpoint") { () throws(USPError) in
        try store(USPC.model(model).checkpoint(), in: out)
    }
}

@_cdecl("usp_model_save") @implementation public func usp_model_save(
    _ model: OpaquePointer?, _ path: UnsafePointer<CChar>?,
    _ options: UnsafePointer<usp_save_options>?
) -> usp_status {
    guarded("usp_model_save") { () throws(USPError) in
        try USPC.model(model).save(text(path, "path"), saveOptions(options))
    }
}
