// Header section "transfer".

import CUSP
import USPBase
import USPKit

extension Transfer: Handled {
    static var handleName: String { "usp_transfer_plan" }
}

private func plan(_ pointer: OpaquePointer?) throws(USPError) -> Transfer {
    try handle(pointer, Transfer.self, "plan")
}

private func settings(
    _ pointer: UnsafePointer<usp_transfer_options>?
) throws(USPError) -> Transfer.Options {
    let given = try options(pointer, zeros: usp_transfer_options())
    func positive(_ value: Int32, _ name: String) throws(USPError) -> Int? {
        let value = try count(value, else: 0, name)
        return value == 0 ? nil : value
    }
    var result = Transfer.Options()
    if let height = try positive(given.grid_height, "grid_height") {
        result.grid = (height, try positive(given.grid_width, "grid_width") ?? height)
    } else if given.grid_width != 0 {
        throw USPError(.argument, "grid_width: is \(given.grid_width) without a grid_height")
    }
    result.classes = try positive(given.classes, "classes")
    result.patch = try positive(given.patch, "patch")
    result.channels = try positive(given.channels, "channels")
    if given.use_layers != 0 { result.layers = Int(given.layers) }
    result.seed = given.seed
    result.affineNorms = given.plain_norms == 0
    result.keepsActivation = given.keep_activation != 0
    result.channelRule = try text(given.channel_rule, else: "fresh", "channel_rule")
    result.depthRule = try text(given.depth_rule, else: "prefix", "depth_rule")
    result.pool = try optionalText(given.pool, "pool")
    result.head = try text(given.head, else: "fine-tune", "head")
    result.gateBias = try real(given.gate_bias, else: 0, "gate_bias")
    result.timestep = try real(given.timestep, else: 0, "timestep")
    result.block = try positive(given.block, "block")
    if given.use_label != 0 { result.label = Int(given.label) }
    result.heads = try positive(given.heads, "heads")
    result.table = try optionalText(given.table, "table")
    return result
}

@_cdecl("usp_transfer_plan_open") @implementation public func usp_transfer_plan_open(
    _ path: UnsafePointer<CChar>?, _ to: UnsafePointer<CChar>?,
    _ options: UnsafePointer<usp_transfer_options>?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_transfer_plan_open") { () throws(USPError) in
        try checkOut(out)
        try store(
            Transfer(path: text(path, "path"), to: text(to, "to"), settings(options)), in: out)
    }
}

@_cdecl("usp_transfer_plan_create") @implementation public func usp_transfer_plan_create(
    _ source: OpaquePointer?, _ to: UnsafePointer<CChar>?,
    _ options: UnsafePointer<usp_transfer_options>?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_transfer_plan_create") { () throws(USPError) in
        try checkOut(out)
        let source = try handle(source, Checkpoint.self, "source")
        try store(Transfer(source, to: text(to, "to"), settings(options)), in: out)
    }
}

@_cdecl("usp_transfer_plan_free") @implementation public func usp_transfer_plan_free(
    _ plan: OpaquePointer?
) {
    freeHandle(plan, Transfer.self)
}

@_cdecl("usp_transfer_plan_count") @implementation public func usp_transfer_plan_count(
    _ plan: OpaquePointer?
) -> Int {
    guarded("usp_transfer_plan_count", else: 0) { () throws(USPError) in
        try USPC.plan(plan).entries.count
    }
}

@_cdecl("usp_transfer_plan_name") @implementation public func usp_transfer_plan_name(
    _ plan: OpaquePointer?, _ index: Int
) -> UnsafePointer<CChar>? {
    lentItem("usp_transfer_plan_name", plan, index, Transfer.self, "plan") {
        $0.entries.indices.contains($1) ? $0.entries[$1].name : nil
    }
}

@_cdecl("usp_transfer_plan_source") @implementation public func usp_transfer_plan_source(
    _ plan: OpaquePointer?, _ index: Int
) -> UnsafePointer<CChar>? {
    lentItem("usp_transfer_plan_source", plan, index, Transfer.self, "plan") {
        $0.entries.indices.contains($1) ? $0.entries[$1].sources.joined(separator: " + ") : nil
    }
}

@_cdecl("usp_transfer_plan_action") @implementation public func usp_transfer_plan_action(
    _ plan: OpaquePointer?, _ index: Int
) -> UnsafePointer<CChar>? {
    lentItem("usp_transfer_plan_action", plan, index, Transfer.self, "plan") {
        $0.entries.indices.contains($1) ? $0.entries[$1].what : nil
    }
}

