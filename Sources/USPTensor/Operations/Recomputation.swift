// Memory for time: a part of the forward pass that is run again when its gradient is wanted.

import USPBase

extension Context {
    /// body(inputs), keeping only the inputs; the gradient runs `body` once more
    /// (Chen et al. 2016).
    ///
    /// - inputs: values that gradients flow through
    /// - uses: parameters that `body` reads, so that it is recorded when only they are trained
    /// - body: a pure function of its inputs, the parameters and the context it is given
    package func recomputed(
        _ inputs: [Tensor], uses: [Tensor],
        _ body: @escaping ([Tensor], Context) throws(USPError) -> Tensor
    ) throws(USPError) -> Tensor {
        guard let tape else { return try body(inputs, self) }
        let output = try body(inputs, recording(on: nil))
        tape.record(output, inputs: inputs + uses) { gradient throws(USPError) in
            let inner = tape.inner()
            let copies = inputs.map { $0.detached(requiresGradient: $0.node.requiresGradient) }
            let again = try body(copies, recording(on: inner))
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
