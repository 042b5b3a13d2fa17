// One table of fields beside every struct of sizes or options. What all doors know of a field
// stands in its row: C, Python and the tool have theirs from it (`make abi`), files keep a model's
// configuration by it, and every message about it is made here.

/// One field of a struct: its name at every door, what it takes, where it has a part, a sentence.
public struct Field<Root: Sendable>: Sendable {
    /// `snake_case`, as in C, Python and files; the tool writes `--snake-case`.
    public let name: String
    public let kind: FieldKind
    /// Families, solvers, … that the field has a part in; empty: all.
    public let parts: [String]
    /// What it is, in one sentence: unit, and what absence means.
    public let sentence: String
    /// Whether it can be absent, and then something else decides.
    public let isOptional: Bool
    /// nil: absent.
    public let get: @Sendable (Root) -> FieldValue?
    /// Of a value of the kind; nil makes an optional field absent.
    let put: @Sendable (inout Root, FieldValue?) throws(USPError) -> Void
}

/// A struct with a table of its fields.
public protocol Described: Sendable {
    /// All defaults.
    init()
    /// What the struct is, for messages: `trainer`, `DiT`.
    static var title: String { get }
    /// In the order in which the C interface has them: new ones are appended.
    static var fields: [Field<Self>] { get }
    /// Members that only the C interface's struct has, in front of the fields: arrays, callbacks.
    static var members: [CMember] { get }
}

/// A pointer or a 64-bit number in an options struct of the C interface.
public struct CMember: Sendable {
    public let type: String
    public let name: String
    public let sentence: String

    public init(_ type: String, _ name: String, _ sentence: String) {
        (self.type, self.name, self.sentence) = (type, name, sentence)
    }
}

extension Described {
    public static var members: [CMember] { [] }
}

extension Described {
    /// - Throws: `.argument` that names the nearest known one.
    public static func field(_ name: String) throws(USPError) -> Field<Self> {
        if let field = fields.first(where: { $0.name == name }) { return field }
        throw unknownName(name, what: "\(title) option", known: fields.map(\.name))
    }

    /// Reads one value, of a command line, a file or a caller's text; `none` makes an optional
    /// field absent.
    public mutating func set(_ name: String, _ text: String) throws(USPError) {
        let field = try Self.field(name)
        if field.isOptional && text == "none" { return try set(field, nil) }
        guard let value = field.kind.parsed(text) else { throw field.error(text) }
        try set(field, value)
    }

    /// - Throws: `.argument` for a value outside of the field's range or choices.
    public mutating func set(_ field: Field<Self>, _ value: FieldValue?) throws(USPError) {
        if let value { try field.check(value) }
        try field.put(&self, value)
    }

    /// Defaults but for what `text` says: `classes=10 grid=16x16`, separated by blanks; a value
    /// with blanks stands in double quotes.
    ///
    /// - Throws: `.argument` for what is not name=value, unknown names, values out of range, and a
    ///   name said twice.
    public init(text: String) throws(USPError) {
        self.init()
        try apply(text)
    }

    /// Changes what `text` says, as `init(text:)`.
    public mutating func apply(_ text: String) throws(USPError) {
        var seen: Set<String> = []
        for (name, value) in try assignments(text, Self.title) {
            try require(
                seen.insert(name).inserted, .argument, "\(Self.title): \(name) is said twice")
            try set(name, value)
        }
    }

    /// The fields that differ from those of `base` and can be said as text; `init(text:)` reads it.
    public func text(differingFrom base: Self = Self()) -> String {
        assigned(described(differingFrom: base))
    }

    /// All fields that can be said as text.
    public var text: String { assigned(described) }

