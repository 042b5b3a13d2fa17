// NumPy's names of the element types that are not read, in words.

enum NumPyType {
    /// "element type uint16 is not read" for a type code such as `<u2`.
    static func unread(_ code: String) -> String { "\(words(code)) is not read" }

    private static func words(_ code: String) -> String {
        let bare = code.filter { $0 != "'" && $0 != "\"" }
        if bare.hasPrefix("[") || bare.hasPrefix("(") { return "a structured type" }
        let kind = bare.drop { "<>|=".contains($0) }
        // A damaged code may have any number of digits.
        let size = Int(kind.dropFirst().prefix { $0.isNumber }.prefix(6)) ?? 0
        switch kind.first {
        case "u": return "element type uint\(size * 8)"
        case "i": return "element type int\(size * 8)"
        case "c": return "element type complex\(size * 8)"
        case "f": return "element type float\(size * 8)"
        case "U", "S", "a": return "text (\(bare))"
        case "M": return "dates (\(bare))"
        case "m": return "spans of time (\(bare))"
        case "O": return "Python objects (\(bare)), which would have to be executed,"
        case "V": return "raw bytes (\(bare)), as NumPy writes bf16 and other types of extensions,"
        default: return "element type \(bare)"
        }
    }
}
