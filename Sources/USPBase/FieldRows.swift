// How a row of a table of fields is written: one function for each type of property.
//
//     extension TrainerOptions: Described {
//         public static let title = "trainer"
//         public static let fields: [Field<TrainerOptions>] = [
//             .real("rate", \.rate, .notNegative, "Peak learning rate."),
//             .flag("add_noise", \.addNoise, "Noise the input, not the target.", in: ["MAE"]),
//         ]
//     }

/// A property that tables of fields may name from any thread.
public typealias FieldPath<Root, Value> = any WritableKeyPath<Root, Value> & Sendable

extension Field {
    /// The row in the table of a struct that holds this row's.
    ///
    /// - parts: where it has one there; nil: the row's own
    public func within<Outer>(
        _ path: FieldPath<Outer, Root>, in parts: [String]? = nil
    ) -> Field<Outer> {
        let (get, put) = (get, put)
        return Field<Outer>(
            name: name, kind: kind, parts: parts ?? self.parts, sentence: sentence,
            isOptional: isOptional,
            get: { get($0[keyPath: path]) },
            put: { outer, value throws(USPError) in try put(&outer[keyPath: path], value) })
    }

    /// - read, write: between the property and the kind's value; `write` gives nil for another kind
    private static func row<Value>(
        _ name: String, _ path: FieldPath<Root, Value>, _ kind: FieldKind, _ sentence: String,
        _ parts: [String], read: @escaping @Sendable (Value) -> FieldValue?,
        write: @escaping @Sendable (FieldValue) -> Value?
    ) -> Field {
        Field(
            name: name, kind: kind, parts: parts, sentence: sentence, isOptional: false,
            get: { read($0[keyPath: path]) },
            put: { root, value throws(USPError) in
                guard let value, let converted = write(value) else {
                    throw USPError(
                        .argument, "\(name): \(value?.text ?? "none"), expected \(kind.expected)")
                }
                root[keyPath: path] = converted
            })
    }

    /// The same for a property that may be nil.
    private static func row<Value>(
        _ name: String, optional path: FieldPath<Root, Value?>, _ kind: FieldKind,
        _ sentence: String, _ parts: [String],
        read: @escaping @Sendable (Value) -> FieldValue?,
        write: @escaping @Sendable (FieldValue) -> Value?
    ) -> Field {
        Field(
            name: name, kind: kind, parts: parts, sentence: sentence, isOptional: true,
            get: { $0[keyPath: path].flatMap(read) },
            put: { root, value throws(USPError) in
                let converted = value.flatMap(write)
                guard (value == nil) == (converted == nil) else {
                    throw USPError(
                        .argument, "\(name): \(value?.text ?? ""), expected \(kind.expected)")
                }
                root[keyPath: path] = converted
            })
    }

    public static func flag(
        _ name: String, _ path: FieldPath<Root, Bool>, _ sentence: String, in parts: [String] = []
    ) -> Field {
        row(name, path, .flag, sentence, parts, read: FieldValue.flag, write: \.asFlag)
    }

    public static func flag(
        _ name: String, _ path: FieldPath<Root, Bool?>, _ sentence: String, in parts: [String] = []
    ) -> Field {
        row(name, optional: path, .flag, sentence, parts, read: FieldValue.flag, write: \.asFlag)
    }

    public static func integer(
        _ name: String, _ path: FieldPath<Root, Int>, _ range: FieldRange, _ sentence: String,
        in parts: [String] = []
    ) -> Field {
        row(
            name, path, .integer(range), sentence, parts, read: FieldValue.integer,
            write: \.asInteger)
    }

    public static func integer(
        _ name: String, _ path: FieldPath<Root, Int?>, _ range: FieldRange, _ sentence: String,
        in parts: [String] = []
    ) -> Field {
        row(
            name, optional: path, .integer(range), sentence, parts, read: FieldValue.integer,
            write: \.asInteger)
    }

    public static func seed(
        _ name: String, _ path: FieldPath<Root, UInt64>, _ sentence: String, in parts: [String] = []
    ) -> Field {
        row(
            name, path, .unsigned, sentence, parts, read: FieldValue.unsigned,
            write: { if case .unsigned(let value) = $0 { value } else { nil } })
    }

    /// A number computed with in f32 stands as its shortest decimal: 0.3 and not 0.30000001192.
    public static func real(
        _ name: String, _ path: FieldPath<Root, Float>, _ range: FieldRange, _ sentence: String,
        in parts: [String] = []
    ) -> Field {
        row(
            name, path, .real(range), sentence, parts, read: { .real(decimal($0)) },
            write: { $0.asReal.map { Float($0) } })
    }

