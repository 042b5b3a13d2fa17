// Multi-head attention: panels of queries against all keys, scores never kept for the gradient.

import CKernels
import USPBase

extension Context {
    /// softmax(q·kᵀ/√d)·v for each head (Vaswani et al. 2017), from one projection.
    ///
    /// - qkv: `[B, T, 3·D]`, f32 or bf16: queries, keys, values, each head by head
    /// - queryKey: norms and rotation of queries and keys
    /// - bias: added to the scores q·kᵀ/√d
    /// - output: f32, or bf16 for a product that reads bf16
    /// - Returns: `[B, T, D]`
    /// - Throws: `.shape`, `.memory`
    /// - Complexity: 4·B·T²·D flops; the scores of 32 queries at a time.
    package func attention(
        qkv: Tensor, heads: Int, queryKey: QueryKeyOptions = QueryKeyOptions(),
        bias: RelativeBias? = nil, output: DType = .float32
    ) throws(USPError) -> Tensor {
        try require(
            qkv.shape.rank == 3 && heads > 0 && qkv.shape[2] % (3 * heads) == 0, .shape,
            "attention: qkv \(qkv.shape), \(heads) heads")
        let width = qkv.shape[2] / 3
        let parts = (0..<3).map { HeadOperand(qkv, column: $0 * width) }
        let prepared =
            queryKey.isEmpty
            ? nil
            : try QueryKeyCall(
                queryKey, batch: qkv.shape[0], tokens: qkv.shape[1], headWidth: width / heads)
        let biased = try bias.map { bias throws(USPError) in
            try RelativeBiasCall(bias, tokens: qkv.shape[1], heads: heads)
        }
        return try attention(
            parts[0], parts[1], parts[2], width: width, heads: heads, prepared, biased, output)
    }

    /// The same from separate projections, which may have fewer queries than keys.
    ///
    /// - query: `[B, T, D]`; key, value: `[B, T′, D]`; all f32 or all bf16
    /// - Returns: `[B, T, D]`
    /// - Throws: `.shape`, `.memory`
    package func attention(
        query: Tensor, key: Tensor, value: Tensor, heads: Int, output: DType = .float32
    ) throws(USPError) -> Tensor {
        try require(
            query.shape.rank == 3 && key.shape.rank == 3 && key.shape == value.shape && heads > 0
                && query.shape[0] == key.shape[0] && query.shape[2] == key.shape[2]
                && query.shape[2] % heads == 0 && key.shape[1] > 0 && query.dtype == key.dtype
                && key.dtype == value.dtype, .shape,
            "attention: query \(query.shape), key \(key.shape), value \(value.shape), \(heads) "
                + "heads")
        return try attention(
            HeadOperand(query), HeadOperand(key), HeadOperand(value), width: query.shape[2],
            heads: heads, nil, nil, output)
    }

