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
    let model = try handle(pointer, ModelHandle.self, name).model
    try model.expectFilesUnchanged()
    return model
}

/// The model, if it is of this class.
func model<Wanted: Model>(
    _ pointer: OpaquePointer?, as type: Wanted.Type, _ name: String
) throws(USPError) -> Wanted {
    let model = try model(pointer, name)
    guard let wanted = model as? Wanted else {
        let wanted = "\(Wanted.self)"
        throw USPError(
            .argument,
            "\(name): is \(article(model.family)) \(model.family), expected \(article(wanted)) \(wanted)"
        )
    }
    return wanted
}

private func loadOptions(
    _ pointer: UnsafePointer<usp_model_options>?
) throws(USPError) -> LoadOptions {
    try options(pointer, LoadOptions.self, usp_model_options()).options
}

/// The type of the products' inputs.
func computeType(_ pointer: UnsafePointer<CChar>?) throws(USPError) -> DType {
    let type = try floatingType(text(pointer, else: "f32", "compute"))
    guard type != .float16 else { throw USPError(.unsupported, "compute: f16; use f32 or bf16") }
    return type
}

@_cdecl("usp_model_create") @implementation public func usp_model_create(
    _ name: UnsafePointer<CChar>?, _ config: UnsafePointer<CChar>?, _ seed: UInt64,
    _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_model_create") { () throws(USPError) in
        try checkOut(out)
        let sizes = try optionalText(config, "config") ?? ""
        try store(ModelHandle(createModel(text(name, "name"), sizes, seed: seed)), in: out)
    }
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
        staticTexts.pointer(try USPC.model(model).family)
    }
}

/// Names that live as long as the process.
private let staticTexts = InternedTexts()

@_cdecl("usp_model_config") @implementation public func usp_model_config(
    _ model: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int,
    _ outLength: UnsafeMutablePointer<Int>?
) -> usp_status {
    guarded("usp_model_config") { () throws(USPError) in
        try write(USPC.model(model).configuration.text, buffer, capacity, outLength)
    }
}

@_cdecl("usp_preset_count") @implementation public func usp_preset_count() -> Int {
    Family.presetNames.count
}

@_cdecl("usp_preset_name") @implementation public func usp_preset_name(
    _ index: Int
) -> UnsafePointer<CChar>? {
    guarded("usp_preset_name", else: nil) { () throws(USPError) in
        guard Family.presetNames.indices.contains(index) else {
            throw USPError(.argument, "index: \(index) is past the end")
        }
        return staticTexts.pointer(Family.presetNames[index])
    }
}

@_cdecl("usp_model_class_count") @implementation public func usp_model_class_count(
    _ model: OpaquePointer?
) -> Int {
    guarded("usp_model_class_count", else: 0) { () throws(USPError) in
        try USPC.model(model).notes.classNames.count
    }
}

@_cdecl("usp_model_class_name") @implementation public func usp_model_class_name(
    _ model: OpaquePointer?, _ index: Int
) -> UnsafePointer<CChar>? {
    lentItem("usp_model_class_name", model, index, ModelHandle.self, "model") {
        let names = $0.model.notes.classNames
        return names.indices.contains($1) ? names[$1] : nil
    }
}

@_cdecl("usp_model_fingerprint") @implementation public func usp_model_fingerprint(
    _ model: OpaquePointer?
) -> UnsafePointer<CChar>? {
    lentItem("usp_model_fingerprint", model, 0, ModelHandle.self, "model") { handle, _ in
        handle.model.fingerprint
    }
}

@_cdecl("usp_model_autoencoder") @implementation public func usp_model_autoencoder(
    _ model: OpaquePointer?
) -> UnsafePointer<CChar>? {
    lentItem("usp_model_autoencoder", model, 0, ModelHandle.self, "model") { handle, _ in
        handle.model.notes.autoencoder ?? ""
    }
}

@_cdecl("usp_model_autoencoder_note") @implementation public func usp_model_autoencoder_note(
    _ model: OpaquePointer?, _ vae: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?,
    _ capacity: Int, _ outLength: UnsafeMutablePointer<Int>?
) -> usp_status {
    guarded("usp_model_autoencoder_note") { () throws(USPError) in
        let vae = try USPC.model(vae, as: VAE.self, "vae")
        let note = try USPC.model(model).otherLatents(than: vae)
        try write(note ?? "", buffer, capacity, outLength)
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
        let model = try USPC.model(model)
        describe(nil, model.inputShape(batch: Int(batch)), model.inputType, in: out)
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
