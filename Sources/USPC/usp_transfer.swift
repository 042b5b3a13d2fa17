// Header section "transfer".

import CUSP
import USPBase
import USPKit

extension TransferPlan: Handled {
    static var handleName: String { "usp_transfer_plan" }
}

private func plan(_ pointer: OpaquePointer?) throws(USPError) -> TransferPlan {
    try handle(pointer, TransferPlan.self, "plan")
}

private func settings(
    _ pointer: UnsafePointer<usp_transfer_options>?
) throws(USPError) -> TransferOptions {
    try options(pointer, TransferOptions.self, usp_transfer_options()).options
}

@_cdecl("usp_transfer_plan_open") @implementation public func usp_transfer_plan_open(
    _ path: UnsafePointer<CChar>?, _ to: UnsafePointer<CChar>?,
    _ options: UnsafePointer<usp_transfer_options>?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_transfer_plan_open") { () throws(USPError) in
        try checkOut(out)
        try store(
            TransferPlan(path: text(path, "path"), to: text(to, "to"), settings(options)), in: out)
    }
}

@_cdecl("usp_transfer_plan_create") @implementation public func usp_transfer_plan_create(
    _ source: OpaquePointer?, _ to: UnsafePointer<CChar>?,
    _ options: UnsafePointer<usp_transfer_options>?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_transfer_plan_create") { () throws(USPError) in
        try checkOut(out)
        let source = try handle(source, Checkpoint.self, "source")
        try store(TransferPlan(source, to: text(to, "to"), settings(options)), in: out)
    }
}

@_cdecl("usp_transfer_plan_free") @implementation public func usp_transfer_plan_free(
    _ plan: OpaquePointer?
) {
    freeHandle(plan, TransferPlan.self)
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
    lentItem("usp_transfer_plan_name", plan, index, TransferPlan.self, "plan") {
        $0.entries.indices.contains($1) ? $0.entries[$1].name : nil
    }
}

@_cdecl("usp_transfer_plan_source") @implementation public func usp_transfer_plan_source(
    _ plan: OpaquePointer?, _ index: Int
) -> UnsafePointer<CChar>? {
    lentItem("usp_transfer_plan_source", plan, index, TransferPlan.self, "plan") {
        $0.entries.indices.contains($1) ? $0.entries[$1].sources.joined(separator: " + ") : nil
    }
}

@_cdecl("usp_transfer_plan_action") @implementation public func usp_transfer_plan_action(
    _ plan: OpaquePointer?, _ index: Int
) -> UnsafePointer<CChar>? {
    lentItem("usp_transfer_plan_action", plan, index, TransferPlan.self, "plan") {
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
    lentItem("usp_transfer_plan_left_name", plan, index, TransferPlan.self, "plan") {
        $0.left.indices.contains($1) ? $0.left[$1].name : nil
    }
}

@_cdecl("usp_transfer_plan_left_reason") @implementation
public func usp_transfer_plan_left_reason(
    _ plan: OpaquePointer?, _ index: Int
) -> UnsafePointer<CChar>? {
    lentItem("usp_transfer_plan_left_reason", plan, index, TransferPlan.self, "plan") {
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
    lentItem("usp_transfer_plan_note", plan, index, TransferPlan.self, "plan") {
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
