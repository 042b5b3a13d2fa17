// Gradients of operations with many inputs checked at some of their elements.

import USPBase
import USPTensor

/// Normal values, always the same for one name.
package func randomTensor(_ shape: Shape, _ name: String, scale: Float = 1) throws -> Tensor {
    try normalTensor(shape, seed: RandomKey(seed: 7).stream(name).stream, deviation: scale)
}

/// As `gradientError`, at up to `samples` evenly spaced elements of each input.
package func sampledGradientError(
    _ inputs: [Tensor], step: Float = 1e-2, samples: Int = 24,
    _ body: (Context) throws(USPError) -> Tensor
) throws -> Double {
    let gradients = try inputs.map { try trainable($0) }
    let tape = Tape()
    let output = try body(Context(tape: tape))
    let cotangent = try normalTensor(output.shape, seed: 99)
    try tape.backward(from: output, gradient: cotangent)
    func objective(_ input: Tensor, _ index: Int, _ value: Float) throws -> Double {
        input.floats[index] = value
        input.node.packed.invalidate()
        return zip(try body(Context()).values, cotangent.values)
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
