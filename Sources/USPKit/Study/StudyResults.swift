// What a study measured: kept after every stage, so that an interrupted run goes on, and written
// as metrics.json.

import USPBase
import USPFiles

/// A curve over training steps.
struct Curve: Equatable {
    var steps: [Int] = []
    var values: [Double] = []

    mutating func append(_ step: Int, _ value: Double) {
        steps.append(step)
        values.append(value)
    }

    var points: [(x: Double, y: Double)] { zip(steps, values).map { (Double($0), $1) } }
}

/// Numbers and curves by dotted name, in the order in which they were measured.
struct StudyResults {
    private(set) var numbers: [(name: String, value: Double)] = []
    private(set) var curves: [(name: String, value: Curve)] = []
    private(set) var texts: [(name: String, value: String)] = []

    subscript(number name: String) -> Double? {
        get { numbers.first { $0.name == name }?.value }
        set { Self.put(newValue, name, in: &numbers) }
    }

    subscript(curve name: String) -> Curve? {
        get { curves.first { $0.name == name }?.value }
        set { Self.put(newValue, name, in: &curves) }
    }

    subscript(text name: String) -> String? {
        get { texts.first { $0.name == name }?.value }
        set { Self.put(newValue, name, in: &texts) }
    }

    /// In the place that the name has already, else at the end.
    private static func put<Value>(
        _ value: Value?, _ name: String, in list: inout [(name: String, value: Value)]
    ) {
        let place = list.firstIndex { $0.name == name }
        switch (place, value) {
        case (let place?, let value?): list[place].value = value
        case (let place?, nil): list.remove(at: place)
        case (nil, let value?): list.append((name, value))
        case (nil, nil): break
        }
    }

    /// Everything, for a later run.
    var saved: JSON {
        .object([
            JSON.Member(
                "numbers", .object(numbers.map { JSON.Member($0.name, .number($0.value)) })),
            JSON.Member(
                "curves",
                .object(
                    curves.map { named in
                        JSON.Member(
                            named.name,
                            .object([
                                JSON.Member(
                                    "steps", .array(named.value.steps.map { .integer($0) })),
                                JSON.Member(
                                    "values", .array(named.value.values.map { .number($0) })),
                            ]))
                    })),
            JSON.Member("texts", .object(texts.map { JSON.Member($0.name, .string($0.value)) })),
        ])
    }

    init() {}

    init(saved: JSON) {
        for member in saved["numbers"]?.members ?? [] {
            self[number: member.key] = member.value.number
        }
        for member in saved["texts"]?.members ?? [] { self[text: member.key] = member.value.text }
        for member in saved["curves"]?.members ?? [] {
            var curve = Curve()
            curve.steps = (member.value["steps"]?.elements ?? []).compactMap(\.integer)
            curve.values = (member.value["values"]?.elements ?? []).compactMap(\.number)
            self[curve: member.key] = curve
        }
    }

    /// metrics.json: dotted names become nested objects; the generation curves become lists.
    var metrics: JSON {
        var tree = MetricsTree()
        for (name, value) in texts
        where !name.hasPrefix("done.") && !name.hasPrefix("begun.") {
            // Its parts have their calls below the same name.
            tree.insert(name == "command" ? "command.study" : name, .string(value))
        }
        for (name, value) in numbers { tree.insert(name, .number(value)) }
        for (name, curve) in curves {
            tree.insert(name, .array(curve.values.map { .number($0) }))
            tree.insert(name + "_steps", .array(curve.steps.map { .integer($0) }))
        }
        if let usp = self[curve: "generation.usp_frechet"] {
            tree.insert("generation.steps", .array(usp.steps.map { .integer($0) }))
        }
        return tree.json
    }
}

/// Builds nested objects from dotted names.
private struct MetricsTree {
    private var order: [String] = []
    private var leaves: [String: JSON] = [:]
    private var branches: [String: MetricsTree] = [:]

    mutating func insert(_ name: String, _ value: JSON) {
        let parts = Self.split(name)
        guard let head = parts.first else { return }
        if !order.contains(head) { order.append(head) }
        if parts.count == 1 {
            leaves[head] = value
        } else {
            branches[head, default: MetricsTree()].insert(parts[1], value)
        }
    }

