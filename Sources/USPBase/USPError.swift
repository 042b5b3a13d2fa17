// The one error of the library: a kind that mirrors `usp_status`, and a sentence.

/// What went wrong, for a program; raw values are those of `usp_status` in `include/usp.h`.
public enum ErrorKind: Int32, Sendable {
    case argument = -1
    case shape = -2
    case dtype = -3
    case io = -4
    case format = -5
    case missingWeight = -6
    case unsupported = -7
    case memory = -8
    case cancelled = -9
    case callback = -10
    case `internal` = -11
    case notFinite = -12
}

/// A failure with a message that names what, where, expected and got.
///
/// The message reads `where: what, expected …, got …`; rooms on higher floors add their own place
/// in front with `at(_:)`.
public struct USPError: Error, Sendable, Equatable, CustomStringConvertible {
    public let kind: ErrorKind
    public let message: String

    package init(_ kind: ErrorKind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    public var description: String { message }

    /// Whether a file, and not the system or the caller, is at fault, if reading one threw it.
    package var isOfContent: Bool { [.io, .format, .unsupported, .shape].contains(kind) }

    /// The same error, told from one place further out: `place: message`.
    package func at(_ place: String) -> USPError {
        USPError(kind, "\(place): \(message)")
    }
}

/// Throws `.argument` with the message unless the condition holds.
package func require(
    _ condition: Bool, _ kind: ErrorKind = .argument, _ message: @autoclosure () -> String
) throws(USPError) {
    if !condition { throw USPError(kind, message()) }
}

/// Runs the body; an error gains the place in front of its message.
package func locating<Result>(
    _ place: @autoclosure () -> String, _ body: () throws(USPError) -> Result
) throws(USPError) -> Result {
    do {
        return try body()
    } catch {
        throw error.at(place())
    }
}
