// Tables of fields: texts in and out, ranges, parts, and every message.

import Testing
import USPBase

private struct Sample: Described {
    enum Rule: String, CaseIterable { case fresh, copy }
    var width = 384
    var heads: Int?
    var rate: Float = 0.3
    var grid = Grid(16, 16)
    var rule = Rule.fresh
    var levels = [1, 2, 4]
    var noised = false
    var seed: UInt64 = 0
    var name: String?

    static let title = "sample"
    static let fields: [Field<Sample>] = [
        .integer("width", \.width, .size, "Width of a token."),
        .integer("heads", \.heads, .size, "Attention heads; absent: by the width."),
        .real("rate", \.rate, .notNegative, "Learning rate.", in: ["MAE"]),
        .grid("grid", \.grid, "Rows and columns of tokens."),
        .choice("rule", \.rule, "How it starts."),
        .integers("levels", \.levels, .size, "Channels of each level."),
        .flag("noised", \.noised, "Noise on the input.", in: ["MAE", "ViT"]),
        .seed("seed", \.seed, "Of everything that is drawn."),
        .text("name", \.name, "What it is called."),
    ]
}

@Suite struct FieldTests {
    @Test func textsComeBack() throws {
        var sample = Sample()
        #expect(sample.text() == "")
        (sample.width, sample.heads, sample.rate, sample.grid) = (32, 2, 0, Grid(3, 5))
        (sample.rule, sample.levels, sample.noised) = (.copy, [1], true)
        (sample.seed, sample.name) = (.max, "two words")
        let text = sample.text()
        #expect(
            text == "width=32 heads=2 rate=0 grid=3x5 rule=copy levels=1 noised=yes "
                + "seed=18446744073709551615 name=\"two words\"")
        #expect(try Sample(text: text).text() == text)
        #expect(try Sample(text: " grid=7\n heads=none ").grid == Grid(7, 7))
    }

    @Test func aTrueZeroIsAValue() throws {
        #expect(try Sample(text: "rate=0").rate == 0)
        #expect(try Sample(text: "rate=0.1").rate == 0.1)
    }

    @Test(arguments: [
        ("widht=3", "unknown sample option \"widht\"", "did you mean \"width\"?"),
        ("width=0", "width: 0", "expected a whole number of 1 to 65536"),
        ("width=1e3", "width: 1e3", "expected a whole number of 1 to 65536"),
        ("width=99999999999999999999", "width: 9999", "whole number"),
        ("rate=-1", "rate: -1", "expected a number of 0 or more"),
        ("rate=nan", "rate: nan", "0 or more"),
        ("rate=inf", "rate: inf", "0 or more"),
        ("rule=copie", "unknown rule \"copie\"", "did you mean \"copy\"?"),
        ("grid=3x", "grid: 3x", "such as 16x16"), ("grid=0", "grid: 0x0", "such as 16x16"),
        ("grid=1x2x3", "grid: 1x2x3", "such as 16x16"),
        ("levels=1,,2", "levels: 1,,2", "such as 1,2,4"),
        ("noised=maybe", "noised: maybe", "yes or no"), ("seed=-1", "seed: -1", "0 or more"),
        ("width", "sample: \"width\"", "name=value"), ("=3", "sample: \"=3\"", "name=value"),
        ("width=3 width=4", "sample: width", "said twice"),
        ("name=\"open", "name", "not closed"),
    ])
    func badTextsAreTold(text: String, what: String, expected: String) {
        let error = #expect(throws: USPError.self) { try Sample(text: text) }
        let message = error?.message ?? ""
        #expect(error?.kind == .argument && message.contains(what) && message.contains(expected))
    }

    @Test func partsAreTold() throws {
        var sample = Sample()
        try sample.checkParts(in: "VAE")
        sample.noised = true
        try sample.checkParts(in: "ViT")
        let error = #expect(throws: USPError.self) { try sample.checkParts(in: "VAE") }
        #expect(error?.message == "noised: has no part in a VAE, only in MAE, ViT")
        sample.width = -1
        let range = #expect(throws: USPError.self) { try sample.checkFields() }
        #expect(range?.message == "width: -1, expected a whole number of 1 to 65536")
    }
}
