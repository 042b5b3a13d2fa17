// What a forward pass runs in: whether it records, in which type it multiplies, what it drops.

import USPBase

/// The surroundings of one forward pass. Operations are its methods, one file each in Operations/.
package struct Context {
    /// Records gradients; nil computes and keeps nothing.
    package let tape: Tape?

    /// Type of the products' inputs: `.float32`, or `.bfloat16` (f32 accumulation, norms, softmax).
    package let compute: DType

    /// Streams for dropout and drop path; nil switches them off (evaluation).
    package let random: RandomKey?

    /// Whether convolutions sum plainly instead of by Winograd's method.
    package let exactConvolution: Bool

    package init(
        tape: Tape? = nil, compute: DType = .float32, random: RandomKey? = nil,
        exactConvolution: Bool = false
    ) {
        self.tape = tape
        self.compute = compute
        self.random = random
        self.exactConvolution = exactConvolution
    }

    /// The same surroundings with another stream of random numbers.
    package func with(random: RandomKey?) -> Context {
        Context(
            tape: tape, compute: compute, random: random, exactConvolution: exactConvolution)
    }

    /// Type for an activation that only a product will read: `compute` itself.
    package var activationType: DType { compute }
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
