// The product kernels on every instruction set, against sums in double precision.

import CKernels
import TestSupport
import Testing
import USPBase

/// One product: sizes, and how its operands lie in memory.
private struct ProductCase: CustomTestStringConvertible {
    var m, n, k: Int
    /// Elements between rows and between columns; 0 means the other extent.
    var transposedA = false, transposedB = false
    var compute = USPI_F32
    var activation = USPI_ACT_NONE
    var hasEnds = false

    var testDescription: String {
        "\(m)x\(n)x\(k) \(transposedA ? "At" : "A") \(transposedB ? "Bt" : "B") "
            + "\(compute.rawValue) \(activation.rawValue) \(hasEnds)"
    }
}

private let productCases: [ProductCase] = [
    ProductCase(m: 1, n: 1, k: 1),
    ProductCase(m: 29, n: 70, k: 100, transposedB: true, hasEnds: true),
    ProductCase(
        m: 57, n: 45, k: 519, transposedA: true, activation: USPI_ACT_GELU_ERF, hasEnds: true),
    ProductCase(m: 13, n: 33, k: 1300, activation: USPI_ACT_SILU),
    ProductCase(m: 200, n: 40, k: 65, transposedA: true, transposedB: true, compute: USPI_BF16),
    ProductCase(
        m: 15, n: 96, k: 31, compute: USPI_BF16, activation: USPI_ACT_GELU_TANH, hasEnds: true),
    ProductCase(m: 8, n: 130, k: 2500, transposedB: true, compute: USPI_BF16),
]

@Test(arguments: productCases)
private func productsAgreeWithDoublePrecision(_ test: ProductCase) {
    alone {
        let best = uspi_isa()
        let operands = ProductOperands(test)
        let expected = operands.expected
        for level in 0...best {
            useInstructions(level)
            let whole = operands.run(splits: false)
            #expect(operands.run(splits: true) == whole, "level \(level): bits depend on the split")
            for (mine, theirs) in zip(whole, expected) {
                #expect(abs(Double(mine) - theirs.value) <= 1e-6 * (1 + theirs.magnitude))
            }
        }
    }
}

@Test(arguments: [USPI_ACT_GELU_ERF, USPI_ACT_GELU_TANH, USPI_ACT_SILU])
private func activationsAgreeWithDoublePrecision(_ activation: uspi_activation) {
    alone {
        let best = uspi_isa()
        let x = (0..<4001).map { Float($0 - 2000) * 0.006 }
        let ones = [Float](repeating: 1, count: x.count)
        var (y, slope) = (ones, ones)
        for level in 0...best {
            useInstructions(level)
            uspi_activation_forward(Int32(activation.rawValue), x, &y, Int64(x.count))
            uspi_activation_backward(Int32(activation.rawValue), x, ones, &slope, Int64(x.count))
            for (index, x) in x.map(Double.init).enumerated() {
                let h = 1e-5
                let exact = activated(activation, x)
                let change = activated(activation, x + h) - activated(activation, x - h)
                #expect(abs(Double(y[index]) - exact) <= 2.5e-7 * max(abs(x), 1e-3))
                #expect(abs(Double(slope[index]) - change / (2 * h)) <= 1e-6)
            }
        }
    }
}

@Test(arguments: [
    USPI_ACT_GELU_ERF, USPI_ACT_GELU_TANH, USPI_ACT_SILU, USPI_ACT_RELU, USPI_ACT_GELU_QUICK,
])
private func activationsInBFloat16AreHardlyMoreThanRounded(_ activation: uspi_activation) {
    alone {
        let best = uspi_isa()
        var x = (0..<4001).map { UInt16(truncatingIfNeeded: $0 % 2 << 15 + 0x3a00 + $0 / 2) }
        var (y, exactX, got) = (x, [Float](repeating: 0, count: x.count), [Float]())
        uspi_f32_from_bf16(&x, &exactX, Int64(x.count))
        got = exactX
        for level in 0...best {
            useInstructions(level)
            uspi_activation_forward_bf16(Int32(activation.rawValue), x, &y, Int64(x.count))
            uspi_f32_from_bf16(&y, &got, Int64(x.count))
            for (x, y) in zip(exactX, got) where abs(x) < 100 {
                let exact = activated(activation, Double(x))
                let small = activation == USPI_ACT_GELU_ERF ? 2e-5 : 1e-30
                #expect(abs(Double(y) - exact) <= abs(exact) * 1.07 / 256 + small, "\(level) \(x)")
            }
        }
    }
}

