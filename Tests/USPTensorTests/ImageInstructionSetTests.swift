// Convolutions and group norms on every instruction set that the processor has.

import CKernels
import TestSupport
import Testing
import USPBase
import USPTensor

@Test(arguments: [DType.float32, .bfloat16])
func imageOperationsAgreeOnAllInstructionSets(_ compute: DType) throws {
    try alone {
        let best = uspi_isa()
        let expected = try step(compute)
        for level in 0..<best {
            useInstructions(level)
            for (mine, theirs) in zip(try step(compute), expected) {
                #expect(relativeError(mine, theirs) < (compute == .float32 ? 2e-5 : 2e-2))
            }
        }
    }
}

/// Results and gradients of a norm and convolutions by both methods, on sizes with tails.
private func step(_ compute: DType) throws -> [[Float]] {
    let x = try randomTensor([2, 9, 14, 32], "x")
    let weights = try [
        randomTensor([48, 32, 3, 3], "a", scale: 0.1),
        randomTensor([48, 48, 3, 3], "b", scale: 0.1),
        randomTensor([35, 48, 3, 3], "c", scale: 0.1),
    ]
    let (gamma, beta) = (try randomTensor([48], "g"), try randomTensor([48], "h"))
    let leaves = [x, gamma, beta] + weights
    let gradients = try leaves.map { try trainable($0) }
    let norm = ImageNorm(weight: gamma, bias: beta, groups: 8, epsilon: 1e-6, activation: .silu)
    let tape = Tape()
    let context = Context(tape: tape, compute: compute)
    let first = try context.convolution(x, weight: weights[0], padding: Padding(1))
    let second = try context.convolution(
        first, after: norm, weight: weights[1], padding: Padding(1), residual: first)
    let normed = try context.groupNorm(
        second, weight: gamma, bias: beta, groups: 6, epsilon: 1e-6, output: compute)
    let y = try Context(tape: tape, compute: compute, exact: true)
        .convolution(normed, weight: weights[2], stride: 2, padding: Padding(1))
    try tape.backward(from: y, gradient: randomTensor(y.shape, "cotangent"))
    return [y.values] + gradients.map(\.values)
}
