// Norms and rotation of queries and keys, against PyTorch: outputs within 1e-5, gradients 1e-4.

import CKernels
import TestSupport
import Testing
import USPBase
import USPTensor

/// Norms and rotation of a golden case of heads.
private func queryKey(_ golden: GoldenCase, _ values: [String: Tensor]) throws -> QueryKeyOptions {
    var options = QueryKeyOptions()
    let isRMS = values["q_bias"] == nil
    if let weight = values["q_weight"], let other = values["k_weight"] {
        let (kind, epsilon): (NormKind, Float) = isRMS ? (.rms, 1e-6) : (.layer, 1e-5)
        options.queryNorm = LayerNorm(
            kind, weight: weight, bias: values["q_bias"], epsilon: epsilon)
        options.keyNorm = LayerNorm(kind, weight: other, bias: values["k_bias"], epsilon: epsilon)
    }
    if golden.config["rotates"] as? Bool == true {
        let table = try GoldenCase("positions/rope_24_4x5")
        options.rotation = Rotation(
            cos: try table.tensor("out.cos"), sin: try table.tensor("out.sin"),
            leading: golden.config["leading"] as? Int ?? 0)
    }
    return options
}

@Suite(.serialized) struct QueryKeyTests {
    static let kinds = ["none_rotated", "rms", "rms_rotated", "layer", "layer_rotated"]

    private func errors(_ kind: String, _ compute: DType) throws -> GoldenErrors {
        let inputs =
            ["qkv"] + (kind.hasPrefix("none") ? [] : ["q_weight", "k_weight"])
            + (kind.hasPrefix("layer") ? ["q_bias", "k_bias"] : [])
        // One bias of all keys moves all scores of a query alike: its gradient is zero.
        return try goldenErrors(
            "operations/heads_\(kind)", inputs: inputs, ignoring: kind == "layer" ? ["k_bias"] : [],
            compute: compute
        ) { values, golden, context in
            try context.attention(
                qkv: values["qkv"]!, heads: 3, queryKey: try queryKey(golden, values))
        }
    }

    @Test(arguments: kinds) func gradients(_ kind: String) throws {
        let errors = try errors(kind, .float32)
        #expect(errors.output < 1e-5 && errors.worstGradient < 1e-4, "\(kind): \(errors)")
    }

    /// bf16 products, queries and keys: 3e-2 of the largest value.
    @Test(arguments: kinds) func bfloat16(_ kind: String) throws {
        let errors = try errors(kind, .bfloat16)
        #expect(errors.output < 3e-2 && errors.worstGradient < 3e-2, "\(kind): \(errors)")
    }

    /// A table's rows by their places, and by hand.
    @Test func placesAreRowsOfTheTable() throws {
        let table = try GoldenCase("positions/rope_24_4x5")
        let (cos, sin) = (try table.tensor("out.cos"), try table.tensor("out.sin"))
        let places: [Int32] = [7, 0, 19, 3, 3, 12, 1, 5]  // two samples of four tokens
        let qkv = try normalTensor([2, 5, 216], seed: 61)
        let context = Context()
        let whole = try context.attention(
            qkv: qkv, heads: 3,
            queryKey: QueryKeyOptions(
                rotation: Rotation(cos: cos, sin: sin, leading: 1, places: places)))
        for sample in 0..<2 {
            let rows = places[sample * 4..<sample * 4 + 4].map(Int.init)
            let own = try [cos, sin].map { try context.embedding($0, rows) }
            let y = try context.attention(
                qkv: try qkv.detachedRows(sample..<sample + 1), heads: 3,
                queryKey: QueryKeyOptions(
                    rotation: Rotation(cos: own[0], sin: own[1], leading: 1)))
            #expect(y.values == Array(whole.values[sample * 360..<sample * 360 + 360]))
        }
    }

    /// The bits do not depend on batch and threads; those of instruction sets agree as well as in
    /// attention alone.
    @Test func batchAndThreads() throws {
        let table = try GoldenCase("positions/rope_64_16x16")
        let qkv = try normalTensor([5, 257, 3 * 128], seed: 62)
        let weight = try normalTensor([64], seed: 63)
        let bias = try normalTensor([64], seed: 64)
        let options = QueryKeyOptions(
            queryNorm: LayerNorm(.rms, weight: weight),
            keyNorm: LayerNorm(weight: weight, bias: bias, epsilon: 1e-5),
            rotation: Rotation(
                cos: try table.tensor("out.cos"), sin: try table.tensor("out.sin"), leading: 1))
        let half = try Tensor(qkv.shape, .bfloat16)
        uspi_bf16_from_f32(
            qkv.floats, half.raw.assumingMemoryBound(to: UInt16.self), Int64(qkv.count))
        try alone {
            var first: [Float] = []
            for level in 0...uspi_isa() {
                useInstructions(level)
                for (x, compute) in [(qkv, DType.float32), (half, .bfloat16)] {
                    let context = Context(compute: compute)
                    useThreads(1)
                    let y = try context.attention(qkv: x, heads: 2, queryKey: options).values
                    if first.isEmpty { first = y }
                    #expect(relativeError(y, first) < (compute == .float32 ? 1e-5 : 3e-2))
                    for count in 2...3 {
                        useThreads(count)
                        let again = try context.attention(qkv: x, heads: 2, queryKey: options)
                        let one = try context.attention(
                            qkv: try x.detachedRows(3..<4), heads: 2, queryKey: options)
                        #expect(again.values == y, "level \(level), \(compute), \(count) threads")
                        let size = 257 * 128
                        #expect(one.values == Array(y[3 * size..<4 * size]))
                    }
                }
            }
        }
    }

    @Test func whatDoesNotFitIsToldInWords() throws {
        let qkv = try Tensor.zeros([2, 5, 216])
        let table = try Tensor.zeros([4, 24])
        func fails(_ options: QueryKeyOptions) {
            #expect(throws: USPError.self) {
                try Context().attention(qkv: qkv, heads: 3, queryKey: options)
            }
        }
        fails(QueryKeyOptions(queryNorm: LayerNorm(weight: try Tensor.zeros([72]))))
        fails(QueryKeyOptions(keyNorm: LayerNorm(bias: try Tensor.zeros([23]))))
        fails(QueryKeyOptions(rotation: Rotation(cos: table, sin: table)))
        fails(QueryKeyOptions(rotation: Rotation(cos: table, sin: table, leading: 6)))
        fails(QueryKeyOptions(rotation: Rotation(cos: table, sin: try Tensor.zeros([4, 12]))))
        fails(
            QueryKeyOptions(
                rotation: Rotation(cos: table, sin: table, leading: 3, places: [0, 1, 2, 4])))
        fails(
            QueryKeyOptions(rotation: Rotation(cos: table, sin: table, leading: 3, places: [0])))
    }
}
