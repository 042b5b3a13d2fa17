// What queries and keys go through between their projection and attention: norms over a head's
// width, and rotary positions. Made head by head where attention reads them, so that they are
// never in memory as a whole, and made once more for the gradient.

import CKernels
import USPBase

/// Rotary positions (Su et al. 2021): pairs of neighbouring elements of queries and keys are turned
/// by angles of their token's place.
package struct Rotation {
    /// `[P, D/N]`, f32: cosines and sines at each of P places, as `PositionTable.rope` makes them.
    package var cos: Tensor
    package var sin: Tensor
    /// Tokens in front that have no place: class token, registers.
    package var leading: Int
    /// The place of each other token, sample after sample; nil: token i of them has place i.
    package var places: [Int32]?

    package init(cos: Tensor, sin: Tensor, leading: Int = 0, places: [Int32]? = nil) {
        (self.cos, self.sin, self.leading, self.places) = (cos, sin, leading, places)
    }

    /// That of some samples, which have so many tokens each.
    package func of(_ samples: Range<Int>, tokens: Int) -> Rotation {
        guard let places else { return self }
        var result = self
        let moving = tokens - leading
        result.places = Array(places[samples.lowerBound * moving..<samples.upperBound * moving])
        return result
    }
}

/// First the norms, then the rotation; values stay as they are.
package struct QueryKeyOptions {
    /// Over the width of a head, D/N, with weights that all heads share; without modulation.
    package var queryNorm: LayerNorm?
    package var keyNorm: LayerNorm?
    package var rotation: Rotation?

    package init(
        queryNorm: LayerNorm? = nil, keyNorm: LayerNorm? = nil, rotation: Rotation? = nil
    ) {
        (self.queryNorm, self.keyNorm, self.rotation) = (queryNorm, keyNorm, rotation)
    }

    var isEmpty: Bool { queryNorm == nil && keyNorm == nil && rotation == nil }

    /// Weights and biases of the norms: query's, key's; nil where there are none.
    var parameters: [Tensor?] {
        [queryNorm?.weight, queryNorm?.bias, keyNorm?.weight, keyNorm?.bias]
    }
}

/// The options of one application, checked.
final class QueryKeyCall {
    let options: QueryKeyOptions
    private let headWidth: Int
    private let tokens: Int
    /// The places of all samples' tokens but the leading ones.
    private let places: Storage?

    init(
        _ options: QueryKeyOptions, batch: Int, tokens: Int, headWidth: Int
    ) throws(USPError) {
        (self.options, self.tokens, self.headWidth) = (options, tokens, headWidth)
        for (norm, name) in [(options.queryNorm, "query norm"), (options.keyNorm, "key norm")] {
            guard let norm else { continue }
            if let weight = norm.weight { try expect(weight, [headWidth], "\(name): weight") }
            if let bias = norm.bias { try expect(bias, [headWidth], "\(name): bias") }
            try require(
                norm.shift == nil && norm.scale == nil, .argument,
                "\(name): takes no shift and no scale")
        }
        guard let rotation = options.rotation else {
            places = nil
            return
        }
        let table = rotation.cos.shape
        let moving = tokens - rotation.leading
        try require(
            table == rotation.sin.shape && table.rank == 2 && table[1] == headWidth
                && headWidth % 2 == 0 && rotation.leading >= 0 && moving >= 0, .shape,
            "rotation: tables \(table) and \(rotation.sin.shape), \(rotation.leading) leading of "
                + "\(tokens) tokens, heads \(headWidth) wide; expected tables [P, \(headWidth)] of "
                + "an even width")
        guard let given = rotation.places else {
            try require(
                moving == table[0], .shape,
                "rotation: tables of \(table[0]) places, but \(moving) tokens to be turned")
            places = nil
            return
        }
        try require(
            given.count == batch * moving, .shape,
            "rotation: \(given.count) places, expected \(batch) x \(moving)")
        try checkIndices(given.map(Int.init), below: table[0], "rotation: places")
        let storage = try Storage(byteCount: given.count * MemoryLayout<Int32>.stride)
        given.withUnsafeBytes { bytes in
            if let base = bytes.baseAddress {
                storage.base.copyMemory(from: base, byteCount: bytes.count)
            }
        }
        places = storage
    }

    /// Bytes of one head's queries, or keys.
    func bytes(_ type: DType) -> Int { wholeLines(tokens * headWidth * type.size) }

