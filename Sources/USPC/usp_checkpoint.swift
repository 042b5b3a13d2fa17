// Header section "checkpoint".

import CUSP
import USPBase
import USPKit
import USPTensor

extension Checkpoint: Handled {
    static var handleName: String { "usp_checkpoint" }
}

func checkpoint(_ pointer: OpaquePointer?) throws(USPError) -> Checkpoint {
    try handle(pointer, Checkpoint.self, "checkpoint")
}

@_cdecl("usp_checkpoint_open") @implementation public func usp_checkpoint_open(
    _ path: UnsafePointer<CChar>?, _ options: UnsafePointer<usp_checkpoint_options>?,
    _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_checkpoint_open") { () throws(USPError) in
        try checkOut(out)
        let wanted = try USPC.options(
            options, Checkpoint.OpenOptions.self, usp_checkpoint_options())
        try store(Checkpoint.open(text(path, "path"), wanted.options), in: out)
    }
}

@_cdecl("usp_checkpoint_create") @implementation public func usp_checkpoint_create(
    _ names: UnsafePointer<UnsafePointer<CChar>?>?, _ tensors: UnsafePointer<usp_tensor>?,
    _ count: Int, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> usp_status {
    guarded("usp_checkpoint_create") { () throws(USPError) in
        try checkOut(out)
        guard let names, let tensors, count >= 0, count <= 1 << 24 else {
            throw USPError(.argument, "names, tensors: NULL, or a count of \(count)")
        }
        var arrays: [(name: String, tensor: Tensor)] = []
        for index in 0..<count {
            let name = try text(names[index], "names[\(index)]")
            let array = try view(tensors + index, name)
            arrays.append((name, try array.gathered(as: array.dtype)))
        }
        try store(Checkpoint(arrays), in: out)
    }
}

@_cdecl("usp_checkpoint_free") @implementation public func usp_checkpoint_free(
    _ checkpoint: OpaquePointer?
) {
    freeHandle(checkpoint, Checkpoint.self)
}

@_cdecl("usp_checkpoint_count") @implementation public func usp_checkpoint_count(
    _ checkpoint: OpaquePointer?
) -> Int {
    guarded("usp_checkpoint_count", else: 0) { () throws(USPError) in
        try USPC.checkpoint(checkpoint).table.entries.count
    }
}

@_cdecl("usp_checkpoint_name") @implementation public func usp_checkpoint_name(
    _ checkpoint: OpaquePointer?, _ index: Int
) -> UnsafePointer<CChar>? {
    lentItem("usp_checkpoint_name", checkpoint, index, Checkpoint.self, "checkpoint") {
        $0.table.entries.indices.contains($1) ? $0.table.entries[$1].name : nil
    }
}

@_cdecl("usp_checkpoint_tensor") @implementation public func usp_checkpoint_tensor(
    _ checkpoint: OpaquePointer?, _ name: UnsafePointer<CChar>?,
    _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_checkpoint_tensor") { () throws(USPError) in
        let out = try result(out, "out")
        let checkpoint = try USPC.checkpoint(checkpoint)
        let name = try text(name, "name")
        let entry = try checkpoint.entry(name)
        let bytes = try checkpoint.bytes(name)
        describe(UnsafeMutableRawPointer(mutating: bytes.base), entry.shape, entry.dtype, in: out)
    }
}

@_cdecl("usp_checkpoint_shape") @implementation public func usp_checkpoint_shape(
    _ checkpoint: OpaquePointer?, _ name: UnsafePointer<CChar>?,
    _ out: UnsafeMutablePointer<usp_tensor>?
) -> usp_status {
    guarded("usp_checkpoint_shape") { () throws(USPError) in
        let out = try result(out, "out")
        let entry = try USPC.checkpoint(checkpoint).entry(text(name, "name"))
        describe(nil, entry.shape, entry.dtype, in: out)
    }
}

@_cdecl("usp_checkpoint_unread_count") @implementation
public func usp_checkpoint_unread_count(_ checkpoint: OpaquePointer?) -> Int {
    guarded("usp_checkpoint_unread_count", else: 0) { () throws(USPError) in
        try USPC.checkpoint(checkpoint).unread.count
    }
}