/// The arrays of one product, and what it should give.
private struct ProductOperands {
    let test: ProductCase
    var a: [Float], b: [Float], bias: [Float], gate: [Float], residual: [Float]

    init(_ test: ProductCase) {
        var random = SplitNumbers(seed: UInt64(test.m * 1000 + test.n))
        self.test = test
        a = random.floats(test.m * test.k)
        b = random.floats(test.k * test.n)
        bias = random.floats(test.n)
        gate = random.floats((test.m / 3 + 1) * test.n)
        residual = random.floats(test.m * test.n)
        if test.compute == USPI_BF16 {
            // the kernels round factors; these are already rounded
            a = a.map(roundedToBFloat16)
            b = b.map(roundedToBFloat16)
        }
    }

    var strideA: (row: Int, column: Int) { test.transposedA ? (1, test.m) : (test.k, 1) }
    var strideB: (row: Int, column: Int) { test.transposedB ? (1, test.k) : (test.n, 1) }

    /// Each element, and the sum of magnitudes that its rounding is measured by.
    var expected: [(value: Double, magnitude: Double)] {
        (0..<test.m * test.n).map { index in
            let (i, j) = index.quotientAndRemainder(dividingBy: test.n)
            var (sum, magnitude) = (0.0, 0.0)
            for p in 0..<test.k {
                let product =
                    Double(a[i * strideA.row + p * strideA.column])
                    * Double(b[p * strideB.row + j * strideB.column])
                sum += product
                magnitude += abs(product)
            }
            var value = activated(
                test.activation, test.hasEnds ? sum * 0.25 + Double(bias[j]) : sum)
            if test.hasEnds {
                value = value * Double(gate[i / 3 * test.n + j]) + Double(residual[index])
            }
            return (value, magnitude)
        }
    }

    /// The kernel's result, at once or in ranges of rows and columns.
    func run(splits: Bool) -> [Float] {
        let (m, n, k) = (Int64(test.m), Int64(test.n), Int64(test.k))
        let compute = Int32(test.compute.rawValue)
        let bytes = Int(uspi_packed_b_size(k, n, compute))
        let packed = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
        let scratch = UnsafeMutableRawPointer.allocate(
            byteCount: Int(uspi_gemm_workspace(k, compute)), alignment: 64)
        defer {
            packed.deallocate()
            scratch.deallocate()
        }
        uspi_pack_b(
            b, Int64(strideB.row), Int64(strideB.column), Int32(USPI_F32.rawValue), k, n, compute,
            packed, 0, n)
        var c = residual
        a.withUnsafeBufferPointer { a in
            c.withUnsafeMutableBufferPointer { c in
                bias.withUnsafeBufferPointer { bias in
                    gate.withUnsafeBufferPointer { gate in
                        var job = uspi_gemm()
                        (job.m, job.n, job.k, job.compute) = (m, n, k, compute)
                        (job.a, job.b) = (
                            UnsafeRawPointer(a.baseAddress!), UnsafeRawPointer(packed)
                        )
                        (job.a_row, job.a_col) = (Int64(strideA.row), Int64(strideA.column))
                        (job.c, job.c_row) = (UnsafeMutableRawPointer(c.baseAddress!), n)
                        (job.alpha, job.activation) = (1, Int32(test.activation.rawValue))
                        if test.hasEnds {
                            (job.alpha, job.bias) = (0.25, bias.baseAddress)
                            (job.gate, job.gate_row, job.gate_period) = (gate.baseAddress, n, 3)
                            // the residual is C itself, as a transformer block uses it
                            (job.residual, job.residual_row) = (UnsafePointer(c.baseAddress), n)
                        }
                        runJob(&job, splits: splits, scratch)
                    }
                }
            }
        }
        return c
    }

    private func runJob(_ job: inout uspi_gemm, splits: Bool, _ scratch: UnsafeMutableRawPointer) {
        guard splits else {
            uspi_gemm_run(&job, 0, job.m, 0, job.n, scratch, nil, nil)
            return
        }
        let panel = uspi_gemm_panel()
        for row in stride(from: 0, to: job.m, by: 5) {
            var held = uspi_held_rows(packed: scratch, state: 0)
            for column in stride(from: 0, to: job.n, by: Int(panel)) {
                uspi_gemm_run(
                    &job, row, min(row + 5, job.m), column, min(column + panel, job.n), nil,
                    &held, nil)
            }
        }
    }
}