    public static func real(
        _ name: String, _ path: FieldPath<Root, Double>, _ range: FieldRange, _ sentence: String,
        in parts: [String] = []
    ) -> Field {
        row(name, path, .real(range), sentence, parts, read: FieldValue.real, write: \.asReal)
    }

    public static func real(
        _ name: String, _ path: FieldPath<Root, Float?>, _ range: FieldRange, _ sentence: String,
        in parts: [String] = []
    ) -> Field {
        row(
            name, optional: path, .real(range), sentence, parts, read: { .real(decimal($0)) },
            write: { $0.asReal.map { Float($0) } })
    }

    public static func real(
        _ name: String, _ path: FieldPath<Root, Double?>, _ range: FieldRange, _ sentence: String,
        in parts: [String] = []
    ) -> Field {
        row(
            name, optional: path, .real(range), sentence, parts, read: FieldValue.real,
            write: \.asReal)
    }

    public static func text(
        _ name: String, _ path: FieldPath<Root, String>, _ sentence: String, in parts: [String] = []
    ) -> Field {
        row(name, path, .text, sentence, parts, read: FieldValue.text, write: \.asText)
    }

    public static func text(
        _ name: String, _ path: FieldPath<Root, String?>, _ sentence: String,
        in parts: [String] = []
    ) -> Field {
        row(name, optional: path, .text, sentence, parts, read: FieldValue.text, write: \.asText)
    }

    /// Names in one text, with commas between them.
    public static func names(
        _ name: String, _ path: FieldPath<Root, [String]>, _ sentence: String,
        in parts: [String] = []
    ) -> Field {
        row(
            name, path, .text, sentence, parts, read: { .text($0.joined(separator: ",")) },
            write: { $0.asText?.split(separator: ",").map(String.init) })
    }

    /// A property that is a name itself, checked against those known.
    public static func choice(
        _ name: String, _ path: FieldPath<Root, String>, _ names: [String], _ sentence: String,
        in parts: [String] = []
    ) -> Field {
        row(name, path, .choice(names), sentence, parts, read: FieldValue.text, write: \.asText)
    }

    public static func choice(
        _ name: String, _ path: FieldPath<Root, String?>, _ names: [String], _ sentence: String,
        in parts: [String] = []
    ) -> Field {
        row(
            name, optional: path, .choice(names), sentence, parts, read: FieldValue.text,
            write: \.asText)
    }

    /// A property that names one of an enumeration's choices, or one of their other spellings.
    package static func choice<Choice: NamedChoice>(
        _ name: String, _ path: FieldPath<Root, String>, of type: Choice.Type, _ sentence: String,
        in parts: [String] = []
    ) -> Field {
        row(
            name, path, choices(type), sentence, parts, read: FieldValue.text, write: \.asText)
    }

    package static func choice<Choice: NamedChoice>(
        _ name: String, _ path: FieldPath<Root, String?>, of type: Choice.Type, _ sentence: String,
        in parts: [String] = []
    ) -> Field {
        row(
            name, optional: path, choices(type), sentence, parts, read: FieldValue.text,
            write: \.asText)
    }

    /// The choice itself.
    package static func choice<Choice: NamedChoice>(
        _ name: String, named path: FieldPath<Root, Choice>, _ sentence: String,
        in parts: [String] = []
    ) -> Field {
        row(
            name, path, choices(Choice.self), sentence, parts, read: { .text($0.rawValue) },
            write: { $0.asText.flatMap(Choice.init) })
    }

    package static func choice<Choice: NamedChoice>(
        _ name: String, named path: FieldPath<Root, Choice?>, _ sentence: String,
        in parts: [String] = []
    ) -> Field {
        row(
            name, optional: path, choices(Choice.self), sentence, parts,
            read: { .text($0.rawValue) }, write: { $0.asText.flatMap(Choice.init) })
    }

    private static func choices<Choice: NamedChoice>(_ type: Choice.Type) -> FieldKind {
        var aliases: [String: String] = [:]
        for (alias, choice) in type.aliases { aliases[alias.lowercased()] = choice.rawValue }
        return .choice(type.allCases.map(\.rawValue), aliases: aliases)
    }

    /// An enumeration whose raw values are the names.
    public static func choice<Choice: RawRepresentable & CaseIterable & Sendable>(
        _ name: String, _ path: FieldPath<Root, Choice>, _ sentence: String, in parts: [String] = []
    ) -> Field where Choice.RawValue == String {
        row(
            name, path, .choice(Choice.allCases.map(\.rawValue)), sentence, parts,
            read: { .text($0.rawValue) }, write: { $0.asText.flatMap(Choice.init) })
    }

