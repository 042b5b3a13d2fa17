// Group normalisation against its definition in f64, and its gradients against central differences.

import TestSupport
import Testing
import USPBase
import USPTensor

/// The definition, in f64.
private func reference(
    _ x: Tensor, _ weight: Tensor, _ bias: Tensor, groups: Int, silu: Bool
) -> [Float] {
    let (batch, pixels, channels) = (x.shape[0], x.shape[1] * x.shape[2], x.shape[3])
    let width = channels / groups
    var y = x.values
    for b in 0..<batch {
        for g in 0..<groups {
            let indices = (0..<pixels).flatMap { p in
                (0..<width).map { (b * pixels + p) * channels + g * width + $0 }
            }
            let values = indices.map { Double(y[$0]) }
            let mean = values.reduce(0, +) / Double(values.count)
            let variance =
                values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)
            for (index, value) in zip(indices, values) {
                let c = index % channels
                let z =
                    (value - mean) / (variance + 1e-6).squareRoot() * Double(weight.values[c])
                    + Double(bias.values[c])
                y[index] = Float(silu ? z / (1 + exponential(-z)) : z)
            }
        }
    }
    return y
}

/// exp by its series, on halved arguments.
private func exponential(_ x: Double) -> Double {
    let small = x / 1024
    var (sum, term) = (1.0, 1.0)
    for n in 1...12 {
        term *= small / Double(n)
        sum += term
    }
    for _ in 0..<10 { sum *= sum }
    return sum
}

@Test(arguments: [(1, 1, 4, 2), (5, 7, 12, 3), (16, 13, 64, 32), (23, 11, 33, 11)], [false, true])
func groupNormFollowsItsDefinition(_ sizes: (Int, Int, Int, Int), silu: Bool) throws {
    let (height, width, channels, groups) = sizes
    let x = try randomTensor([2, height, width, channels], "x", scale: 3)
    for index in 0..<x.count { x.floats[index] += 40 }
    let weight = try randomTensor([channels], "w")
    let bias = try randomTensor([channels], "b")
    let expected = reference(x, weight, bias, groups: groups, silu: silu)
    let activation: Activation = silu ? .silu : .none
    let y = try Context().groupNorm(
        x, weight: weight, bias: bias, groups: groups, epsilon: 1e-6, activation: activation)
    #expect(relativeError(y.values, expected) < 3e-5)
    let half = try Context().groupNorm(
        x, weight: weight, bias: bias, groups: groups, epsilon: 1e-6, activation: activation,
        output: .bfloat16)
    #expect(relativeError(half.values, expected) < 5e-3)
}

@Test(arguments: [(1, 2, 4, 2), (5, 7, 12, 3), (19, 18, 16, 4)], [false, true])
func groupNormGradientsFollowDifferences(_ sizes: (Int, Int, Int, Int), silu: Bool) throws {
    let (height, width, channels, groups) = sizes
    let x = try randomTensor([2, height, width, channels], "x", scale: 2)
    let weight = try randomTensor([channels], "w")
    let bias = try randomTensor([channels], "b")
    let error = try gradientError([x, weight, bias], step: 0.02) {
        _, context throws(USPError) in
        let y = try context.groupNorm(
            x, weight: weight, bias: bias, groups: groups, epsilon: 1e-6,
            activation: silu ? .silu : .none)
        return try context.add(y, x)
    }
    #expect(error < 2e-3)
}