    private func assigned(_ values: [(name: String, value: String)]) -> String {
        values.map { name, value in
            let isPlain = !value.isEmpty && !value.contains { $0.isWhitespace || $0 == "\"" }
            return "\(name)=\(isPlain ? value : "\"\(value)\"")"
        }.joined(separator: " ")
    }

    /// Names and values of the fields that differ from those of `base`, in the table's order; an
    /// absent value is `none`.
    public func described(differingFrom base: Self) -> [(name: String, value: String)] {
        described.filter { name, value in
            !base.described.contains { $0.name == name && $0.value == value }
        }
    }

    /// Names and values of all fields that can be said as text.
    public var described: [(name: String, value: String)] {
        Self.fields.compactMap { field in
            if case .object = field.kind { return nil }
            return (field.name, field.get(self)?.text ?? "none")
        }
    }

    /// - Throws: `.argument` for the first value that is out of its field's range or choices.
    public func checkFields() throws(USPError) {
        for field in Self.fields {
            if let value = field.get(self) { try field.check(value) }
        }
    }

    /// - part: a family, solver, …
    /// - phrase: how messages call it; nil is `a` and its name
    /// - Throws: `.argument` for the first field that is not its default and has no part there.
    public func checkParts(
        in part: String, called phrase: String? = nil, differingFrom base: Self = Self()
    ) throws(USPError) {
        for field in Self.fields where field.get(self)?.text != field.get(base)?.text {
            try requirePart(field.name, in: part, called: phrase, of: field.parts)
        }
    }
}

/// Throws `.argument` for something given that has no part there.
///
/// - parts: where it has one; empty is everywhere
package func requirePart(
    _ name: String, in part: String, called phrase: String? = nil, of parts: [String]
) throws(USPError) {
    try require(
        parts.isEmpty || parts.contains(part), .argument,
        "\(name): has no part in \(phrase ?? "\(article(part)) \(part)"), only in "
            + parts.joined(separator: ", "))
}

extension Field {
    /// - Throws: `.argument` naming field, value, and what was expected.
    func check(_ value: FieldValue) throws(USPError) {
        let isGood =
            switch (kind, value) {
            case (.flag, .flag), (.text, .text), (.object, .object), (.unsigned, .unsigned): true
            case (.integer(let range), .integer(let value)): range.contains(Double(value))
            case (.real(let range), .real(let value)): range.contains(value)
            case (.choice(let names, _), .text(let value)): names.contains(value)
            case (.integers(let range), .integers(let values)):
                values.allSatisfy { range.contains(Double($0)) }
            case (.reals(let range), .reals(let values)): values.allSatisfy(range.contains)
            case (.grid, .grid(let grid)):
                FieldRange.size.contains(Double(grid.height))
                    && FieldRange.size.contains(Double(grid.width))
            default: false
            }
        guard !isGood else { return }
        throw error(value.text)
    }

    /// What is said of a text that the field does not take.
    public func error(_ text: String) -> USPError {
        if case .choice(let names, _) = kind { return unknownName(text, what: name, known: names) }
        return USPError(.argument, "\(name): \(text), expected \(kind.expected)")
    }
}

/// `a` or `an`.
package func article(_ noun: String) -> String {
    // families are spelled: an MAE, an SiT is said "sit"
    noun.hasPrefix("MAE") || noun.first.map { "AEIOUaeiou".contains($0) } == true ? "an" : "a"
}

/// `a=1 b="x y"` as pairs.
package func assignments(
    _ text: String, _ title: String
) throws(USPError) -> [(name: String, value: String)] {
    var result: [(name: String, value: String)] = []
    var rest = Substring(text).drop(while: \.isWhitespace)
    while !rest.isEmpty {
        guard let equals = rest.firstIndex(of: "="),
            !rest[..<equals].contains(where: \.isWhitespace), equals != rest.startIndex
        else {
            throw USPError(
                .argument,
                "\(title): \"\(rest.prefix(40))\", expected name=value, separated by blanks")
        }
        let name = String(rest[..<equals])
        rest = rest[rest.index(after: equals)...]
        if rest.first == "\"" {
            let quoted = rest.dropFirst()
            guard let end = quoted.firstIndex(of: "\"") else {
                throw USPError(.argument, "\(title): \(name): the quotation mark is not closed")
            }
            result.append((name, String(quoted[..<end])))
            rest = quoted[quoted.index(after: end)...]
        } else {
            let value = rest.prefix { !$0.isWhitespace }
            result.append((name, String(value)))
            rest = rest[value.endIndex...]
        }
        rest = rest.drop(while: \.isWhitespace)
    }
    return result
}
