// What the demo measured: kept after every stage, so that an interrupted run goes on, and written
// as metrics.json.

import USPBase
import USPFiles

/// A curve over training steps.
struct Curve: Sendable, Equatable {
    var steps: [Int] = []
    var values: [Double] = []

    mutating func append(_ step: Int, _ value: Double) {
        steps.append(step)
        values.append(value)
    }

    var points: [(x: Double, y: Double)] { zip(steps, values).map { (Double($0), $1) } }
}

/// Numbers and curves by dotted name, in the order in which they were measured.
struct DemoResults: Sendable {
    private(set) var numbers: [(name: String, value: Double)] = []
    private(set) var curves: [(name: String, curve: Curve)] = []
    private(set) var texts: [(name: String, value: String)] = []

    subscript(number name: String) -> Double? {
        get { numbers.first { $0.name == name }?.value }
        set {
            numbers.removeAll { $0.name == name }
            if let newValue { numbers.append((name, newValue)) }
        }
    }

    subscript(curve name: String) -> Curve? {
        get { curves.first { $0.name == name }?.curve }
        set {
            curves.removeAll { $0.name == name }
            if let newValue { curves.append((name, newValue)) }
        }
    }

    subscript(text name: String) -> String? {
        get { texts.first { $0.name == name }?.value }
        set {
            texts.removeAll { $0.name == name }
            if let newValue { texts.append((name, newValue)) }
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
                                    "steps", .array(named.curve.steps.map { .integer($0) })),
                                JSON.Member(
                                    "values", .array(named.curve.values.map { .number($0) })),
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
        for (name, value) in texts where !name.hasPrefix("done.") {
            tree.insert(name, .string(value))
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
        let parts = name.split(separator: ".", maxSplits: 1).map(String.init)
        guard let head = parts.first else { return }
        if !order.contains(head) { order.append(head) }
        if parts.count == 1 {
            leaves[head] = value
        } else {
            branches[head, default: MetricsTree()].insert(parts[1], value)
        }
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

extension Curve {
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
