// Handles: tickets for objects of the library. A ticket is never used twice, so one that was freed,
// made up, or of another kind is told apart from every live one.

import CUSP
import USPBase
import USPTensor

/// A class whose objects C holds handles of.
protocol Handled: AnyObject, Sendable {
    /// The C name of the handle's type, such as `usp_model`.
    static var handleName: String { get }
}

/// What a handle stands for, with the strings that it has lent out.
struct HandleEntry: Sendable {
    let object: any Handled
    let texts = InternedTexts()
}

/// All live handles of the process.
private let registry = Lock<(next: UInt, live: [UInt: HandleEntry])>((next: 0x1000, live: [:]))

/// Gives the object a handle, owned by the caller.
func makeHandle(_ object: any Handled) -> OpaquePointer? {
    registry.withLock { registry in
        let ticket = registry.next
        registry.next += 16
        registry.live[ticket] = HandleEntry(object: object)
        return OpaquePointer(bitPattern: ticket)
    }
}

/// Stores a new handle of the object in `out`.
func store(
    _ object: any Handled, in out: UnsafeMutablePointer<OpaquePointer?>?, _ name: String = "out"
) throws(USPError) {
    guard let out else { throw USPError(.argument, "\(name): is NULL") }
    out.pointee = makeHandle(object)
}

/// Throws before any work is done if the place for the result is missing or misaligned.
func checkOut<Pointee>(
    _ out: UnsafeMutablePointer<Pointee>?, _ name: String = "out"
) throws(USPError) {
    guard let out else { throw USPError(.argument, "\(name): is NULL") }
    try checkAligned(UnsafePointer(out), name)
}

/// Throws unless a struct or number of the caller's lies where its type may lie.
func checkAligned<Pointee>(
    _ pointer: UnsafePointer<Pointee>, _ name: String
) throws(USPError) {
    let alignment = MemoryLayout<Pointee>.alignment
    guard UInt(bitPattern: pointer) % UInt(alignment) == 0 else {
        throw USPError(.argument, "\(name): is misaligned, expected a multiple of \(alignment)")
    }
}

/// The object of a handle, if it is alive and of this kind; the caller's reference keeps it so.
func handle<Object: Handled>(
    _ pointer: OpaquePointer?, _ type: Object.Type, _ name: String
) throws(USPError) -> Object {
    let kind = Object.handleName
    guard let pointer else { throw USPError(.argument, "\(name): is NULL") }
    guard let object = try liveObject(pointer, kind, name) as? Object else {
        throw USPError(.argument, "\(name): is another \(kind) than expected")
    }
    return object
}

/// As `handle`, with nil for NULL.
func optionalHandle<Object: Handled>(
    _ pointer: OpaquePointer?, _ type: Object.Type, _ name: String
) throws(USPError) -> Object? {
    guard pointer != nil else { return nil }
    return try handle(pointer, type, name)
}

/// The object of a handle whose kind is known by its C name.
func liveObject(
    _ pointer: OpaquePointer, _ kind: String, _ name: String
) throws(USPError) -> any Handled {
    let object = try entry(pointer, kind, name).object
    let found = Swift.type(of: object).handleName
    guard found == kind else {
        throw USPError(.argument, "\(name): is a \(found), expected a \(kind)")
    }
    return object
}

/// A string that lives as long as the handle: a view.
func lend(_ text: String, of pointer: OpaquePointer?, _ name: String) throws(USPError)
    -> UnsafePointer<CChar>
{
    try entry(pointer, "handle", name).texts.pointer(text)
}

private func entry(
    _ pointer: OpaquePointer?, _ kind: String, _ name: String
) throws(USPError) -> HandleEntry {
    guard let pointer else { throw USPError(.argument, "\(name): is NULL") }
    let entry = registry.withLock { $0.live[UInt(bitPattern: pointer)] }
    guard let entry else {
        throw USPError(.argument, "\(name): is not a live \(kind) (freed, or never created)")
    }
    return entry
}

/// Forgets the handle; its object lives on while something else holds it.
func freeHandle<Object: Handled>(_ pointer: OpaquePointer?, _ type: Object.Type) {
    guard let pointer else { return }
    let ticket = UInt(bitPattern: pointer)
    // The entry leaves the lock before it is released: releasing may free much.
    var freed = registry.withLock { registry -> HandleEntry? in
        guard registry.live[ticket]?.object is Object else { return nil }
        return registry.live.removeValue(forKey: ticket)
    }
    guard freed != nil else { return }
    MemoryPool.shared.releasing { freed = nil }
}

/// An item of an object's list of strings, as a view; NULL past the end.
func lentItem<Object: Handled>(
    _ function: StaticString, _ pointer: OpaquePointer?, _ index: Int, _ type: Object.Type,
    _ name: String, _ item: (Object, Int) -> String?
) -> UnsafePointer<CChar>? {
    guarded(function, else: nil) { () throws(USPError) in
        let object = try handle(pointer, type, name)
        guard let text = item(object, index) else {
            throw USPError(.argument, "index: \(index) is past the end")
        }
        return try lend(text, of: pointer, name)
    }
}
