// JSON as RFC 8259 has it, and nothing else.

import Testing
import USPBase
import USPFiles

@Test func jsonValues() throws {
    let text =
        #"{"a": [1, -2.5e3, true, false, null], "#
        + #""b\n\u00e9\ud83d\ude00": {"c": "\"\\/"}, "n": 9223372036854775808}"#
    let json = try JSON(parsing: text)
    #expect(json["a"]?.elements == [.integer(1), .number(-2500), .bool(true), .bool(false), .null])
    #expect(json["b\n\u{e9}\u{1F600}"]?["c"]?.text == "\"\\/")
    #expect(json["n"] == .number(0x1p63))
    #expect(try JSON(parsing: json.compact) == json)
    #expect(try JSON(parsing: json.indented) == json)
}

@Test(
    arguments: [
        "", "{", "[1,]", "{\"a\":1,}", "01", "1.", ".5", "1e", "+1", "nul", "\"\u{1}\"", "\"\\x\"",
        "\"\\ud800\"", "{\"a\":1 \"b\":2}", "[1] 2", "{\"a\":1,\"a\":2}", "'a'", "NaN", "-",
        "\"abc", String(repeating: "[", count: 100_000),
    ])
func jsonRefuses(_ text: String) {
    #expect(throws: USPError.self) { try JSON(parsing: text) }
}
