// Memory for time: a part of the forward pass that is run again when its gradient is wanted.

import USPBase

/// What a transformer computes again in a backward pass instead of keeping it: the same bits from
/// less memory in more time. Figures are of whole training steps with AdamW, against `nothing`.
public enum Recomputation: String, Sendable, CaseIterable {
    case nothing
    /// The hidden layer of each block, 4 of the 10 widths of a token that a block keeps: one of its
    /// four products is taken twice. MAE-B, batch 16: 0.86 of the memory in 1.09 of the time (bf16
    /// 0.92 in 1.08).
    case hidden
    /// Each block, of which only the input is kept. MAE-B, batch 16: 0.69 of the memory in 1.20 of
    /// the time (bf16 0.81 in 1.18).
    case blocks
}

extension Context {
    /// body(inputs), keeping only the inputs; the gradient runs `body` once more
    /// (Chen et al. 2016).
    ///
    /// - inputs: values that gradients flow through
    /// - uses: parameters that `body` reads, so that it is recorded when only they are trained
    /// - body: a pure function of its inputs, the parameters and the context it is given. Run
    ///   again, it is told that nobody reads its result (`LinearOptions.leavesResultUndefined`)
    package func recomputed(
        _ inputs: [Tensor], uses: [Tensor],
        _ body:
            @escaping (_ inputs: [Tensor], Context, _ leavesResultUndefined: Bool)
            throws(USPError) -> Tensor
    ) throws(USPError) -> Tensor {
        guard let tape else { return try body(inputs, self, false) }
        let output = try body(inputs, recording(on: nil), false)
        tape.record(output, inputs: inputs + uses) { gradient throws(USPError) in
            let inner = tape.inner()
            defer { inner.forget() }
            let copies = inputs.map { $0.detached(requiresGradient: $0.node.requiresGradient) }
            let again = try body(copies, recording(on: inner), true)
            try inner.backward(from: again, gradient: gradient)
            for (copy, input) in zip(copies, inputs) {
                if let own = copy.node.gradient { try tape.pass(own, to: input) }
            }
        }
        return output
    }
}

extension Tensor {
    /// The same memory as a value of its own on the tape.
    func detached(requiresGradient: Bool) -> Tensor {
        let result = Tensor(shape, dtype, storage: storage, byteOffset: byteOffset)
        result.node.requiresGradient = requiresGradient
        return result
    }
}