    /// The name before the first dot, and the rest. A dot between the digits of a number is none of
    /// those: `mask-ratio.0.75.frechet` is `mask-ratio`, `0.75`, `frechet`, but `rk4.8` is `rk4`, `8`.
    private static func split(_ name: String) -> [String] {
        let text = Array(name)
        for (place, letter) in text.enumerated() where letter == "." {
            var first = place
            while first > 0, text[first - 1].isNumber { first -= 1 }
            let isWhole = first < place && (first == 0 || !text[first - 1].isLetter)
            let goesOn = place + 1 < text.count && text[place + 1].isNumber
            if !isWhole || !goesOn {
                return [String(text[..<place]), String(text[(place + 1)...])]
            }
        }
        return [name]
    }

    var json: JSON {
        .object(order.map { JSON.Member($0, branches[$0]?.json ?? leaves[$0] ?? .null) })
    }
}

extension JSON {
    /// An integer or a number, as a number.
    var number: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }
}

extension StudyResults {
    /// The curves `PREFIX.0`, `PREFIX.1`, … that there are.
    func repetitions(_ prefix: String, _ count: Int) -> [Curve] {
        (0..<count).compactMap { self[curve: "\(prefix).\($0)"] }
    }

    /// The result in a few lines.
    var headline: String {
        let number = { (name: String) in self[number: name].map { decimal($0, 3) } ?? "–" }
        // With the range over several seeds.
        let ranged = { (name: String) in
            let (low, high) = (self[number: name + "_low"], self[number: name + "_high"])
            guard let low, let high, low < high else { return number(name) }
            return "\(number(name)) (\(decimal(low, 2)) to \(decimal(high, 2)) over seeds)"
        }
        var lines: [String] = []
        if self[curve: "generation.usp_frechet"] != nil {
            lines.append("generation speed-up   \(ranged("generation.speedup"))")
        }
        if self[curve: "autoregression.both_frechet"] != nil {
            lines.append(
                "MAR speed-up          \(ranged("autoregression.speedup_both")) from encoder and decoder, "
                    + "\(ranged("autoregression.speedup_encoder")) from the encoder")
        }
        for (title, usp, other) in [
            ("linear probe          ", "probe.usp_top1", "probe.random_top1"),
            ("few labels            ", "few_labels.usp_top1", "few_labels.scratch_top1"),
        ] where self[number: usp] != nil {
            lines.append("\(title)\(number(usp)) pretrained, \(number(other)) fresh")
        }
        return lines.joined(separator: "\n")
    }
}

extension Curve {
    /// At the steps of the first; those that others do not have are left out.
    static func mean(_ curves: [Curve]) -> Curve {
        var result = Curve()
        for step in curves.first?.steps ?? [] {
            let values = curves.compactMap { $0.value(at: step) }
            if values.count == curves.count {
                result.append(step, values.reduce(0, +) / Double(values.count))
            }
        }
        return result
    }

    func value(at step: Int) -> Double? { steps.firstIndex(of: step).map { values[$0] } }

    /// The part that a run restored at this step has seen.
    func upTo(_ step: Int) -> Curve {
        var result = Curve()
        for (at, value) in zip(steps, values) where at <= step { result.append(at, value) }
        return result
    }

    /// The step at which the curve first comes down to the value, interpolated between its points;
    /// nil if it never does.
    func step(reaching value: Double) -> Double? {
        var previous: (step: Double, value: Double)?
        for (step, present) in zip(steps, values) {
            if present <= value {
                guard let previous else { return Double(step) }
                let share = (previous.value - value) / (previous.value - present)
                return previous.step + share * (Double(step) - previous.step)
            }
            previous = (Double(step), present)
        }
        return nil
    }
}

/// How many times fewer steps `fast` took to reach the best value of `slow`, interpolated.
///
/// The steps at which `slow` reached its best value over those at which `fast` first reached that
/// value; nil if `fast` never did.
func speedup(fast: Curve, slow: Curve) -> Double? {
    guard let best = slow.values.min(), let at = slow.values.firstIndex(of: best),
        let reached = fast.step(reaching: best)
    else { return nil }
    return Double(slow.steps[at]) / reached
}