@_cdecl("usp_checkpoint_unread_name") @implementation public func usp_checkpoint_unread_name(
    _ checkpoint: OpaquePointer?, _ index: Int
) -> UnsafePointer<CChar>? {
    lentItem("usp_checkpoint_unread_name", checkpoint, index, Checkpoint.self, "checkpoint") {
        $0.unread.indices.contains($1) ? $0.unread[$1].name : nil
    }
}

@_cdecl("usp_checkpoint_unread_reason") @implementation public func usp_checkpoint_unread_reason(
    _ checkpoint: OpaquePointer?, _ index: Int
) -> UnsafePointer<CChar>? {
    lentItem("usp_checkpoint_unread_reason", checkpoint, index, Checkpoint.self, "checkpoint") {
        $0.unread.indices.contains($1) ? $0.unread[$1].reason : nil
    }
}

@_cdecl("usp_checkpoint_metadata_count") @implementation
public func usp_checkpoint_metadata_count(_ checkpoint: OpaquePointer?) -> Int {
    guarded("usp_checkpoint_metadata_count", else: 0) { () throws(USPError) in
        try USPC.checkpoint(checkpoint).metadata.count
    }
}

@_cdecl("usp_checkpoint_metadata_key") @implementation public func usp_checkpoint_metadata_key(
    _ checkpoint: OpaquePointer?, _ index: Int
) -> UnsafePointer<CChar>? {
    lentItem("usp_checkpoint_metadata_key", checkpoint, index, Checkpoint.self, "checkpoint") {
        $0.metadata.indices.contains($1) ? $0.metadata[$1].key : nil
    }
}

@_cdecl("usp_checkpoint_metadata_value") @implementation
public func usp_checkpoint_metadata_value(
    _ checkpoint: OpaquePointer?, _ index: Int
) -> UnsafePointer<CChar>? {
    lentItem("usp_checkpoint_metadata_value", checkpoint, index, Checkpoint.self, "checkpoint") {
        $0.metadata.indices.contains($1) ? $0.metadata[$1].value : nil
    }
}

@_cdecl("usp_checkpoint_table_count") @implementation public func usp_checkpoint_table_count(
    _ checkpoint: OpaquePointer?
) -> Int {
    guarded("usp_checkpoint_table_count", else: 0) { () throws(USPError) in
        try USPC.checkpoint(checkpoint).tableNames.count
    }
}

@_cdecl("usp_checkpoint_table_name") @implementation public func usp_checkpoint_table_name(
    _ checkpoint: OpaquePointer?, _ index: Int
) -> UnsafePointer<CChar>? {
    lentItem("usp_checkpoint_table_name", checkpoint, index, Checkpoint.self, "checkpoint") {
        $0.tableNames.indices.contains($1) ? $0.tableNames[$1] : nil
    }
}

@_cdecl("usp_checkpoint_report") @implementation public func usp_checkpoint_report(
    _ checkpoint: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int,
    _ outLength: UnsafeMutablePointer<Int>?
) -> usp_status {
    guarded("usp_checkpoint_report") { () throws(USPError) in
        try write(USPC.checkpoint(checkpoint).report, buffer, capacity, outLength)
    }
}

@_cdecl("usp_checkpoint_save") @implementation public func usp_checkpoint_save(
    _ checkpoint: OpaquePointer?, _ path: UnsafePointer<CChar>?,
    _ options: UnsafePointer<usp_save_options>?
) -> usp_status {
    guarded("usp_checkpoint_save") { () throws(USPError) in
        let checkpoint = try USPC.checkpoint(checkpoint)
        try checkpoint.save(text(path, "path"), saveOptions(options))
    }
}

/// How arrays are written, as the caller wants it.
func saveOptions(
    _ pointer: UnsafePointer<usp_save_options>?
) throws(USPError) -> Checkpoint.SaveOptions {
    try options(pointer, Checkpoint.SaveOptions.self, usp_save_options()).options
}

/// The floating type of this name.
func floatingType(_ name: String) throws(USPError) -> DType {
    switch name {
    case "f32", "float32": .float32
    case "bf16", "bfloat16": .bfloat16
    case "f16", "float16": .float16
    default: throw unknownName(name, what: "dtype", known: ["f32", "bf16", "f16"])
    }
}
