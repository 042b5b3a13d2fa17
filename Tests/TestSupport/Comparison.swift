// How far two results are apart, and gradients by central differences.

import USPBase
import USPTensor

/// Largest absolute difference over largest absolute reference; infinite when counts differ or a
/// value is not finite.
package func relativeError(_ actual: [Float], _ expected: [Float]) -> Double {
    guard actual.count == expected.count else { return .infinity }
    var (difference, largest) = (0.0, 0.0)
    for (a, b) in zip(actual, expected) {
        guard a.isFinite else { return .infinity }
        difference = max(difference, abs(Double(a) - Double(b)))
        largest = max(largest, abs(Double(b)))
    }
    return difference == 0 ? 0 : difference / max(largest, .leastNormalMagnitude)
}

package func relativeError(_ actual: Tensor, _ expected: [Float]) -> Double {
    relativeError(actual.values, expected)
}

/// A tensor of reproducible normal values.
package func normalTensor(_ shape: Shape, seed: UInt64, deviation: Float = 1) throws -> Tensor {
    var stream = RandomStream(RandomKey(seed: seed))
    return try Tensor(shape, (0..<shape.count).map { _ in deviation * stream.normal() })
}

/// Makes a value a leaf whose gradient is kept: returns where.
package func trainable(_ tensor: Tensor) throws -> Tensor {
    let gradient = try Tensor.zeros(tensor.shape)
    tensor.node.setLeaf(gradient: gradient)
    return gradient
}

/// The largest error of the inputs' gradients against central differences of Σ output·weights
/// (weights reproducible normal values), relative to each gradient's largest value.
///
/// - step: of the differences; sums in f64, `operation` in f32, so expect about 1e-3
package func gradientError(
    _ inputs: [Tensor], step: Float = 1e-2,
    _ operation: ([Tensor], Context) throws(USPError) -> Tensor
) throws -> Double {
    let tape = Tape()
    let gradients = try inputs.map { try trainable($0) }
    let output = try operation(inputs, Context(tape: tape))
    let weights = try normalTensor(output.shape, seed: 99)
    try tape.backward(from: output, gradient: weights)
    func objective() throws -> Double {
        zip(try operation(inputs, Context()).values, weights.values)
            .reduce(0) { $0 + Double($1.0) * Double($1.1) }
    }
    var worst = 0.0
    for (input, gradient) in zip(inputs, gradients) {
        var expected: [Float] = []
        for i in 0..<input.count {
            let kept = input.floats[i]
            input.floats[i] = kept + step
            input.node.packed.invalidate()
            let above = try objective()
            input.floats[i] = kept - step
            input.node.packed.invalidate()
            let below = try objective()
            input.floats[i] = kept
            expected.append(Float((above - below) / Double(2 * step)))
        }
        input.node.packed.invalidate()
        worst = max(worst, relativeError(gradient, expected))
    }
    return worst
}
