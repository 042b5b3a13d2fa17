// Multi-head attention: blocks of queries against all keys, scores never kept for the gradient.

import CKernels
import USPBase

extension Context {
    /// softmax(q·kᵀ/√d)·v for each head (Vaswani et al. 2017), from one projection.
    ///
    /// - qkv: `[B, T, 3·D]`, f32 or bf16: queries, keys, values, each head by head
    /// - output: f32, or bf16 for a product that reads bf16
    /// - Returns: `[B, T, D]`
    /// - Throws: `.shape`, `.memory`
    /// - Complexity: 4·B·T²·D flops; the scores of 64 queries at a time.
    package func attention(
        qkv: Tensor, heads: Int, output: DType = .float32
    ) throws(USPError) -> Tensor {
        try require(
            qkv.shape.rank == 3 && heads > 0 && qkv.shape[2] % (3 * heads) == 0, .shape,
            "attention: qkv \(qkv.shape), \(heads) heads")
        let width = qkv.shape[2] / 3
        let parts = (0..<3).map { HeadOperand(qkv, column: $0 * width) }
        return try attention(parts[0], parts[1], parts[2], width: width, heads: heads, output)
    }

    /// The same from separate projections, which may have fewer queries than keys.
    ///
    /// - query: `[B, T, D]`; key, value: `[B, T′, D]`; f32 or bf16
    /// - Returns: `[B, T, D]`
    /// - Throws: `.shape`, `.memory`
    package func attention(
        query: Tensor, key: Tensor, value: Tensor, heads: Int, output: DType = .float32
    ) throws(USPError) -> Tensor {
        try require(
            query.shape.rank == 3 && key.shape.rank == 3 && key.shape == value.shape && heads > 0
                && query.shape[0] == key.shape[0] && query.shape[2] == key.shape[2]
                && query.shape[2] % heads == 0 && key.shape[1] > 0, .shape,
            "attention: query \(query.shape), key \(key.shape), value \(value.shape), \(heads) heads")
        return try attention(
            HeadOperand(query), HeadOperand(key), HeadOperand(value), width: query.shape[2],
            heads: heads, output)
    }

    private func attention(
        _ query: HeadOperand, _ key: HeadOperand, _ value: HeadOperand, width: Int, heads: Int,
        _ output: DType
    ) throws(USPError) -> Tensor {
        let call = AttentionCall(
            query: query, key: key, value: value, width: width, heads: heads, compute: compute)
        let inputs = [query.tensor, key.tensor, value.tensor]
        let records = tape != nil && inputs.contains { $0.node.requiresGradient }
        let y = try call.forward(output, keepsSums: records)
        tape?.record(y, inputs: inputs) { [tape] gradient throws(USPError) in
            if let tape { try call.backward(gradient, output: y, tape) }
        }
        return y
    }
}

/// The heads of one operand: columns of the rows of a `[B, T, ..]` tensor.
private struct HeadOperand {
    let tensor: Tensor
    var column = 0

    init(_ tensor: Tensor, column: Int = 0) {
        self.tensor = tensor
        self.column = column
    }

    var tokens: Int { tensor.shape[1] }

    /// Rows first... of one head of one sample, in this tensor or in one of its shape.
    func view(_ sample: Int, head: Int, first: Int = 0, of other: Tensor? = nil) -> MatrixView {
        let tensor = other ?? tensor
        let row = tensor.shape[2]
        let offset = (sample * tokens + first) * row + column + head
        return MatrixView(tensor.raw + offset * tensor.dtype.size, row: row, dtype: tensor.dtype)
    }
}

/// One application of attention.
private final class AttentionCall {
    let query: HeadOperand
    let key: HeadOperand
    let value: HeadOperand
    let width: Int
    let heads: Int
    let compute: DType
    /// log Σ exp(scores) of each sample, head and query.
    var sums: Tensor?

    init(
        query: HeadOperand, key: HeadOperand, value: HeadOperand, width: Int, heads: Int,
        compute: DType
    ) {
        (self.query, self.key, self.value) = (query, key, value)
        (self.width, self.heads, self.compute) = (width, heads, compute)
    }

    var batch: Int { query.tensor.shape[0] }
    var headWidth: Int { width / heads }
    var factor: Float { 1 / Float(headWidth).squareRoot() }
    /// Queries whose scores are computed at a time.
    var block: Int { 64 }

