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

/// Normal values, always the same for one name.
package func randomTensor(_ shape: Shape, _ name: String, scale: Float = 1) throws -> Tensor {
    try normalTensor(shape, seed: RandomKey(seed: 7).stream(name).stream, deviation: scale)
}

/// The largest error of the inputs' gradients against central differences of Σ output·weights
/// (weights reproducible normal values), relative to each gradient's largest value.
///
/// - step: of the differences; sums in f64, `operation` in f32, so expect about 1e-3
/// - samples: compared elements of each input, evenly spaced
package func gradientError(
    _ inputs: [Tensor], step: Float = 1e-2, samples: Int = 24,
    _ operation: ([Tensor], Context) throws(USPError) -> Tensor
) throws -> Double {
    let gradients = try inputs.map { try trainable($0) }
    let tape = Tape()
    let output = try operation(inputs, Context(tape: tape))
    let weights = try normalTensor(output.shape, seed: 99)
    try tape.backward(from: output, gradient: weights)
    func objective(_ input: Tensor, _ index: Int, _ value: Float) throws -> Double {
        input.floats[index] = value
        input.node.packed.invalidate()
        return zip(try operation(inputs, Context()).values, weights.values)
            .reduce(0) { $0 + Double($1.0) * Double($1.1) }
    }
    var worst = 0.0
    for (input, gradient) in zip(inputs, gradients) {
        var (found, expected): ([Float], [Float]) = ([], [])
        for index in stride(from: 0, to: input.count, by: max(1, input.count / samples)) {
            let kept = input.floats[index]
            let above = try objective(input, index, kept + step)
            let below = try objective(input, index, kept - step)
            _ = try objective(input, index, kept)
            expected.append(Float((above - below) / Double(2 * step)))
            found.append(gradient.floats[index])
        }
        worst = max(worst, relativeError(found, expected))
    }
    return worst
}
