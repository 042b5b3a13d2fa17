// Layers of few rows that are computed beside another product.

import CKernels
import TestSupport
import Testing
import USPBase
import USPTensor

/// The product that is taken, and the layer beside it.
private struct BesideCase: CustomTestStringConvertible {
    var rows = 200
    var inputs = 256
    var outputs = 128
    var few = 1
    var fewInputs = 96
    var fewOutputs = 1000

    var testDescription: String {
        "[\(rows), \(inputs)] -> \(outputs) beside [\(few), \(fewInputs)] -> \(fewOutputs)"
    }
}

private let besideCases: [BesideCase] = [
    BesideCase(),
    BesideCase(rows: 1, few: 4),
    BesideCase(rows: 20, outputs: 640, few: 3, fewOutputs: 32),
    BesideCase(rows: 700, inputs: 300, outputs: 320, few: 2, fewInputs: 301, fewOutputs: 2056),
    BesideCase(rows: 600, inputs: 2400, outputs: 192, fewOutputs: 15),
]

@Test(arguments: besideCases, [DType.float32, .bfloat16])
private func whatIsBesideHasTheBitsOfALayer(_ test: BesideCase, _ compute: DType) throws {
    try alone {
        let best = uspi_isa()
        let x = try normalTensor([1, test.rows, test.inputs], seed: 1)
        let weight = try normalTensor([test.outputs, test.inputs], seed: 2)
        let few = try normalTensor([test.few, test.fewInputs], seed: 3)
        let other = try normalTensor([test.fewOutputs, test.fewInputs], seed: 4)
        let bias = try normalTensor([test.fewOutputs], seed: 5)
        for level in 0...best {
            useInstructions(level)
            weight.node.packed.invalidate()
            other.node.packed.invalidate()
            let context = Context(compute: compute)
            let alone = try context.linear(x, weight).values
            let expected = try context.linear(few, other, bias).values
            for count in [1, 2, 3] {
                useThreads(count)
                let beside = try #require(try context.linearBeside(few, other, bias))
                beside.result.fillWithZeros()
                #expect(!beside.isDone)
                let main = try context.linear(x, weight, nil, LinearOptions(beside: beside))
                #expect(beside.isDone)
                #expect(main.values == alone, "level \(level), \(count) threads: the product")
                #expect(beside.result.values == expected, "level \(level), \(count) threads")
            }
        }
    }
}

@Test private func whatCannotBeBesideIsLeftToTheLayer() throws {
    let many = try normalTensor([Int(uspi_most_beside()) + 1, 8], seed: 1)
    let few = try normalTensor([2, 8], seed: 2)
    let weight = try normalTensor([40, 8], seed: 3)
    #expect(try Context().linearBeside(many, weight, nil) == nil)
    #expect(try Context(tape: Tape()).linearBeside(few, weight, nil) == nil)
    // No product is taken for no rows: nothing is beside it.
    let beside = try #require(try Context().linearBeside(few, weight, nil))
    _ = try Context().linear(
        try Tensor([0, 16]), try normalTensor([8, 16], seed: 4), nil, LinearOptions(beside: beside))
    #expect(!beside.isDone)
    #expect(throws: USPError.self) {
        try Context().linearBeside(few, try Tensor.zeros([40, 9]), nil)
    }
}

@Test private func aSumOfNothingIsTheBias() throws {
    let bias = try Tensor([3], [1, 2, 3])
    for rows in [1, 40] {
        let y = try Context().linear(try Tensor([rows, 0]), try Tensor([3, 0]), bias)
        #expect(y.values == (0..<rows).flatMap { _ in bias.values })
    }
}
