// The attention kernels on every instruction set, against double precision.

import CKernels
import TestSupport
import Testing
import USPBase

/// Sizes with tails in queries, keys and dimensions; one with several blocks of queries.
private let attentionSizes = [(1, 1, 1), (33, 17, 5), (49, 70, 72), (300, 65, 16), (20, 40, 130)]

@Test(arguments: attentionSizes, [USPI_F32, USPI_BF16])
private func attentionAgreesWithDoublePrecision(
    _ sizes: (queries: Int, keys: Int, depth: Int), _ compute: uspi_type
) {
    alone {
        let best = uspi_isa()
        let head = AttentionHead(sizes.queries, sizes.keys, sizes.depth)
        let expected = head.expected()
        let bound = compute == USPI_F32 ? 4e-6 : 2e-2
        for level in 0...best {
            useInstructions(level)
            let whole = head.run(compute, cut: 0)
            #expect(head.run(compute, cut: sizes.queries / 3) == whole, "bits depend on the split")
            for (mine, theirs) in zip(whole, expected) {
                #expect(relativeError(mine, theirs) < bound, "level \(level)")
            }
        }
    }
}

/// One head: queries, keys and values beside each other in rows as a projection writes them.
private struct AttentionHead {
    let queries: Int, keys: Int, depth: Int
    let q: [Float], k: [Float], v: [Float], dout: [Float]

    init(_ queries: Int, _ keys: Int, _ depth: Int) {
        var random = SplitNumbers(seed: UInt64(queries * 31 + keys))
        (self.queries, self.keys, self.depth) = (queries, keys, depth)
        q = random.floats(queries * depth).map(roundedToBFloat16)
        k = random.floats(keys * depth).map(roundedToBFloat16)
        v = random.floats(keys * depth).map(roundedToBFloat16)
        dout = random.floats(queries * depth).map(roundedToBFloat16)
    }

    var scale: Double { 1 / Double(depth).squareRoot() }

    /// out, logsumexp, dq, dk, dv.
    func expected() -> [[Float]] {
        var out = [Double](repeating: 0, count: queries * depth)
        var (dq, sums) = (out, [Double](repeating: 0, count: queries))
        var dk = [Double](repeating: 0, count: keys * depth)
        var dv = dk
        for i in 0..<queries {
            let scores = (0..<keys).map { scale * dot(q, i, k, $0) }
            let total = scores.reduce(0) { $0 + exactExp($1) }
            sums[i] = exactLog(total)
            let p = scores.map { exactExp($0) / total }
            let dp = (0..<keys).map { dot(dout, i, v, $0) }
            let mean = zip(p, dp).reduce(0) { $0 + $1.0 * $1.1 }
            for j in 0..<keys {
                let slope = p[j] * (dp[j] - mean) * scale
                for c in 0..<depth {
                    out[i * depth + c] += p[j] * Double(v[j * depth + c])
                    dv[j * depth + c] += p[j] * Double(dout[i * depth + c])
                    dq[i * depth + c] += slope * Double(k[j * depth + c])
                    dk[j * depth + c] += slope * Double(q[i * depth + c])
                }
            }
        }
        return [out, sums, dq, dk, dv].map { $0.map(Float.init) }
    }

    private func dot(_ a: [Float], _ i: Int, _ b: [Float], _ j: Int) -> Double {
        (0..<depth).reduce(0) { $0 + Double(a[i * depth + $1]) * Double(b[j * depth + $1]) }
    }

    /// The kernels' results in the order of `expected`, with queries cut into two calls.
    func run(_ compute: uspi_type, cut: Int) -> [[Float]] {
        let type = Int32(compute.rawValue)
        let (n, t, d) = (Int64(queries), Int64(keys), Int64(depth))
        let sizes = [
            uspi_attention_packed_size(t, d, type), uspi_attention_workspace(t, d, type),
            uspi_attention_backward_workspace(n, t, d, type),
        ]
        let memory = sizes.map {
            UnsafeMutableRawPointer.allocate(byteCount: Int($0), alignment: 64)
        }
        defer { for block in memory { block.deallocate() } }
        let inputs = [q, k, v, dout].map(copied)
        let results = [queries * depth, queries, queries * depth, keys * depth, keys * depth].map {
            copied([Float](repeating: 7, count: $0))
        }
        defer { for array in inputs + results { array.deallocate() } }
        var job = uspi_attention()
        (job.queries, job.keys, job.head_dim) = (n, t, d)
        job.q = UnsafeRawPointer(inputs[0].baseAddress)
        job.k = UnsafeRawPointer(inputs[1].baseAddress)
        job.v = UnsafeRawPointer(inputs[2].baseAddress)
        (job.q_row, job.k_row, job.v_row) = (d, d, d)
        (job.compute, job.scale) = (type, Float(scale))
        job.out = UnsafeMutableRawPointer(results[0].baseAddress)
        (job.out_row, job.logsumexp) = (d, results[1].baseAddress)
        uspi_attention_pack(&job, memory[0])
        uspi_attention_rows(&job, memory[0], 0, Int64(cut), memory[1])
        uspi_attention_rows(&job, memory[0], Int64(cut), n, memory[1])
        var wanted = uspi_attention_gradient()
        (wanted.dout, wanted.dout_row) = (UnsafeRawPointer(inputs[3].baseAddress), d)
        wanted.dq = results[2].baseAddress
        wanted.dk = results[3].baseAddress
        wanted.dv = results[4].baseAddress
        (wanted.dq_row, wanted.dk_row, wanted.dv_row) = (d, d, d)
        uspi_attention_backward(&job, &wanted, memory[2])
        return results.map { [Float]($0) }
    }

    private func copied(_ values: [Float]) -> UnsafeMutableBufferPointer<Float> {
        let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: values.count)
        _ = buffer.initialize(from: values)
        return buffer
    }
}