    /// Calls the body for every sample and head, some of them by one thread with one workspace.
    private func forEachHead(
        _ bytes: Int, _ body: (_ sample: Int, _ head: Int, UnsafeMutableRawPointer) -> Void
    ) throws(USPError) {
        let count = batch * heads
        let work = count * query.tokens * key.tokens * headWidth
        let parts = work < 1 << 18 ? 1 : min(count, 24)
        let workspace = try Storage(byteCount: bytes * max(parts, 1))
        ThreadPool.shared.run(parts: parts) { part in
            for pair in part * count / parts..<(part + 1) * count / parts {
                let (sample, head) = pair.quotientAndRemainder(dividingBy: heads)
                body(sample, head, workspace.base + part * bytes)
            }
        }
    }

    func forward(_ output: DType, keepsSums: Bool) throws(USPError) -> Tensor {
        let y = try Tensor([batch, query.tokens, width], output)
        let (queries, keys, depth) = (query.tokens, key.tokens, headWidth)
        if keepsSums { sums = try Tensor([batch, heads, queries]) }
        let kept = sums?.floats
        let product = HeadProduct(compute: compute, longest: max(keys, depth))
        let layout = HeadWorkspace(
            floats: [block * keys], packed: [(depth, keys), (keys, depth)], product)
        let result = HeadOperand(y)
        try forEachHead(layout.byteCount) { sample, head, base in
            let (scores, column) = (layout.floats(0, base), head * depth)
            let keysPacked = product.pack(
                key.view(sample, head: column).transposed, depth, keys, layout.packed(0, base))
            let valuesPacked = product.pack(
                value.view(sample, head: column), keys, depth, layout.packed(1, base))
            for first in stride(from: 0, to: queries, by: block) {
                let rows = min(block, queries - first)
                product.run(
                    query.view(sample, head: column, first: first), keysPacked, rows,
                    into: MatrixView(scores, row: keys), layout.scratch(base), scale: factor)
                uspi_softmax_rows(
                    scores, rows, keys, kept.map { $0 + (sample * heads + head) * queries + first })
                product.run(
                    MatrixView(scores, row: keys), valuesPacked, rows,
                    into: result.view(sample, head: column, first: first), layout.scratch(base))
            }
        }
        return y
    }

    /// With P = softmax(S): dV = Pᵀ·dY, dP = dY·Vᵀ, dS = P ⊙ (dP − rowsum(dY ⊙ Y))·factor,
    /// dQ = dS·K, dK = dSᵀ·Q (Dao et al. 2022).
    func backward(_ gradient: Tensor, output: Tensor, _ tape: Tape) throws(USPError) {
        guard let sums else { return }
        let targets = try gradientTargets(tape)
        let (queries, keys, depth) = (query.tokens, key.tokens, headWidth)
        let product = HeadProduct(compute: compute, longest: max(keys, depth, block))
        let layout = HeadWorkspace(
            floats: [block * keys, block * keys, block],
            packed: [(depth, keys), (depth, keys), (keys, depth), (block, depth), (block, depth)],
            product)
        let (dy, y) = (HeadOperand(gradient), HeadOperand(output))
        try forEachHead(layout.byteCount) { sample, head, base in
            let column = head * depth
            let scratch = layout.scratch(base)
            let (p, ds, delta) = (layout.floats(0, base), layout.floats(1, base), layout.floats(2, base))
            let keysForward = product.pack(
                key.view(sample, head: column).transposed, depth, keys, layout.packed(0, base))
            let valuesBack = product.pack(
                value.view(sample, head: column).transposed, depth, keys, layout.packed(1, base))
            let keysBack = product.pack(
                key.view(sample, head: column), keys, depth, layout.packed(2, base))
            for first in stride(from: 0, to: queries, by: block) {
                let rows = min(block, queries - first)
                let dyBlock = dy.view(sample, head: column, first: first)
                let queryBlock = query.view(sample, head: column, first: first)
                let (probabilities, slopes) = (MatrixView(p, row: keys), MatrixView(ds, row: keys))
                product.run(queryBlock, keysForward, rows, into: probabilities, scratch, scale: factor)
                uspi_softmax_again(
                    p, rows, keys, sums.floats + (sample * heads + head) * queries + first)
                product.run(dyBlock, valuesBack, rows, into: slopes, scratch)
                rowProducts(dyBlock, y.view(sample, head: column, first: first), rows, delta)
                uspi_softmax_backward(p, ds, rows, keys, delta, factor)
                if let target = targets.value {
                    let right = product.pack(dyBlock, rows, depth, layout.packed(3, base))
                    product.run(
                        probabilities.transposed, right, keys,
                        into: value.view(sample, head: column, of: target.tensor), scratch,
                        accumulates: target.accumulates || first > 0)
                }
                if let target = targets.query {
                    product.run(
                        slopes, keysBack, rows,
                        into: query.view(sample, head: column, first: first, of: target.tensor),
                        scratch, accumulates: target.accumulates)
                }
                if let target = targets.key {
                    let right = product.pack(queryBlock, rows, depth, layout.packed(4, base))
                    product.run(
                        slopes.transposed, right, keys,
                        into: key.view(sample, head: column, of: target.tensor), scratch,
                        accumulates: target.accumulates || first > 0)
                }
            }
        }
    }

