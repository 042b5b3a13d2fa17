// What a forward pass runs in: whether it records, in which type it multiplies, what it drops.

import USPBase

/// The surroundings of one forward pass. Operations are its methods, one file each in Operations/.
package struct Context {
    /// Records gradients; nil computes and keeps nothing.
    package let tape: Tape?

    /// Type of the products' inputs: `.float32`, or `.bfloat16` (f32 accumulation, norms, softmax);
    /// `.int8` in the linear layers of a context that `isQuantized`, nowhere else.
    package let compute: DType

    /// Whether the linear layers of transformer blocks multiply in 8 bits; for inference only.
    package let isQuantized: Bool

    /// Streams for dropout and drop path; nil switches them off (evaluation).
    package let random: RandomKey?

    /// Whether every element is a plain sum: convolutions without Winograd's method, f32 products
    /// without Strassen's.
    package let exact: Bool

    package init(
        tape: Tape? = nil, compute: DType = .float32, random: RandomKey? = nil,
        exact: Bool = false, isQuantized: Bool = false
    ) {
        self.tape = tape
        self.compute = compute
        self.isQuantized = isQuantized
        self.random = random
        self.exact = exact
    }

    package init(_ arithmetic: Arithmetic, tape: Tape? = nil) {
        let isQuantized = arithmetic.compute == .int8
        self.init(
            tape: tape, compute: isQuantized ? .float32 : arithmetic.compute,
            exact: arithmetic.exact, isQuantized: isQuantized)
    }

    /// The same surroundings with another stream of random numbers.
    package func with(random: RandomKey?) -> Context {
        Context(
            tape: tape, compute: compute, random: random, exact: exact, isQuantized: isQuantized)
    }

    /// The same surroundings with another tape; nil records nothing.
    package func recording(on tape: Tape?) -> Context {
        Context(
            tape: tape, compute: compute, random: random, exact: exact, isQuantized: isQuantized)
    }

    /// The same with products of another type.
    private func multiplying(in compute: DType) -> Context {
        Context(
            tape: tape, compute: compute, random: random, exact: exact, isQuantized: isQuantized)
    }

    /// What a transformer block runs in. If its layers multiply in 8 bits, attention and what lies
    /// between products are bf16 where the processor multiplies that.
    package var inBlock: Context {
        guard isQuantized else { return self }
        return multiplying(in: multipliesBFloat16 ? .bfloat16 : .float32)
    }

    /// What a block's linear layers run in.
    package var inBlockLayer: Context { isQuantized ? multiplying(in: .int8) : self }

    /// Type for an activation that only a product will read: `compute` itself, but 8 bits are made as
    /// they are packed.
    package var activationType: DType { compute == .int8 ? .float32 : compute }
}

/// How a model's products are computed.
public struct Arithmetic: Sendable, Equatable {
    /// Type of their inputs: f32, bf16, or i8 in the linear layers of transformer blocks (weights with
    /// a scale for each output, activations with one for each token; exact sums).
    public var compute = DType.float32
    /// See `Context.exact`.
    public var exact = false

    public init(compute: DType = .float32, exact: Bool = false) {
        self.compute = compute
        self.exact = exact
    }
}

/// One of `count` equal column blocks of a `[B, count·D]` tensor, as AdaLN's projections are laid
/// out: rows are samples, and `index` chooses the block.
package struct Chunk {
    package let tensor: Tensor
    package let index: Int
    package let width: Int

    package init(_ tensor: Tensor, _ index: Int, width: Int) {
        self.tensor = tensor
        self.index = index
        self.width = width
    }

    /// Elements from one sample's row to the next.
    package var rowStride: Int { tensor.shape[-1] }
    package var pointer: UnsafeMutablePointer<Float> { tensor.floats + index * width }
}

/// Throws `.shape` unless the tensor has this shape.
package func expect(
    _ tensor: Tensor, _ shape: Shape, _ name: String
) throws(USPError) {
    guard tensor.shape == shape else {
        throw USPError(.shape, "\(name): expected \(shape), got \(tensor.shape)")
    }
}
