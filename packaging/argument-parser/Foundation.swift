//===----------------------------------------------------------------------===//
//
// In place of the file of this name in Swift Argument Parser 1.8.2, whose licence this is under:
// Apache License v2.0 with Runtime Library Exception, https://swift.org/LICENSE.txt.
//
// The original takes two things from Foundation, which would be 7 of the tool's 19 megabytes:
// LocalizedError, which no error here conforms to, and JSONEncoder for --experimental-dump-help.
//
//===----------------------------------------------------------------------===//

extension Error {
  func describe() -> String {
    String(describing: self)
  }
}

enum JSONEncoder {
  /// What Foundation's encoder writes of the values that ToolInfo is made of, without line breaks.
  static func encode<T: Encodable>(_ value: T) -> String {
    text(of: value) ?? "null"
  }

  /// `nil` for an absent optional, whose key is left out.
  private static func text(of value: Any) -> String? {
    switch value {
    case let string as String: return quoted(string)
    case let boolean as Bool: return boolean ? "true" : "false"
    case let number as Int: return String(number)
    case let choice as any RawRepresentable: return text(of: choice.rawValue)
    case let pairs as [String: String]:
      return object(pairs.map { ($0.key, quoted($0.value)) })
    default: return text(reflecting: Mirror(reflecting: value), value)
    }
  }

  private static func text(reflecting mirror: Mirror, _ value: Any) -> String? {
    let children = Array(mirror.children)
    switch mirror.displayStyle {
    case .optional: return children.first.flatMap { text(of: $0.value) }
    case .collection:
      return "[" + children.map { text(of: $0.value) ?? "null" }.joined(separator: ",") + "]"
    case .enum where children.isEmpty: return object([("\(value)", "{}")])
    default:
      return object(children.compactMap { child in text(of: child.value).map { (child.label ?? "_0", $0) } })
    }
  }

  private static func object(_ pairs: [(key: String, text: String)]) -> String {
    let members = pairs.sorted { $0.key < $1.key }.map { quoted($0.key) + ":" + $0.text }
    return "{" + members.joined(separator: ",") + "}"
  }

  private static func quoted(_ string: String) -> String {
    var text = "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case _ where scalar.value < 0x20:
        text += "\\u" + String(scalar.value + 0x10000, radix: 16).dropFirst()
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text + "\""
  }
}
