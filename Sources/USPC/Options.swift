// Options structs: read by the size that the caller was compiled with.

import CUSP
import USPBase

/// The caller's options, with zeros for what it does not know of; all zeros for NULL.
///
/// - Throws: `.argument` for a size that no version ever had, `.unsupported` for a field set that
///   this version does not know.
func options<Options: BitwiseCopyable>(
    _ pointer: UnsafePointer<Options>?, zeros: Options, _ name: String = "options"
) throws(USPError) -> Options {
    guard let pointer else { return zeros }
    let address = UnsafeRawPointer(pointer)
    let size = try structSize(pointer, name)
    let known = MemoryLayout<Options>.size
    for offset in stride(from: known, to: size, by: 1)
    where address.load(fromByteOffset: offset, as: UInt8.self) != 0 {
        throw USPError(
            .unsupported,
            "\(name): byte \(offset) is set; this library knows \(known) bytes and is older than "
                + "the caller")
    }
    var result = zeros
    withUnsafeMutableBytes(of: &result) { bytes in
        bytes.copyMemory(from: UnsafeRawBufferPointer(start: address, count: min(size, known)))
    }
    return result
}

/// The size that a caller's struct says it has: whole units of its alignment, as every version's
/// structs have, so that it ends within no field.
private func structSize<Options: BitwiseCopyable>(
    _ pointer: UnsafePointer<Options>, _ name: String
) throws(USPError) -> Int {
    try checkAligned(pointer, name)
    // SAFETY: every options struct begins with its size, and the caller owns that many bytes.
    let size = Int(UnsafeRawPointer(pointer).load(as: UInt32.self))
    let known = MemoryLayout<Options>.size
    guard size >= 8, size <= 1 << 16, size % MemoryLayout<Options>.alignment == 0 else {
        throw USPError(
            .argument,
            "\(name): struct_size is \(size), expected \(known): begin with the INIT macro")
    }
    return size
}

/// A number of an options struct that must not be negative; 0 means `fallback`.
func count(
    _ value: some FixedWidthInteger, else fallback: Int, _ name: String
) throws(USPError) -> Int {
    guard value >= 0 else { throw USPError(.argument, "\(name): is \(value), expected 0 or more") }
    return value == 0 ? fallback : Int(clamping: value)
}

/// A text of an options struct; NULL or "" means `fallback`.
func text(
    _ pointer: UnsafePointer<CChar>?, else fallback: String, _ name: String
) throws(USPError) -> String {
    try optionalText(pointer, name) ?? fallback
}
