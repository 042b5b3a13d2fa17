// Gradients checked by central differences, and values compared within tolerances.

import USPBase
import USPTensor

/// Normal values from a stream of the given name.
package func randomTensor(
    _ shape: Shape, _ name: String, scale: Float = 1
) throws(USPError) -> Tensor {
    var stream = RandomStream(RandomKey(seed: 7).stream(name))
    let tensor = try Tensor(shape)
    for index in 0..<tensor.count { tensor.floats[index] = scale * stream.normal() }
    return tensor
}

/// The largest |a − b| over the largest |b|.
package func largestError(_ a: [Float], _ b: [Float]) -> Float {
    guard a.count == b.count else { return .infinity }
    var (error, size) = (Float(0), Float(1e-30))
    for (x, y) in zip(a, b) {
        error = max(error, abs(x - y).isNaN ? .infinity : abs(x - y))
        size = max(size, abs(y))
    }
    return error / size
}

/// Makes the tensors leaves with zeroed gradients.
package func makeLeaves(_ tensors: [Tensor]) throws(USPError) {
    for tensor in tensors { tensor.node.setLeaf(gradient: try Tensor.zeros(tensor.shape)) }
}

/// The largest relative error of the tape's gradients against central differences of
/// Σ output · cotangent, in f64, at up to `samples` elements of each input.
package func gradientError(
    _ inputs: [Tensor], step: Float = 1e-2, samples: Int = 24,
    _ body: (Context) throws(USPError) -> Tensor
) throws(USPError) -> Float {
    try makeLeaves(inputs)
    let tape = Tape()
    let output = try body(Context(tape: tape))
    let cotangent = try randomTensor(output.shape, "cotangent")
    try tape.backward(from: output, gradient: cotangent)
    func value() throws(USPError) -> Double {
        let y = try body(Context()).values
        return zip(y, cotangent.values).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
    }
    var worst: Float = 0
    for input in inputs {
        guard let gradient = input.node.gradient?.values else { return .infinity }
        var (found, expected): ([Float], [Float]) = ([], [])
        for index in stride(from: 0, to: input.count, by: max(1, input.count / samples)) {
            let kept = input.floats[index]
            input.floats[index] = kept + step
            input.node.packed.invalidate()
            let above = try value()
            input.floats[index] = kept - step
            input.node.packed.invalidate()
            let below = try value()
            input.floats[index] = kept
            input.node.packed.invalidate()
            expected.append(Float((above - below) / Double(2 * step)))
            found.append(gradient[index])
        }
        worst = max(worst, largestError(found, expected))
    }
    return worst
}
