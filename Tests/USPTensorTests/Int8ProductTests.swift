// Products of 8-bit integers on every instruction set, against sums of 32-bit integers: bit for bit.

import CKernels
import TestSupport
import Testing
import USPBase
import USPTensor

/// Rows of floats as the kernels are to make integers of them.
private struct QuantizedRows {
    var integers: [Int32] = []
    var scales: [Float] = []
    let length: Int

    init(_ values: [Float], rows: Int) {
        length = values.count / max(rows, 1)
        for row in 0..<rows {
            let row = values[row * length..<(row + 1) * length]
            let most = row.map(abs).max() ?? 0
            let forth = most < 0x1p-100 ? 0 : 127 / most
            integers += row.map { Int32(($0 * forth).rounded(.toNearestOrEven)) }
            scales.append(forth == 0 ? 0 : most / 127)
        }
    }

    /// The product of row i and another matrix's row j.
    func product(_ i: Int, _ other: QuantizedRows, _ j: Int) -> Float {
        var sum: Int32 = 0
        for p in 0..<length { sum += integers[i * length + p] * other.integers[j * length + p] }
        return Float(sum) * (scales[i] * other.scales[j])
    }
}

/// Runs a body on every instruction set that there is, with and without VNNI.
private func onEveryInstructionSet(_ body: (String) throws -> Void) rethrows {
    try alone {
        defer { uspi_set_vnni(1) }
        for level in 0...uspi_isa() {
            useInstructions(level)
            for vnni: Int32 in uspi_vnni() == 0 ? [0] : [0, 1] {
                uspi_set_vnni(vnni)
                try body("level \(level), vnni \(vnni)")
            }
            uspi_set_vnni(1)
        }
    }
}

private let layers = [
    (rows: 1, inputs: 1, outputs: 1), (29, 100, 70), (57, 519, 45), (13, 1300, 33), (200, 65, 40),
    (15, 31, 96), (8, 2500, 130), (530, 66, 17), (3, 4, 64),
]

@Suite(.serialized) struct Int8ProductTests {
    /// Zeros, and numbers of all magnitudes: integers come from -127 to 127.
    private func numbers(_ shape: Shape, seed: UInt64) throws -> Tensor {
        let result = try normalTensor(shape, seed: seed)
        for i in stride(from: 0, to: result.count, by: 7) { result.floats[i] *= 3 }
        for i in stride(from: 3, to: result.count, by: 31) { result.floats[i] = 0 }
        return result
    }

    @Test(arguments: layers.indices) func sumsAreExact(_ index: Int) throws {
        let (rows, inputs, outputs) = layers[index]
        let x = try numbers([rows, inputs], seed: 1)
        let weight = try numbers([outputs, inputs], seed: 2)
        let bias = try numbers([outputs], seed: 3)
        let residual = try numbers([rows, outputs], seed: 4)
        let (left, right) = (
            QuantizedRows(x.values, rows: rows), QuantizedRows(weight.values, rows: outputs)
        )
        var (plain, ended) = ([Float](), [Float]())
        for i in 0..<rows {
            for j in 0..<outputs {
                let value = left.product(i, right, j)
                plain.append(value)
                ended.append(value + bias.floats[j] + residual.floats[i * outputs + j])
            }
        }
        try onEveryInstructionSet { name in
            weight.node.packed.invalidate()
            let context = Context(compute: .int8)
            let product = try context.linear(x, weight).values
            #expect(product == plain, "\(name)")
            let y = try context.linear(x, weight, bias, LinearOptions(residual: residual))
            #expect(y.values == ended, "\(name)")
        }
    }

    /// Rows of bf16 have the same integers as the same numbers in f32.
    @Test func rowsMayBeBFloat16() throws {
        let x = try numbers([37, 77], seed: 5)
        for i in 0..<x.count {
            x.floats[i] = Float(bitPattern: x.floats[i].bitPattern & 0xffff_0000)
        }
        let half = try Tensor(x.shape, .bfloat16)
        let words = half.raw.assumingMemoryBound(to: UInt16.self)
        for i in 0..<x.count { words[i] = UInt16(x.floats[i].bitPattern >> 16) }
        let weight = try numbers([40, 77], seed: 6)
        try onEveryInstructionSet { name in
            weight.node.packed.invalidate()
            let context = Context(compute: .int8)
            let (ofHalf, ofFloats) = (
                try context.linear(half, weight).values, try context.linear(x, weight).values
            )
            #expect(ofHalf == ofFloats, "\(name)")
        }
    }

