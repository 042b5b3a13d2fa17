// Reading JSON, with bounds on depth and words for what is not JSON.

import USPBase

struct JSONParser {
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
        if view.starts(with: [0xEF, 0xBB, 0xBF]) { at = 3 }
    }

    mutating func document() throws(USPError) -> JSON {
        defer { withExtendedLifetime(owner) {} }
        let value = try value()
        skipSpace()
        guard at == bytes.count else { throw failure("text after the value") }
        return value
    }

    private func failure(_ problem: String) -> USPError {
        let before = bytes[..<min(at, bytes.count)]
        let line = before.count { $0 == 0x0A } + 1
        let start = before.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
        return USPError(
            .format, "\(what): line \(line), column \(before.count - start + 1): \(problem)")
    }

    /// What stands where something else is expected.
    private func unexpected(_ expected: String) -> USPError {
        switch next {
        case nil: failure("ends early, \(expected) expected")
        case UInt8(ascii: "/"), UInt8(ascii: "#"): failure("a comment, which JSON has not")
        case UInt8(ascii: "N"), UInt8(ascii: "I"):
            failure("no JSON value (NaN and infinities are none)")
        case UInt8(ascii: "'"): failure("a text in single quotes, which JSON has not")
        case UInt8(ascii: "}"), UInt8(ascii: "]"): failure("nothing after a comma or colon")
        default: failure("\(expected) expected")
        }
    }

    private var next: UInt8? { at < bytes.count ? bytes[at] : nil }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
            at += 1
        }
    }

    private mutating func expect(_ character: Unicode.Scalar) throws(USPError) {
        guard next == UInt8(ascii: character) else { throw unexpected("'\(character)'") }
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
        case let byte? where byte == UInt8(ascii: "-") || byte >= 0x30 && byte <= 0x39:
            return try number()
        default: throw unexpected("a value")
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
        guard digits() > 0 else { throw unexpected("digits") }
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
        guard next == UInt8(ascii: "\"") else { throw unexpected("a text in quotes") }
        at += 1
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