    private func attention(
        _ query: HeadOperand, _ key: HeadOperand, _ value: HeadOperand, width: Int, heads: Int,
        _ prepared: QueryKeyCall?, _ bias: RelativeBiasCall?, _ output: DType
    ) throws(USPError) -> Tensor {
        let call = AttentionCall(
            query: query, key: key, value: value, width: width, heads: heads, prepared: prepared,
            bias: bias, compute: compute)
        let inputs =
            [query.tensor, key.tensor, value.tensor, bias?.table]
            + (prepared?.options.parameters ?? [])
        let records = tape != nil && inputs.contains { $0?.node.requiresGradient == true }
        let y = try call.forward(output, keepsSums: records)
        tape?.record(y, inputs: inputs) { [tape] gradient throws(USPError) in
            if let tape { try call.backward(gradient, tape) }
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

    /// The first element of one head of one sample, in this tensor or in one of its shape.
    func start(_ sample: Int, _ offset: Int, of other: Tensor? = nil) -> UnsafeMutableRawPointer {
        let tensor = other ?? tensor
        return tensor.raw + (sample * tokens * row + column + offset) * tensor.dtype.size
    }

    /// Elements from one token to the next.
    var row: Int { tensor.shape[2] }
}

/// One application of attention.
private final class AttentionCall {
    let query: HeadOperand
    let key: HeadOperand
    let value: HeadOperand
    let width: Int
    let heads: Int
    let prepared: QueryKeyCall?
    let bias: RelativeBiasCall?
    let compute: DType
    /// log Σ exp(scores) of each sample, head and query.
    var sums: Tensor?

    init(
        query: HeadOperand, key: HeadOperand, value: HeadOperand, width: Int, heads: Int,
        prepared: QueryKeyCall?, bias: RelativeBiasCall?, compute: DType
    ) {
        (self.query, self.key, self.value) = (query, key, value)
        (self.width, self.heads, self.compute) = (width, heads, compute)
        (self.prepared, self.bias) = (prepared, bias)
    }

    var batch: Int { query.tensor.shape[0] }
    var headWidth: Int { width / heads }
    /// Of one head's prepared queries, or keys.
    private var preparedBytes: Int { prepared?.bytes(query.tensor.dtype) ?? 0 }

    /// What the kernel is told about one head of one sample.
    private func job(_ sample: Int, _ head: Int, into y: Tensor? = nil) -> uspi_attention {
        let offset = head * headWidth
        var job = uspi_attention()
        (job.queries, job.keys) = (Int64(query.tokens), Int64(key.tokens))
        job.head_dim = Int64(headWidth)
        job.q = UnsafeRawPointer(query.start(sample, offset))
        job.k = UnsafeRawPointer(key.start(sample, offset))
        job.v = UnsafeRawPointer(value.start(sample, offset))
        (job.q_row, job.k_row, job.v_row) = (Int64(query.row), Int64(key.row), Int64(value.row))
        (job.type, job.compute) = (query.tensor.dtype.kernel, compute.kernel)
        if head + 1 < heads {
            let next = offset + headWidth
            job.next_q = UnsafeRawPointer(query.start(sample, next))
            job.next_k = UnsafeRawPointer(key.start(sample, next))
            job.next_v = UnsafeRawPointer(value.start(sample, next))
            job.next_row = Int64(query.row)
        }
        job.scale = 1 / Float(headWidth).squareRoot()
        if let y {
            job.out = HeadOperand(y).start(sample, offset)
            (job.out_row, job.out_type) = (Int64(width), y.dtype.kernel)
        }
        bias?.add(to: &job, head: head)
        job.logsumexp = sums.map { $0.floats + (sample * heads + head) * query.tokens }
        return job
    }

    /// Calls the body for every sample and head with the workspace of the thread.
    private func forEachHead(
        _ bytes: Int, _ body: (_ sample: Int, _ head: Int, UnsafeMutableRawPointer) -> Void
    ) throws(USPError) {
        let count = batch * heads
        let work = count * query.tokens * key.tokens * headWidth
        let slots = work < 1 << 18 ? 1 : min(count, ThreadPool.shared.threads)
        let workspace = try Storage(byteCount: bytes * max(slots, 1))
        ThreadPool.shared.run(parts: count, slots: slots) { pair, slot in
            let (sample, head) = pair.quotientAndRemainder(dividingBy: heads)
            body(sample, head, workspace.base + slot * bytes)
        }
    }

    func forward(_ output: DType, keepsSums: Bool) throws(USPError) -> Tensor {
        let y = try Tensor([batch, query.tokens, width], output)
        let (keys, depth) = (Int64(key.tokens), Int64(headWidth))
        if keepsSums { sums = try Tensor([batch, heads, query.tokens]) }
        let packedBytes = wholeLines(uspi_attention_packed_size(keys, depth, compute.kernel))
        let scratchBytes = wholeLines(uspi_attention_workspace(keys, depth, compute.kernel))
        if batch * heads < 2 * ThreadPool.shared.threads {
            try forwardByRows(y, packedBytes, scratchBytes)
            return y
        }
        let bytes = packedBytes + scratchBytes
        try forEachHead(bytes + 2 * preparedBytes) { sample, head, base in
            var job = job(sample, head, into: y)
            prepared?.prepare(&job, sample: sample, at: base + bytes)
            uspi_attention_pack(&job, base)
            uspi_attention_rows(&job, base, 0, job.queries, base + packedBytes)
        }
        return y
    }

    /// One head after another, the queries of each over the threads.
    private func forwardByRows(
        _ y: Tensor, _ packedBytes: Int, _ scratchBytes: Int
    ) throws(USPError) {
        let panel = Int(uspi_gemm_panel())
        let panels = (query.tokens + panel - 1) / panel
        let work = query.tokens * key.tokens * headWidth
        let slots = work < 1 << 18 ? 1 : max(1, min(panels, ThreadPool.shared.threads))
        let bytes = packedBytes + scratchBytes * slots
        let workspace = try Storage(byteCount: bytes + 2 * preparedBytes)
        for pair in 0..<batch * heads {
            let (sample, head) = pair.quotientAndRemainder(dividingBy: heads)
            var job = job(sample, head, into: y)
            prepared?.prepare(&job, sample: sample, at: workspace.base + bytes, shared: true)
            uspi_attention_pack(&job, workspace.base)
            let packed = job
            ThreadPool.shared.run(parts: panels, slots: slots) { part, slot in
                var job = packed
                uspi_attention_rows(
                    &job, workspace.base, Int64(part * panel),
                    Int64(min(query.tokens, (part + 1) * panel)),
                    workspace.base + packedBytes + slot * scratchBytes)
            }
        }
    }

    /// With P = softmax(S): dV = Pᵀ·dY, dP = dY·Vᵀ, dS = P ⊙ (dP − rowsum(P ⊙ dP))·factor,
    /// dQ = dS·K, dK = dSᵀ·Q (Dao et al. 2022).
    func backward(_ gradient: Tensor, _ tape: Tape) throws(USPError) {
        guard sums != nil else { return }
        let targets = try gradientTargets(tape)
        let bytes = wholeLines(
            uspi_attention_backward_workspace(
                Int64(query.tokens), Int64(key.tokens), Int64(headWidth), compute.kernel))
        let dy = HeadOperand(gradient)
        let more = prepared?.gradientBytes(query.tensor.dtype) ?? 0
        let sums = try prepared?.sums(batch * heads)
        let biasSums = try bias?.sums(batch)
        let sumsOfHead = 4 * headWidth
        try forEachHead(bytes + more) { sample, head, base in
            let offset = head * headWidth
            var job = job(sample, head)
            var wanted = uspi_attention_gradient()
            wanted.dout = UnsafeRawPointer(dy.start(sample, offset))
            (wanted.dout_row, wanted.dout_type) = (Int64(width), gradient.dtype.kernel)
            func place(
                _ target: GradientTarget?, _ operand: HeadOperand
            ) -> UnsafeMutablePointer<Float>? {
                target.map {
                    operand.start(sample, offset, of: $0.tensor).assumingMemoryBound(to: Float.self)
                }
            }
            wanted.dq = place(targets.query, query)
            wanted.dk = place(targets.key, key)
            wanted.dv = place(targets.value, value)
            (wanted.dq_row, wanted.dk_row) = (Int64(query.row), Int64(key.row))
            wanted.dv_row = Int64(value.row)
            wanted.add_q = targets.query?.accumulates == true ? 1 : 0
            wanted.add_k = targets.key?.accumulates == true ? 1 : 0
            wanted.add_v = targets.value?.accumulates == true ? 1 : 0
            wanted.dbias = biasSums.map {
                $0.floats + (sample * heads + head) * $0.shape[2]
            }
            guard let prepared else { return uspi_attention_backward(&job, &wanted, base) }
            prepared.backward(
                &job, &wanted, sample: sample, at: base + bytes,
                sums: sums.map { $0.floats + (sample * heads + head) * sumsOfHead },
                workspace: base)
        }
        if let prepared, let sums { try prepared.fold(sums, tape) }
        if let bias, let biasSums { try bias.fold(biasSums, tape) }
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
}