    /// A gated unit's halves are packed side by side.
    @Test func gatedUnitsAgree() throws {
        let (rows, inputs, hidden) = (21, 50, 45)
        let x = try numbers([rows, inputs], seed: 7)
        let weight = try numbers([2 * hidden, inputs], seed: 8)
        let (left, right) = (
            QuantizedRows(x.values, rows: rows), QuantizedRows(weight.values, rows: 2 * hidden)
        )
        try onEveryInstructionSet { name in
            weight.node.packed.invalidate()
            let y = try Context(compute: .int8).linear(
                x, weight, nil, LinearOptions(activation: .relu, isGatedUnit: true))
            for i in 0..<rows {
                for j in 0..<hidden {
                    let expected =
                        max(left.product(i, right, j), 0) * left.product(i, right, hidden + j)
                    #expect(y.floats[i * hidden + j] == expected, "\(name) \(i) \(j)")
                }
            }
        }
    }

    /// A weight that is integers already keeps them, and needs no floats; -128 among them.
    @Test(arguments: [false, true]) func integersStayAsTheyAre(_ isGated: Bool) throws {
        let (rows, inputs, outputs) = (19, 45, 38)
        let x = try numbers([rows, inputs], seed: 9)
        var integers = (0..<outputs * inputs).map { Int8(truncatingIfNeeded: $0 * 37 % 251) }
        for row in 0..<outputs { integers[row * inputs + row] = -128 }
        let scales = (0..<outputs).map { 0.01 + Float($0) / 999 }
        let left = QuantizedRows(x.values, rows: rows)
        try integers.withUnsafeBufferPointer { integers in
            let values = try #require(integers.baseAddress)
            func sum(_ i: Int, _ j: Int) -> Float {
                var sum: Int32 = 0
                for p in 0..<inputs {
                    sum += left.integers[i * inputs + p] * Int32(values[j * inputs + p])
                }
                return Float(sum) * (left.scales[i] * scales[j])
            }
            try onEveryInstructionSet { name in
                var released = 0
                let source = IntegerRows(values: values, scales: scales, length: inputs) {
                    released += 1
                }
                let weight = Tensor(
                    [outputs, inputs], .float32, storage: try Storage(widening: source, owner: nil))
                let y = try Context(compute: .int8).linear(
                    x, weight, nil,
                    LinearOptions(activation: isGated ? .relu : .none, isGatedUnit: isGated))
                let width = isGated ? outputs / 2 : outputs
                for i in 0..<rows {
                    for j in 0..<width {
                        let expected =
                            isGated ? max(sum(i, j), 0) * sum(i, width + j) : sum(i, j)
                        #expect(y.floats[i * width + j] == expected, "\(name) \(i) \(j)")
                    }
                }
                #expect(released == 1)
                // Whoever asks for floats gets them.
                #expect(weight.floats[inputs + 1] == -128 * scales[1])
                #expect(weight.floats[inputs + 2] == Float(values[inputs + 2]) * scales[1])
            }
        }
    }

    /// What is not finite stays so; what is next to nothing is nothing.
    @Test func oddRowsStayOdd() throws {
        let x = try numbers([4, 40], seed: 10)
        x.floats[5] = .nan
        x.floats[40 + 39] = -.infinity
        for i in 80..<120 { x.floats[i] = 1e-38 }
        let weight = try numbers([33, 40], seed: 11)
        try onEveryInstructionSet { name in
            weight.node.packed.invalidate()
            let y = try Context(compute: .int8).linear(x, weight).values
            let isLost = y[..<66].allSatisfy { $0.isNaN }
            let isNothing = y[66..<99].allSatisfy { $0 == 0 }
            let isWhole = y[99...].allSatisfy { $0.isFinite && $0 != 0 }
            #expect(isLost && isNothing && isWhole, "\(name)")
        }
    }

    @Test func whatCannotBeIsRefused() throws {
        let weight = try numbers([2, 70_000], seed: 12)
        #expect(throws: USPError.self) {
            try Context(compute: .int8).linear(Tensor.zeros([1, 70_000]), weight)
        }
        let small = try numbers([2, 8], seed: 13)
        let error = #expect(throws: USPError.self) {
            try Context(tape: Tape(), compute: .int8).linear(Tensor.zeros([1, 8]), small)
        }
        #expect(error?.message.contains("int8 is for inference") == true)
    }
}
