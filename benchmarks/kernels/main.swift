// Prints the kernel-level table, one JSON object a line: errors of each operation, and its times.
//   usp-kernels [--quick] [PART ...]    only operations with one of these parts in their names

import TestSupport
import USPBase
import USPTensor

/// Repeats until a quarter of a second is filled, or runs once.
struct Timer {
    let quick: Bool

    /// Median seconds of a run; the first is not counted.
    func median(_ body: () throws -> Void) rethrows -> Double {
        let clock = ContinuousClock()
        var (runs, total) = ([Double](), 0.0)
        try body()
        repeat {
            let seconds = try clock.measure(body) / .seconds(1)
            runs.append(seconds)
            total += seconds
        } while !quick && (total < 0.25 || runs.count < 3) && runs.count < 1000
        return runs.sorted()[runs.count / 2]
    }
}

/// One line of the table; nil where there is nothing to tell.
struct Line {
    let operation: String
    let dtype: DType
    var error: Double?
    var gradientError: Double?
    var seconds: Double?
    /// Of a forward pass that records, and its gradient.
    var gradientSeconds: Double?
    var flops = 0.0
    var bytes = 0.0
    /// Work with the gradient, over the forward pass's.
    var gradientWork = 0.0

    var json: String {
        let numbers: [(String, Double?)] = [
            ("error", error), ("gradient_error", gradientError), ("seconds", seconds),
            ("gradient_seconds", gradientSeconds), ("flops", flops), ("bytes", bytes),
            ("gradient_work", gradientWork),
        ]
        let fields = numbers.map { "\"\($0.0)\": \($0.1.map { "\($0)" } ?? "null")" }
        let name = dtype == .bfloat16 ? "bf16" : "f32"
        return "{\"operation\": \"\(operation)\", \"dtype\": \"\(name)\", "
            + fields.joined(separator: ", ") + "}"
    }
}

/// The lines of one operation in one type.
func lines(_ operation: Operation, _ dtype: DType, _ timer: Timer) throws -> [Line] {
    let golden = try operation.errors(dtype)
    return try operation.sizes.map { size in
        var line = Line(operation: "\(operation.name), \(size.label)", dtype: dtype)
        (line.error, line.gradientError) = (golden.output, golden.gradient)
        if operation.name.hasSuffix("Winograd") {
            (line.error, line.gradientError) = try operation.differenceFromExact(size)
        }
        let halfWidth = dtype == .bfloat16 ? 0.75 : 1  // a f32 input, a bf16 result
        (line.flops, line.bytes) = (size.flops, size.bytes * halfWidth)
        line.gradientWork = 1 + operation.gradientWork
        try time(operation, size, dtype, timer, &line)
        return line
    }
}

func time(
    _ operation: Operation, _ size: Size, _ dtype: DType, _ timer: Timer, _ line: inout Line
) throws {
    let values = try operation.tensors(size, dtype)
    func call(_ tape: Tape?) -> Call {
        let context = Context(
            tape: tape, compute: dtype, exact: operation.exact)
        return Call(context: context, output: dtype, heads: operation.heads.sizes)
    }
    line.seconds = try timer.median { _ = try operation.run(values, call(nil)) }
    let gradients = try values.mapValues { try trainable($0) }
    let shape = try operation.run(values, call(nil)).shape
    let seed = try Tensor(shape, [Float](repeating: 1, count: shape.count))
    line.gradientSeconds = try timer.median {
        let tape = Tape()
        let y = try operation.run(values, call(tape))
        try tape.backward(from: y, gradient: seed)
    }
    _ = gradients  // kept until here: nodes write into them
}

let timer = Timer(quick: CommandLine.arguments.contains("--quick"))
let parts = CommandLine.arguments.dropFirst().filter { !$0.hasPrefix("--") }
for operation in operations()
where parts.isEmpty || parts.contains(where: operation.name.contains) {
    for dtype in operation.dtypes {
        for line in try lines(operation, dtype, timer) { print(line.json) }
    }
    MemoryPool.shared.trim()
}
if parts.isEmpty { print(try optimizerLine(timer).json) }
