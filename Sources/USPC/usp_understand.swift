// Header section "understand".

import CUSP
import USPBase
import USPKit
import USPTensor

/// What a measurement has found.
final class MeasurementHandle: Handled {
    static let handleName = "usp_measurement"
    let found: Measurement
    init(_ found: Measurement) { self.found = found }
}

@_cdecl("usp_measurement_free") @implementation public func usp_measurement_free(
    _ found: OpaquePointer?
) {
    freeHandle(found, MeasurementHandle.self)
}

private func lentText(
    _ function: StaticString, _ pointer: OpaquePointer?, _ index: Int = 0,
    _ text: (Measurement, Int) -> String?
) -> UnsafePointer<CChar>? {
    lentItem(function, pointer, index, MeasurementHandle.self, "measurement") { text($0.found, $1) }
}

@_cdecl("usp_measurement_json") @implementation public func usp_measurement_json(
    _ found: OpaquePointer?
) -> UnsafePointer<CChar>? {
    lentText("usp_measurement_json", found) { found, _ in found.json }
}

@_cdecl("usp_measurement_table") @implementation public func usp_measurement_table(
    _ found: OpaquePointer?
) -> UnsafePointer<CChar>? {
    lentText("usp_measurement_table", found) { found, _ in found.table }
}

@_cdecl("usp_measurement_picture_name") @implementation public func usp_measurement_picture_name(
    _ found: OpaquePointer?, _ index: Int
) -> UnsafePointer<CChar>? {
    lentText("usp_measurement_picture_name", found, index) { found, index in
        found.pictures.indices.contains(index) ? found.pictures[index].name : nil
    }
}

@_cdecl("usp_measurement_picture") @implementation public func usp_measurement_picture(
    _ found: OpaquePointer?, _ index: Int
) -> UnsafePointer<CChar>? {
    lentText("usp_measurement_picture", found, index) { found, index in
        found.pictures.indices.contains(index) ? found.pictures[index].svg : nil
    }
}

@_cdecl("usp_robustness") @implementation public func usp_robustness(
    _ models: UnsafePointer<OpaquePointer?>?,
    _ names: UnsafePointer<UnsafePointer<CChar>?>?, _ count: Int, _ data: OpaquePointer?,
    _ vae: OpaquePointer?, _ options: UnsafePointer<usp_robustness_options>?,
    _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_robustness") { () throws(USPError) in
        try checkOut(out)
        let (wanted, members) = try USPC.options(
            options, Robustness.Options.self, usp_robustness_options())
        guard let models, let names, count > 0 else {
            throw USPError(.argument, "models, names, count: expected one model or more")
        }
        var named: [Robustness.Named] = []
        for index in 0..<count {
            let place = "models[\(index)]"
            named.append(
                (
                    try text(names[index], "names[\(index)]"),
                    try model(models[index], as: ViT.self, place)
                ))
        }
        let encoder = try vae.map { pointer throws(USPError) in
            try model(pointer, as: VAE.self, "vae")
        }
        let progress = ProgressCall(members.progress, members.progress_user)
        let found = try Robustness.measure(
            named, on: handle(data, DataSet.self, "data"), through: encoder, wanted
        ) { done, all throws(USPError) in try progress.tell("robustness", done, all) }
        try store(MeasurementHandle(found), in: out)
    }
}

@_cdecl("usp_probe_diffusion") @implementation public func usp_probe_diffusion(
    _ pointer: OpaquePointer?, _ data: OpaquePointer?, _ validation: OpaquePointer?,
    _ options: UnsafePointer<usp_probe_options>?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_probe_diffusion") { () throws(USPError) in
        try checkOut(out)
        let (wanted, members) = try USPC.options(
            options, DiffusionProbe.Options.self, usp_probe_options())
        let progress = ProgressCall(members.progress, members.progress_user)
        let found = try DiffusionProbe.measure(
            model(pointer, as: DiT.self, "model"), on: handle(data, DataSet.self, "data"),
            validation: optionalHandle(validation, DataSet.self, "validation"), wanted
        ) { told throws(USPError) in try progress.tell(told.part, told.done, told.all) }
        try store(MeasurementHandle(found), in: out)
    }
}

@_cdecl("usp_principal_colours") @implementation public func usp_principal_colours(
    _ tokens: UnsafePointer<usp_tensor>?, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_principal_colours") { () throws(USPError) in
        let tokens = try tensor(tokens, "tokens", ["N", "T", "D"])
        let target = try output(
            out, "out", [.extent(tokens.shape[0]), .extent(tokens.shape[1]), .extent(3)], .uint8)
        try target.write(PrincipalColours.of(tokens))
    }
}
