// Runs one operation on a golden case and tells its errors.

import USPBase
import USPTensor

/// Errors (largest difference over largest reference) of an operation on a golden case.
package struct GoldenErrors {
    package var output: Double
    /// By input name.
    package var gradients: [String: Double]
    package var worstGradient: Double { gradients.values.max() ?? 0 }
}

/// Runs `operation` on the named float inputs of a case, forward and backward.
///
/// - ignoring: inputs that take no gradient in this library
package func goldenErrors(
    _ name: String, inputs: [String], ignoring: Set<String> = [], compute: DType = .float32,
    _ operation: ([String: Tensor], GoldenCase, Context) throws -> Tensor
) throws -> GoldenErrors {
    let golden = try GoldenCase(name)
    let tape = Tape()
    var values: [String: Tensor] = [:]
    var gradients: [String: Tensor] = [:]
    for input in inputs {
        let tensor = try golden.tensor("in.\(input)")
        if !ignoring.contains(input) { gradients[input] = try trainable(tensor) }
        values[input] = tensor
    }
    let y = try operation(values, golden, Context(tape: tape, compute: compute))
    let seed = golden.floats["grad_out.y"] == nil ? nil : try golden.tensor("grad_out.y")
    try tape.backward(from: y, gradient: seed)
    var errors = GoldenErrors(output: relativeError(y, try golden.values("out.y")), gradients: [:])
    for (input, gradient) in gradients {
        errors.gradients[input] = relativeError(gradient, try golden.values("grad_in.\(input)"))
    }
    return errors
}
