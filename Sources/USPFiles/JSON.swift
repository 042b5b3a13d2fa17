// JSON as data: strict, order-preserving, with bounds on depth.

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

    /// Parses one value and nothing after it but white space (RFC 8259).
    ///
    /// - Throws: `.memory`; `.format` with the byte at which it is not JSON. Repeated keys are errors.
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

private struct JSONParser {
    private let bytes: UnsafeRawBufferPointer
    private let owner: AnyObject
    private let what: String
    private var at = 0
    private var depth = 0
    private static let deepest = 64

    init(_ view: ByteView, _ what: String) {
        bytes = view.bytes
        owner = view.owner
        self.what = what
    }

    mutating func document() throws(USPError) -> JSON {
        defer { withExtendedLifetime(owner) {} }
        let value = try value()
        skipSpace()
        guard at == bytes.count else { throw failure("text after the value") }
        return value
    }

    private func failure(_ problem: String) -> USPError {
        USPError(.format, "\(what): \(problem) at byte \(at)")
    }

    private var next: UInt8? { at < bytes.count ? bytes[at] : nil }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
            at += 1
        }
    }

    private mutating func expect(_ character: Unicode.Scalar) throws(USPError) {
        guard next == UInt8(ascii: character) else { throw failure("expected '\(character)'") }
        at += 1
    }

    private mutating func value() throws(USPError) -> JSON {
        skipSpace()
        switch next {
        case UInt8(ascii: "{"):
            return try nested { (parser) throws(USPError) in try parser.object() }
        case UInt8(ascii: "["):
            return try nested { (parser) throws(USPError) in try parser.array() }
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case .none: throw failure("ends early")
        default: return try number()
        }
    }

    private mutating func nested(
        _ body: (inout JSONParser) throws(USPError) -> JSON
    ) throws(USPError) -> JSON {
        guard depth < JSONParser.deepest else { throw failure("nested too deeply") }
        depth += 1
        defer { depth -= 1 }
        at += 1
        return try body(&self)
    }

    private mutating func word(_ word: StaticString, _ value: JSON) throws(USPError) -> JSON {
        for character in "\(word)".unicodeScalars { try expect(character) }
        return value
    }

    private mutating func object() throws(USPError) -> JSON {
        var members: [JSON.Member] = []
        var keys: Set<String> = []
        skipSpace()
        if next == UInt8(ascii: "}") {
            at += 1
            return .object([])
        }
        while true {
            skipSpace()
            let key = try string()
            guard keys.insert(key).inserted else { throw failure("'\(key)' twice in one object") }
            skipSpace()
            try expect(":")
            members.append(JSON.Member(key, try value()))
            skipSpace()
            if next == UInt8(ascii: "}") { break }
            try expect(",")
        }
        at += 1
        return .object(members)
    }

    private mutating func array() throws(USPError) -> JSON {
        var elements: [JSON] = []
        skipSpace()
        if next == UInt8(ascii: "]") {
            at += 1
            return .array([])
        }
        while true {
            elements.append(try value())
            skipSpace()
            if next == UInt8(ascii: "]") { break }
            try expect(",")
        }
        at += 1
        return .array(elements)
    }

    private mutating func number() throws(USPError) -> JSON {
        let start = at
        var isInteger = true
        if next == UInt8(ascii: "-") { at += 1 }
        let first = next
        guard digits() > 0 else { throw failure("no value") }
        let wholeDigits = at - start - (bytes[start] == UInt8(ascii: "-") ? 1 : 0)
        if first == UInt8(ascii: "0") && wholeDigits > 1 { throw failure("a number starts with 0") }
        if next == UInt8(ascii: ".") {
            isInteger = false
            at += 1
            guard digits() > 0 else { throw failure("no digits after the point") }
        }
        if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
            isInteger = false
            at += 1
            if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { at += 1 }
            guard digits() > 0 else { throw failure("no digits in the exponent") }
        }
        let text = String(decoding: bytes[start..<at], as: UTF8.self)
        if isInteger, let value = Int(text) { return .integer(value) }
        guard let value = Double(text) else { throw failure("'\(text)' is no number") }
        return .number(value)
    }

    private mutating func digits() -> Int {
        let start = at
        while let byte = next, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { at += 1 }
        return at - start
    }

    private mutating func string() throws(USPError) -> String {
        try expect("\"")
        var text: [UInt8] = []
        while let byte = next {
            at += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let result = String(validating: text, as: UTF8.self) else {
                    throw failure("a text is not UTF-8, before")
                }
                return result
            case UInt8(ascii: "\\"): text.append(contentsOf: String(try escape()).utf8)
            case 0..<0x20: throw failure("a control character in a text")
            default: text.append(byte)
            }
        }
        throw failure("a text has no end")
    }

    private mutating func escape() throws(USPError) -> Character {
        guard let byte = next else { throw failure("ends early") }
        at += 1
        switch byte {
        case UInt8(ascii: "\""): return "\""
        case UInt8(ascii: "\\"): return "\\"
        case UInt8(ascii: "/"): return "/"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): return Character(try unicodeEscape())
        default: throw failure("an unknown escape")
        }
    }

    private mutating func unicodeEscape() throws(USPError) -> Unicode.Scalar {
        var code = try hexadecimal()
        if code >= 0xD800 && code < 0xDC00 {
            try expect("\\")
            try expect("u")
            let low = try hexadecimal()
            guard low >= 0xDC00 && low < 0xE000 else { throw failure("half a surrogate pair") }
            code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(code) else { throw failure("half a surrogate pair") }
        return scalar
    }

    private mutating func hexadecimal() throws(USPError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw failure("not four hexadecimal digits")
            }
            value = value << 4 | UInt32(digit)
            at += 1
        }
        return value
    }
}
