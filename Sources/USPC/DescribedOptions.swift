// Options structs whose fields a table describes: one reader for all of them.
//
// Such a struct is struct_size, a reserved word, then 8 bytes for each of its own members and each
// slot of its fields, in the table's order (`make abi` writes the header so, and Tests/ABI/layout.c
// holds it). The INIT macro writes the defaults, so every value that stands there is meant.

import CUSP
import USPBase
import USPKit

/// The caller's options as the table's struct, and its C struct for the members beside them; the
/// defaults for NULL and for fields that the caller was compiled without.
///
/// - Throws: `.argument` for a size that no version ever had or a value that a field does not take,
///   `.unsupported` for a field that this version does not know.
func options<Options: Described, Given: BitwiseCopyable>(
    _ pointer: UnsafePointer<Given>?, _ type: Options.Type, _ zeros: Given,
    _ name: String = "options"
) throws(USPError) -> (options: Options, members: Given) {
    var result = Options()
    guard let pointer else { return (result, zeros) }
    let given = try USPC.options(pointer, zeros: zeros, name)
    let size = Int(UnsafeRawPointer(pointer).load(as: UInt32.self))
    var offset = 8 * (1 + Options.members.count)
    for field in Options.fields {
        let end = offset + 8 * field.kind.slots
        defer { offset = end }
        guard end <= size else { continue }
        guard end <= MemoryLayout<Given>.size else {
            throw USPError(.internal, "\(name): the header does not hold \(field.name)")
        }
        let value = try withUnsafeBytes(of: given) { bytes throws(USPError) in
            try field.read(bytes, at: offset)
        }
        // a text of NULL is the default, as an absent value is
        if value == nil && !field.isOptional { continue }
        try result.set(field, value)
    }
    return (result, given)
}

extension FieldKind {
    /// 8 bytes each.
    var slots: Int { if case .grid = self { 2 } else { 1 } }
}

extension Field {
    /// nil: absent.
    fileprivate func read(
        _ bytes: UnsafeRawBufferPointer, at offset: Int
    ) throws(USPError) -> FieldValue? {
        func integer(_ slot: Int = 0) -> Int {
            Int(bytes.load(fromByteOffset: offset + 8 * slot, as: Int64.self))
        }
        switch kind {
        case .flag:
            let value = integer()
            if isOptional && value == -1 { return nil }
            try require(
                (0...1).contains(value), .argument, "\(name): \(value), expected 1 (yes) or 0 (no)")
            return .flag(value == 1)
        case .integer(let range):
            let value = integer()
            return isOptional && value == absentInteger(range) ? nil : .integer(value)
        case .unsigned: return .unsigned(bytes.load(fromByteOffset: offset, as: UInt64.self))
        case .real:
            let value = bytes.load(fromByteOffset: offset, as: Double.self)
            return isOptional && value.isNaN ? nil : .real(value)
        case .choice, .text, .integers, .reals:
            let address = bytes.load(fromByteOffset: offset, as: UnsafePointer<CChar>?.self)
            guard let text = try optionalText(address, name) else { return nil }
            guard let value = kind.parsed(text) else { throw self.error(text) }
            return value
        case .grid:
            let (height, width) = (integer(), integer(1))
            if isOptional && height == 0 && width == 0 { return nil }
            return .grid(Grid(height, width == 0 ? height : width))
        case .object(let type):
            guard let handle = bytes.load(fromByteOffset: offset, as: OpaquePointer?.self) else {
                return nil
            }
            // A model that options keep is a teacher.
            if type == ModelHandle.handleName {
                return .object(try model(handle, as: ViT.self, name).featureTeacher)
            }
            return .object(try liveObject(handle, type, name))
        }
    }
}

/// What stands for absence in an optional whole number: -1, unless that is a value.
func absentInteger(_ range: FieldRange) -> Int {
    range.contains(-1) ? Int(Int64.min) : -1
}