    public static func choice<Choice: RawRepresentable & CaseIterable & Sendable>(
        _ name: String, _ path: FieldPath<Root, Choice?>, _ sentence: String,
        in parts: [String] = []
    ) -> Field where Choice.RawValue == String {
        row(
            name, optional: path, .choice(Choice.allCases.map(\.rawValue)), sentence, parts,
            read: { .text($0.rawValue) }, write: { $0.asText.flatMap(Choice.init) })
    }

    /// An element type, by its short name.
    public static func dtype(
        _ name: String, _ path: FieldPath<Root, DType>, _ types: [DType], _ sentence: String,
        in parts: [String] = []
    ) -> Field {
        row(
            name, path, choices(types), sentence, parts, read: { .text($0.name) },
            write: { $0.asText.flatMap(DType.init(name:)) })
    }

    /// By the short names, and by those of numpy and torch.
    private static func choices(_ types: [DType]) -> FieldKind {
        let long = [
            DType.float32: "float32", .bfloat16: "bfloat16", .float16: "float16",
            .float64: "float64", .int8: "int8",
        ]
        var aliases: [String: String] = [:]
        for type in types { aliases[long[type] ?? type.name] = type.name }
        return .choice(types.map(\.name), aliases: aliases)
    }

    /// The same where the type may be absent.
    public static func dtype(
        _ name: String, _ path: FieldPath<Root, DType?>, _ types: [DType], _ sentence: String,
        in parts: [String] = []
    ) -> Field {
        row(
            name, optional: path, choices(types), sentence, parts,
            read: { .text($0.name) }, write: { $0.asText.flatMap(DType.init(name:)) })
    }

    public static func integers(
        _ name: String, _ path: FieldPath<Root, [Int]>, _ range: FieldRange, _ sentence: String,
        in parts: [String] = []
    ) -> Field {
        row(
            name, path, .integers(range), sentence, parts, read: FieldValue.integers,
            write: \.asIntegers)
    }

    public static func integers(
        _ name: String, _ path: FieldPath<Root, [Int]?>, _ range: FieldRange, _ sentence: String,
        in parts: [String] = []
    ) -> Field {
        row(
            name, optional: path, .integers(range), sentence, parts, read: FieldValue.integers,
            write: \.asIntegers)
    }

    public static func reals(
        _ name: String, _ path: FieldPath<Root, [Float]>, _ range: FieldRange, _ sentence: String,
        in parts: [String] = []
    ) -> Field {
        row(
            name, path, .reals(range), sentence, parts, read: { .reals($0.map(decimal)) },
            write: { $0.asReals?.map { Float($0) } })
    }

    public static func grid(
        _ name: String, _ path: FieldPath<Root, Grid>, _ sentence: String, in parts: [String] = []
    ) -> Field {
        row(name, path, .grid, sentence, parts, read: FieldValue.grid, write: \.asGrid)
    }

    public static func grid(
        _ name: String, _ path: FieldPath<Root, Grid?>, _ sentence: String, in parts: [String] = []
    ) -> Field {
        row(name, optional: path, .grid, sentence, parts, read: FieldValue.grid, write: \.asGrid)
    }

    /// - type: what the C interface calls it, such as `usp_transport`
    public static func object<Object: Sendable>(
        _ name: String, _ path: FieldPath<Root, Object?>, _ type: String, _ sentence: String,
        in parts: [String] = []
    ) -> Field {
        row(
            name, optional: path, .object(type), sentence, parts, read: FieldValue.object,
            write: { $0.asObject as? Object })
    }
}

/// What the caller wrote: 0.3 and not 0.30000001192.
private func decimal(_ value: Float) -> Double { Double(value.description) ?? Double(value) }

extension FieldValue {
    fileprivate var asFlag: Bool? { if case .flag(let value) = self { value } else { nil } }
    fileprivate var asInteger: Int? { if case .integer(let value) = self { value } else { nil } }
    fileprivate var asReal: Double? { if case .real(let value) = self { value } else { nil } }
    fileprivate var asText: String? { if case .text(let value) = self { value } else { nil } }
    fileprivate var asIntegers: [Int]? {
        if case .integers(let value) = self { value } else { nil }
    }
    fileprivate var asReals: [Double]? { if case .reals(let value) = self { value } else { nil } }
    fileprivate var asGrid: Grid? { if case .grid(let value) = self { value } else { nil } }
    fileprivate var asObject: (any Sendable)? {
        if case .object(let value) = self { value } else { nil }
    }
}