@_cdecl("usp_transfer_plan_shape") @implementation public func usp_transfer_plan_shape(
    _ plan: OpaquePointer?, _ index: Int, _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_transfer_plan_shape") { () throws(USPError) in
        let out = try result(out, "out")
        let entries = try USPC.plan(plan).entries
        guard entries.indices.contains(index) else {
            throw USPError(.argument, "index: \(index) is past the end")
        }
        describe(nil, entries[index].shape, .float32, in: out)
    }
}

@_cdecl("usp_transfer_plan_left_count") @implementation public func usp_transfer_plan_left_count(
    _ plan: OpaquePointer?
) -> Int {
    guarded("usp_transfer_plan_left_count", else: 0) { () throws(USPError) in
        try USPC.plan(plan).left.count
    }
}

@_cdecl("usp_transfer_plan_left_name") @implementation public func usp_transfer_plan_left_name(
    _ plan: OpaquePointer?, _ index: Int
) -> UnsafePointer<CChar>? {
    lentItem("usp_transfer_plan_left_name", plan, index, Transfer.self, "plan") {
        $0.left.indices.contains($1) ? $0.left[$1].name : nil
    }
}

@_cdecl("usp_transfer_plan_left_reason") @implementation
public func usp_transfer_plan_left_reason(
    _ plan: OpaquePointer?, _ index: Int
) -> UnsafePointer<CChar>? {
    lentItem("usp_transfer_plan_left_reason", plan, index, Transfer.self, "plan") {
        $0.left.indices.contains($1) ? $0.left[$1].reason : nil
    }
}

@_cdecl("usp_transfer_plan_note_count") @implementation public func usp_transfer_plan_note_count(
    _ plan: OpaquePointer?
) -> Int {
    guarded("usp_transfer_plan_note_count", else: 0) { () throws(USPError) in
        try USPC.plan(plan).notes.count
    }
}

@_cdecl("usp_transfer_plan_note") @implementation public func usp_transfer_plan_note(
    _ plan: OpaquePointer?, _ index: Int
) -> UnsafePointer<CChar>? {
    lentItem("usp_transfer_plan_note", plan, index, Transfer.self, "plan") {
        $0.notes.indices.contains($1) ? $0.notes[$1] : nil
    }
}

@_cdecl("usp_transfer_plan_parameters") @implementation public func usp_transfer_plan_parameters(
    _ plan: OpaquePointer?
) -> Int64 {
    guarded("usp_transfer_plan_parameters", else: 0) { () throws(USPError) in
        Int64(try USPC.plan(plan).parameters)
    }
}

@_cdecl("usp_transfer_plan_transferred") @implementation
public func usp_transfer_plan_transferred(_ plan: OpaquePointer?) -> Int64 {
    guarded("usp_transfer_plan_transferred", else: 0) { () throws(USPError) in
        Int64(try USPC.plan(plan).transferredParameters)
    }
}

@_cdecl("usp_transfer_plan_report") @implementation public func usp_transfer_plan_report(
    _ plan: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int,
    _ outLength: UnsafeMutablePointer<Int>?
) -> usp_status {
    guarded("usp_transfer_plan_report") { () throws(USPError) in
        try write(USPC.plan(plan).text, buffer, capacity, outLength)
    }
}

@_cdecl("usp_transfer_plan_json") @implementation public func usp_transfer_plan_json(
    _ plan: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int,
    _ outLength: UnsafeMutablePointer<Int>?
) -> usp_status {
    guarded("usp_transfer_plan_json") { () throws(USPError) in
        try write(USPC.plan(plan).json, buffer, capacity, outLength)
    }
}

@_cdecl("usp_transfer_plan_apply") @implementation public func usp_transfer_plan_apply(
    _ plan: OpaquePointer?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_transfer_plan_apply") { () throws(USPError) in
        try checkOut(out)
        try store(USPC.plan(plan).apply(), in: out)
    }
}

@_cdecl("usp_transfer_plan_write") @implementation public func usp_transfer_plan_write(
    _ plan: OpaquePointer?, _ path: UnsafePointer<CChar>?, _ dtype: UnsafePointer<CChar>?
) -> usp_status {
    guarded("usp_transfer_plan_write") { () throws(USPError) in
        let plan = try USPC.plan(plan)
        let type = try floatingType(text(dtype, else: "f32", "dtype"))
        try plan.write(text(path, "path"), dtype: type)
    }
}
