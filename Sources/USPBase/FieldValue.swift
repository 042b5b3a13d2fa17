// What a field of a configuration or of options can hold, and how it is written as text.

/// Rows and columns of tokens.
public struct Grid: Sendable, Hashable, CustomStringConvertible {
    public let height: Int
    public let width: Int

    public init(_ height: Int, _ width: Int) { (self.height, self.width) = (height, width) }
    /// Sizes that come from outside are checked first.
    public var count: Int { height &* width }
    public var description: String { "\(height)x\(width)" }
}

/// The value of a field, without its name.
public enum FieldValue: Sendable {
    case flag(Bool)
    case integer(Int)
    /// A seed.
    case unsigned(UInt64)
    case real(Double)
    case text(String)
    case integers([Int])
    case reals([Double])
    case grid(Grid)
    /// Something that no text can say, such as a process or a transport.
    case object(any Sendable)

    /// As a file's metadata, a command line and a report say it: `yes`, `12`, `0.75`, `1,2,4`,
    /// `16x16`. Reads back as the same value.
    public var text: String {
        switch self {
        case .flag(let value): value ? "yes" : "no"
        case .integer(let value): String(value)
        case .unsigned(let value): String(value)
        case .real(let value): realText(value)
        case .text(let value): value
        case .integers(let values): values.map(String.init).joined(separator: ",")
        case .reals(let values): values.map(realText).joined(separator: ",")
        case .grid(let value): value.description
        case .object: "given"
        }
    }
}

/// The shortest text that reads back as the number: `3` and not `3.0`.
private func realText(_ value: Double) -> String {
    let text = "\(value)"
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
}

/// What a field takes. Choices are told apart by their names, letter case aside.
public enum FieldKind: Sendable {
    case flag
    case integer(FieldRange)
    case unsigned
    case real(FieldRange)
    /// One of these names, or another spelling of one.
    case choice([String], aliases: [String: String] = [:])
    case text
    case integers(FieldRange)
    case reals(FieldRange)
    case grid
    /// A handle of the C interface: the type's name there.
    case object(String)

    /// What was expected, for messages.
    var expected: String {
        switch self {
        case .flag: "yes or no"
        case .integer(let range): "a whole number\(range.phrase)"
        case .unsigned: "a whole number of 0 or more"
        case .real(let range): "a number\(range.phrase)"
        case .choice(let names, _): names.joined(separator: ", ")
        case .text: "a text"
        case .integers(let range): "whole numbers\(range.phrase), such as 1,2,4"
        case .reals(let range): "numbers\(range.phrase), such as 0.5,1"
        case .grid: "rows and columns, such as 16x16, or 16 for a square"
        case .object(let type): "a \(type)"
        }
    }

    /// - Returns: nil for a text that is none of the kind's values
    public func parsed(_ text: String) -> FieldValue? {
        switch self {
        case .flag:
            switch text.lowercased() {
            case "yes", "true", "1", "on": return .flag(true)
            case "no", "false", "0", "off": return .flag(false)
            default: return nil
            }
        case .integer: return Int(text).map(FieldValue.integer)
        case .unsigned: return UInt64(text).map(FieldValue.unsigned)
        case .real: return Double(text).map(FieldValue.real)
        case .text: return .text(text)
        case .choice(let names, let aliases):
            let wanted = text.lowercased()
            let known = names.first { $0 == text } ?? names.first { $0.lowercased() == wanted }
            return (known ?? aliases[wanted]).map(FieldValue.text)
        case .integers:
            let values = list(text).map { Int($0) }
            return values.contains(nil) ? nil : .integers(values.compactMap(\.self))
        case .reals:
            let values = list(text).map { Double($0) }
            return values.contains(nil) ? nil : .reals(values.compactMap(\.self))
        case .grid:
            let sides = text.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
            guard let height = sides[0], let width = sides.count > 1 ? sides[1] : height,
                sides.count <= 2
            else { return nil }
            return .grid(Grid(height, width))
        case .object: return nil
        }
    }

    private func list(_ text: String) -> [Substring] {
        text == "none"
            ? [] : text.split(separator: ",", omittingEmptySubsequences: !text.contains(","))
    }
}

/// The numbers that a field takes.
public struct FieldRange: Sendable {
    public let lower: Double
    public let upper: Double
    /// Whether `lower` and `upper` themselves are outside.
    public let excludesLower: Bool
    public let excludesUpper: Bool

    public init(
        _ lower: Double, _ upper: Double, excludesLower: Bool = false, excludesUpper: Bool = false
    ) {
        (self.lower, self.upper) = (lower, upper)
        (self.excludesLower, self.excludesUpper) = (excludesLower, excludesUpper)
    }

    public static let any = FieldRange(-.infinity, .infinity)
    public static let notNegative = FieldRange(0, .infinity)
    public static let positive = FieldRange(0, .infinity, excludesLower: true)
    /// A share: 0 to 1.
    public static let share = FieldRange(0, 1)
    public static let belowOne = FieldRange(0, 1, excludesUpper: true)
    /// A size that models have: 1 to 65536.
    public static let size = FieldRange(1, 65536)
    public static func from(_ lower: Double) -> FieldRange { FieldRange(lower, .infinity) }

    /// Whether a finite number is inside.
    public func contains(_ value: Double) -> Bool {
        value.isFinite && (excludesLower ? value > lower : value >= lower)
            && (excludesUpper ? value < upper : value <= upper)
    }

    /// ` of 0 or more`, for messages; empty if all numbers will do.
    public var phrase: String { description.isEmpty ? "" : " of \(description)" }

    /// `0 or more`, `0 to 1`, `0 to below 1`; empty if all numbers will do.
    public var description: String {
        switch (lower.isFinite, upper.isFinite) {
        case (false, false): ""
        case (true, false):
            excludesLower ? "more than \(realText(lower))" : "\(realText(lower)) or more"
        case (false, true):
            excludesUpper ? "less than \(realText(upper))" : "\(realText(upper)) or less"
        case (true, true):
            (excludesLower ? "more than " : "")
                + "\(realText(lower)) to \(excludesUpper ? "below " : "")\(realText(upper))"
        }
    }
}
