// Reads a pickle as data: a stack machine that builds values, looks nothing up and calls nothing.
// Source: the comments of CPython's Lib/pickletools.py.

import USPBase

struct PickleReader {
    var arena = PickleArena()
    var reader: ByteReader
    private var stack: [PickleValue] = []
    private var marks: [Int] = []
    private var memo: [Int: PickleValue] = [:]
    private var steps = 0
    /// Steps for whose values memory was asked.
    private var expected = 1 << 13

    /// A file's own instructions and what they repeat: no more than some for each byte.
    private let mostSteps: Int

    init(_ bytes: ByteView, at offset: Int = 0, _ what: String) {
        reader = ByteReader(bytes, at: offset, what)
        mostSteps = 5_000_000 + 4 * (bytes.count - offset)
    }

    /// Where the next pickle of a stream starts.
    var offset: Int { reader.offset }

    func failure(_ problem: String) -> USPError {
        USPError(.format, "\(reader.what): \(problem) at byte \(reader.offset)")
    }

    /// Runs one pickle to its end and returns the value that it leaves.
    mutating func read() throws(USPError) -> PickleValue {
        stack = []
        marks = []
        memo = [:]
        while true {
            try count(steps: 1)
            let code = try reader.byte()
            if code == UInt8(ascii: ".") { return try pop() }
            try step(code)
        }
    }

    /// Work is bounded, whatever a file repeats.
    mutating func count(steps more: Int) throws(USPError) {
        steps += more
        guard steps <= mostSteps else { throw failure("too many steps") }
        if steps > expected {
            expected = 2 * steps
            try SystemMemory.expect(256 * expected, of: UInt8.self)
        }
    }

    private mutating func step(_ code: UInt8) throws(USPError) {
        switch Unicode.Scalar(code) {
        case "\u{80}": try reader.skip(1)  // PROTO
        case "\u{95}": try reader.skip(8)  // FRAME
        case "(": marks.append(stack.count)
        case "0": _ = try pop()
        case "1": _ = try popToMark()
        case "2": push(try top())
        case "N", "\u{88}", "\u{89}", "I", "J", "K", "M", "L", "\u{8A}", "\u{8B}", "F", "G":
            push(try scalar(code))
        case "S", "T", "U", "V", "X", "\u{8C}", "\u{8D}", "B", "C", "\u{8E}", "\u{96}":
            push(try text(code))
        case "p", "q", "r", "\u{94}", "g", "h", "j": try remember(code)
        case "c", "\u{93}", "P", "Q", "R", "i", "o", "b", "\u{81}", "\u{92}": try object(code)
        case "\u{82}": try extensionCode(1)
        case "\u{83}": try extensionCode(2)
        case "\u{84}": try extensionCode(4)
        case "\u{97}": push(.opaque("an out-of-band buffer"))
        case "\u{98}": _ = try top()
        default: try container(code)
        }
    }

    private mutating func extensionCode(_ length: Int) throws(USPError) {
        try reader.skip(length)
        push(.opaque("a registered extension"))
    }

    // MARK: stack

    mutating func push(_ value: PickleValue) { stack.append(value) }

    mutating func pop() throws(USPError) -> PickleValue {
        guard stack.count > (marks.last ?? 0), let value = stack.popLast() else {
            throw failure("nothing to take")
        }
        return value
    }

    func top() throws(USPError) -> PickleValue {
        guard stack.count > (marks.last ?? 0), let value = stack.last else {
            throw failure("nothing to look at")
        }
        return value
    }

    mutating func popToMark() throws(USPError) -> [PickleValue] {
        guard let mark = marks.popLast(), mark <= stack.count else { throw failure("no mark") }
        let values = Array(stack[mark...])
        stack.removeLast(values.count)
        return values
    }

    /// PUT and GET in their spellings.
    private mutating func remember(_ code: UInt8) throws(USPError) {
        switch Unicode.Scalar(code) {
        case "p": memo[try decimal()] = try top()
        case "q": memo[Int(try reader.byte())] = try top()
        case "r": memo[try reader.size(UInt32.self)] = try top()
        case "\u{94}": memo[memo.count] = try top()
        case "g": push(try recall(try decimal()))
        case "h": push(try recall(Int(try reader.byte())))
        default: push(try recall(try reader.size(UInt32.self)))
        }
    }

    private func recall(_ index: Int) throws(USPError) -> PickleValue {
        guard let value = memo[index] else { throw failure("nothing remembered as \(index)") }
        return value
    }

    // MARK: scalars

    private mutating func decimal() throws(USPError) -> Int {
        let line = try reader.line()
        guard let value = Int(line) else { throw failure("'\(line.prefix(20))' is no number") }
        return value
    }

    private mutating func scalar(_ code: UInt8) throws(USPError) -> PickleValue {
        switch Unicode.Scalar(code) {
        case "N": return .none
        case "\u{88}": return .bool(true)
        case "\u{89}": return .bool(false)
        case "J": return .integer(Int(try reader.integer(Int32.self)))
        case "K": return .integer(Int(try reader.byte()))
        case "M": return .integer(Int(try reader.integer(UInt16.self)))
        case "\u{8A}": return try long(Int(try reader.byte()))
        case "\u{8B}": return try long(try reader.size(UInt32.self))
        case "G":
            let bits = UInt64(bigEndian: try reader.bytes(8).bytes.loadUnaligned(as: UInt64.self))
            return .number(Double(bitPattern: bits))
        case "F":
            let line = try reader.line()
            guard let value = Double(line) else {
                throw failure("'\(line.prefix(20))' is no number")
            }
            return .number(value)
        default: return try oldInteger(code)
        }
    }

    /// INT ("01" and "00" are truth values) and LONG (an L at the end).
    private mutating func oldInteger(_ code: UInt8) throws(USPError) -> PickleValue {
        let line = try reader.line()
        if code == UInt8(ascii: "I") && line == "01" { return .bool(true) }
        if code == UInt8(ascii: "I") && line == "00" { return .bool(false) }
        let digits = line.hasSuffix("L") ? String(line.dropLast()) : line
        guard let value = Int(digits) else { return .opaque("a large integer") }
        return .integer(value)
    }

    /// A little-endian two's complement integer of any length.
    private mutating func long(_ length: Int) throws(USPError) -> PickleValue {
        let bytes = try reader.bytes(length).bytes
        guard length <= 8 else { return .opaque("a large integer") }
        var value = (bytes.last ?? 0) >= 0x80 ? -1 : 0
        for byte in bytes.reversed() { value = value << 8 | Int(byte) }
        return .integer(value)
    }

    private mutating func text(_ code: UInt8) throws(USPError) -> PickleValue {
        switch Unicode.Scalar(code) {
        case "S":
            let line = try reader.line()
            return .text(String(line.dropFirst().dropLast()))
        case "V": return .text(try reader.line())
        case "T": return .text(try reader.bytes(try reader.size(UInt32.self)).text)
        case "U", "\u{8C}": return .text(try reader.bytes(Int(try reader.byte())).text)
        case "X": return .text(try reader.bytes(try reader.size(UInt32.self)).text)
        case "\u{8D}": return .text(try reader.bytes(try reader.size(UInt64.self)).text)
        case "C": return .bytes(try reader.bytes(Int(try reader.byte())))
        case "B": return .bytes(try reader.bytes(try reader.size(UInt32.self)))
        default: return .bytes(try reader.bytes(try reader.size(UInt64.self)))
        }
    }
}
