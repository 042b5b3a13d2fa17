// Writing JSON: compact, or indented for people.

extension JSON {
    /// The value on one line.
    package var compact: String {
        var result = ""
        write(to: &result, indent: nil)
        return result
    }

    /// The value over several lines, two spaces to each level.
    package var indented: String {
        var result = ""
        write(to: &result, indent: 0)
        return result + "\n"
    }

    private func write(to result: inout String, indent: Int?) {
        switch self {
        case .null: result += "null"
        case .bool(let value): result += value ? "true" : "false"
        case .integer(let value): result += String(value)
        case .number(let value): result += value.isFinite ? "\(value)" : "null"
        case .string(let text): JSON.quote(text, &result)
        case .array(let elements):
            JSON.list(elements, "[", "]", &result, indent) { $0.write(to: &$1, indent: $2) }
        case .object(let members):
            JSON.list(members, "{", "}", &result, indent) { member, result, indent in
                JSON.quote(member.key, &result)
                result += indent == nil ? ":" : ": "
                member.value.write(to: &result, indent: indent)
            }
        }
    }

    private static func list<Element>(
        _ elements: [Element], _ opening: String, _ closing: String, _ result: inout String,
        _ indent: Int?, _ write: (Element, inout String, Int?) -> Void
    ) {
        result += opening
        let inner = indent.map { $0 + 1 }
        for (position, element) in elements.enumerated() {
            if position > 0 { result += "," }
            if let inner { result += "\n" + String(repeating: "  ", count: inner) }
            write(element, &result, inner)
        }
        if let indent, !elements.isEmpty {
            result += "\n" + String(repeating: "  ", count: indent)
        }
        result += closing
    }

    private static func quote(_ text: String, _ result: inout String) {
        result += "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20:
                let code = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - code.count) + code
            default: result.unicodeScalars.append(scalar)
            }
        }
        result += "\""
    }
}