    private func gradientTargets(
        _ tape: Tape
    ) throws(USPError) -> (query: GradientTarget?, key: GradientTarget?, value: GradientTarget?) {
        let query = try tape.target(for: query.tensor)
        // One tensor may hold all three: each then writes columns of its own.
        if key.column != self.query.column { return (query, query, query) }
        let key = try tape.target(for: key.tensor)
        let value = try tape.target(for: value.tensor)
        let all = [query, key, value].compactMap { $0 }
        // One value in several places: all of them add to zeros.
        guard Set(all.map { ObjectIdentifier($0.tensor) }).count < all.count else {
            return (query, key, value)
        }
        for target in all where !target.accumulates { target.tensor.fillWithZeros() }
        let adding = [query, key, value].map { target in
            target.map { GradientTarget(tensor: $0.tensor, accumulates: true) }
        }
        return (adding[0], adding[1], adding[2])
    }

    private func rowProducts(
        _ a: MatrixView, _ b: MatrixView, _ rows: Int, _ result: UnsafeMutablePointer<Float>
    ) {
        let left = a.pointer.assumingMemoryBound(to: Float.self)
        for row in 0..<rows {
            result[row] = uspi_dot(
                left + row * a.row, b.pointer + row * b.row * b.dtype.size, b.dtype.kernel, headWidth)
        }
    }
}

/// Products of one thread.
private struct HeadProduct {
    let compute: DType
    let scratchBytes: Int

    init(compute: DType, longest: Int) {
        self.compute = compute
        scratchBytes = Int(uspi_gemm_workspace(Int64(longest), compute.kernel))
    }

    func packedBytes(_ k: Int, _ n: Int) -> Int {
        Int(uspi_packed_b_size(Int64(k), Int64(n), compute.kernel))
    }

    func pack(
        _ b: MatrixView, _ k: Int, _ n: Int, _ packed: UnsafeMutableRawPointer
    ) -> (k: Int, n: Int, UnsafeMutableRawPointer) {
        uspi_pack_b(
            b.pointer, Int64(b.row), Int64(b.column), b.dtype.kernel, Int64(k), Int64(n),
            compute.kernel, packed, 0, Int64(n))
        return (k, n, packed)
    }

    func run(
        _ a: MatrixView, _ b: (k: Int, n: Int, packed: UnsafeMutableRawPointer), _ rows: Int,
        into c: MatrixView, _ scratch: UnsafeMutableRawPointer, scale: Float = 1,
        accumulates: Bool = false
    ) {
        var job = uspi_gemm()
        (job.m, job.n, job.k) = (Int64(rows), Int64(b.n), Int64(b.k))
        (job.a, job.a_row, job.a_col) = (UnsafeRawPointer(a.pointer), Int64(a.row), Int64(a.column))
        (job.a_type, job.b, job.compute) = (a.dtype.kernel, UnsafeRawPointer(b.packed), compute.kernel)
        (job.c, job.c_row, job.c_type) = (c.pointer, Int64(c.row), c.dtype.kernel)
        (job.alpha, job.accumulate) = (scale, accumulates ? 1 : 0)
        uspi_gemm_run(&job, 0, Int64(rows), 0, Int64(b.n), scratch)
    }
}

/// How one thread's workspace is divided: arrays, packed operands, the product's own scratch.
private struct HeadWorkspace {
    private var floatOffsets: [Int] = []
    private var packedOffsets: [Int] = []
    private let scratchOffset: Int
    let byteCount: Int

    init(floats: [Int], packed: [(k: Int, n: Int)], _ product: HeadProduct) {
        var offset = 0
        func place(_ bytes: Int) -> Int {
            defer { offset += (bytes + 63) / 64 * 64 }
            return offset
        }
        for count in floats { floatOffsets.append(place(count * 4)) }
        for size in packed { packedOffsets.append(place(product.packedBytes(size.k, size.n))) }
        scratchOffset = place(product.scratchBytes)
        byteCount = offset
    }

    func floats(_ index: Int, _ base: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Float> {
        (base + floatOffsets[index]).assumingMemoryBound(to: Float.self)
    }
    func packed(_ index: Int, _ base: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
        base + packedOffsets[index]
    }
    func scratch(_ base: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer { base + scratchOffset }
}
