// JSON as data: order-preserving.

import USPBase

/// A JSON value. Objects keep the order of their keys.
package indirect enum JSON: Sendable, Equatable {
    case null
    case bool(Bool)
    /// A number written without fraction and exponent that fits in 64 bits.
    case integer(Int)
    case number(Double)
    case string(String)
    case array([JSON])
    case object([Member])

    package struct Member: Sendable, Equatable {
        package let key: String
        package let value: JSON

        package init(_ key: String, _ value: JSON) {
            self.key = key
            self.value = value
        }
    }

    /// The member of this key, if this is an object that has it.
    package subscript(key: String) -> JSON? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.key == key }?.value
    }

    package var text: String? {
        guard case .string(let text) = self else { return nil }
        return text
    }

    package var integer: Int? {
        guard case .integer(let value) = self else { return nil }
        return value
    }

    package var elements: [JSON]? {
        guard case .array(let elements) = self else { return nil }
        return elements
    }

    package var members: [Member]? {
        guard case .object(let members) = self else { return nil }
        return members
    }

    /// Parses one value and nothing after it but white space (RFC 8259). A byte order mark in front
    /// is skipped; repeated keys, comments, commas before a bracket, NaN and infinities are errors.
    ///
    /// - Throws: `.memory`; `.format` with the line and column at which it is not JSON
    package init(parsing bytes: ByteView, _ what: String) throws(USPError) {
        // A number of one digit and its comma become a value of 48 bytes, with room to grow.
        try SystemMemory.expect(64 * bytes.count, of: UInt8.self)
        var parser = JSONParser(bytes, what)
        self = try parser.document()
    }

    package init(parsing text: String, _ what: String = "JSON") throws(USPError) {
        try self.init(parsing: try ByteBuffer(Array(text.utf8)).view, what)
    }
}