    /// What the kernel is told of one head's queries or keys at x.
    func rows(
        _ x: UnsafeRawPointer, row: Int64, _ type: Int32, sample: Int, isKey: Bool
    ) -> uspi_head_rows {
        var rows = uspi_head_rows()
        (rows.head_dim, rows.x, rows.x_row, rows.type) = (Int64(headWidth), x, row, type)
        if let norm = isKey ? options.keyNorm : options.queryNorm {
            (rows.normed, rows.rms, rows.epsilon) = (1, norm.kind == .rms ? 1 : 0, norm.epsilon)
            rows.weight = norm.weight.map { UnsafePointer($0.floats) }
            rows.bias = norm.bias.map { UnsafePointer($0.floats) }
        }
        if let rotation = options.rotation {
            rows.cos = UnsafePointer(rotation.cos.floats)
            rows.sin = UnsafePointer(rotation.sin.floats)
            rows.leading = Int64(rotation.leading)
            let moving = tokens - rotation.leading
            rows.places = places.map {
                UnsafePointer($0.base.assumingMemoryBound(to: Int32.self) + sample * moving)
            }
        }
        return rows
    }

    /// Makes the head's queries and keys at `base`, one `bytes` after the other, and points the job
    /// to them.
    /// - shared: by all threads
    func prepare(
        _ job: inout uspi_attention, sample: Int, at base: UnsafeMutableRawPointer,
        shared: Bool = false
    ) {
        let type: DType = job.type == DType.bfloat16.kernel ? .bfloat16 : .float32
        let keys = base + bytes(type)
        var query = rows(job.q, row: job.q_row, job.type, sample: sample, isKey: false)
        var key = rows(job.k, row: job.k_row, job.type, sample: sample, isKey: true)
        let grain = shared ? max(32, (1 << 14) / max(headWidth, 1)) : tokens
        parallelRanges(tokens, grain: grain) { range in
            let (begin, end) = (Int64(range.lowerBound), Int64(range.upperBound))
            uspi_head_rows_forward(&query, begin, end, base)
            uspi_head_rows_forward(&key, begin, end, keys)
        }
        (job.q, job.k) = (UnsafeRawPointer(base), UnsafeRawPointer(keys))
        (job.q_row, job.k_row) = (Int64(headWidth), Int64(headWidth))
        job.next_q = nil
    }

    /// Memory that the gradient of one head takes beside attention's own.
    func gradientBytes(_ type: DType) -> Int { 2 * (bytes(type) + bytes(.float32)) }

    /// Room for each head's gradients of the norms' weights and biases, `[heads of all samples, 4,
    /// D/N]`; nil where nobody needs them.
    func sums(_ heads: Int) throws(USPError) -> Tensor? {
        guard options.parameters.contains(where: { $0?.node.requiresGradient == true }) else {
            return nil
        }
        return try Tensor.zeros([heads, 4, headWidth])
    }

    /// The gradient of attention on prepared queries and keys, and what it gives for these brought
    /// on to where `wanted` says.
    /// - base: `gradientBytes`; sums: this head's
    func backward(
        _ job: inout uspi_attention, _ wanted: inout uspi_attention_gradient, sample: Int,
        at base: UnsafeMutableRawPointer, sums: UnsafeMutablePointer<Float>?,
        workspace: UnsafeMutableRawPointer
    ) {
        var query = rows(job.q, row: job.q_row, job.type, sample: sample, isKey: false)
        var key = rows(job.k, row: job.k_row, job.type, sample: sample, isKey: true)
        let last = wanted
        prepare(&job, sample: sample, at: base)
        let type: DType = job.type == DType.bfloat16.kernel ? .bfloat16 : .float32
        let queries = (base + 2 * bytes(type)).assumingMemoryBound(to: Float.self)
        let keys = queries + bytes(.float32) / DType.float32.size
        (wanted.dq, wanted.dk) = (queries, keys)
        (wanted.dq_row, wanted.dk_row) = (Int64(headWidth), Int64(headWidth))
        (wanted.add_q, wanted.add_k) = (0, 0)
        uspi_attention_backward(&job, &wanted, workspace)
        let count = Int64(tokens)
        uspi_head_rows_backward(&query, count, queries, last.dq, last.dq_row, last.add_q, sums)
        uspi_head_rows_backward(
            &key, count, keys, last.dk, last.dk_row, last.add_k, sums.map { $0 + 2 * headWidth })
    }

    /// Adds the heads' sums in order.
    func fold(_ sums: Tensor, _ tape: Tape) throws(USPError) {
        for (index, parameter) in options.parameters.enumerated() {
            guard let target = try tape.target(for: parameter) else { continue }
            uspi_sum_rows(
                sums.floats + index * headWidth, 4 * headWidth, sums.shape[0], headWidth,
                target.tensor.floats, target.accumulates ? 1 : 0)
        }
    }
}
