// Strings across the wall: static ones, views that a handle keeps, and texts into the caller's
// buffer.

import CUSP
import USPBase

/// A literal as a C string that lives for ever.
func staticText(_ text: StaticString) -> UnsafePointer<CChar>? {
    // SAFETY: a static string with a pointer representation is NUL-terminated and never freed.
    UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
}

/// A string of the caller: borrowed, copied here.
func text(_ pointer: UnsafePointer<CChar>?, _ name: String) throws(USPError) -> String {
    guard let pointer else { throw USPError(.argument, "\(name): is NULL") }
    guard let text = String(validatingCString: pointer) else {
        throw USPError(.argument, "\(name): is not UTF-8")
    }
    return text
}

/// A string of the caller that may be absent: NULL or empty.
func optionalText(
    _ pointer: UnsafePointer<CChar>?, _ name: String
) throws(USPError) -> String? {
    guard let pointer, pointer.pointee != 0 else { return nil }
    return try text(pointer, name)
}

/// Writes as much of the text as fits, NUL-terminated, and its whole length to `outLength`.
func write(
    _ text: String, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int,
    _ outLength: UnsafeMutablePointer<Int>?
) throws(USPError) {
    let bytes = Array(text.utf8)
    outLength?.pointee = bytes.count
    guard capacity > 0 else { return }
    guard let buffer else {
        throw USPError(.argument, "buffer: is NULL with a capacity of \(capacity)")
    }
    let count = min(bytes.count, capacity - 1)
    for i in 0..<count { buffer[i] = CChar(bitPattern: bytes[i]) }
    buffer[count] = 0
}

/// C strings by value, each made once and kept as long as this lives.
final class InternedTexts: Sendable {
    private struct Kept: @unchecked Sendable {
        // SAFETY of @unchecked: written once before it is shared, freed by the only owner.
        let pointer: UnsafeMutablePointer<CChar>
    }
    private let texts = Lock<[String: Kept]>([:])

    func pointer(_ text: String) -> UnsafePointer<CChar> {
        texts.withLock { texts in
            if let kept = texts[text] { return UnsafePointer(kept.pointer) }
            let bytes = text.utf8CString
            let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
            for (i, byte) in bytes.enumerated() { copy[i] = byte }
            texts[text] = Kept(pointer: copy)
            return UnsafePointer(copy)
        }
    }

    deinit { texts.withLock { texts in for kept in texts.values { kept.pointer.deallocate() } } }
}
