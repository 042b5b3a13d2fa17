// Derived copies of a parameter: packed for the product that reads it, never saved.

import CKernels
import USPBase

/// How a `[N, K]` weight stands in a product.
package enum PackedUse: Hashable, Sendable {
    /// y[M, N] = x[M, K] · Wᵀ, as in a forward pass.
    case forward
    /// The same of a gated unit: the columns of both halves of N side by side.
    case gatedForward
    /// dx[M, K] = dy[M, N] · W, as in a backward pass.
    case backward
    /// Anything else an operation derives (a transformed convolution kernel, say), by its name.
    case custom(String)
}

/// The packed copies of one parameter, made at first use and dropped when the parameter changes.
package final class PackedCopies: @unchecked Sendable {
    // SAFETY of @unchecked: `copies` is touched only under `lock`.
    private struct Key: Hashable {
        let use: PackedUse
        let compute: DType
    }

    /// One for all parameters: they are many, and a look takes no time.
    private static let lock = Lock(())
    private var copies: [Key: Storage] = [:]

    /// Drops all copies: call after writing the parameter.
    package func invalidate() { PackedCopies.lock.withLock { _ in copies.removeAll() } }

    /// The copy for this use; `make` fills a new one of `byteCount` bytes if there is none.
    package func copy(
        _ use: PackedUse, compute: DType, byteCount: Int,
        make: (UnsafeMutableRawPointer) throws(USPError) -> Void
    ) throws(USPError) -> Storage {
        let key = Key(use: use, compute: compute)
        if let present = PackedCopies.lock.withLock({ _ in copies[key] }) { return present }
        let fresh = try Storage(byteCount: byteCount, .lasting)
        try make(fresh.base)
        // Two threads may have packed at once: the first to arrive is kept.
        return PackedCopies.lock.withLock { _ in
            if let present = copies[key] { return present }
            copies[key] = fresh
            return fresh
        }
    }
}

extension Tensor {
    /// A derived copy of a parameter: kept beside it, or made anew for each use while the parameter
    /// is trained, as every step would make it anew anyway.
    func derived(
        _ use: PackedUse, compute: DType, byteCount: Int,
        make: (UnsafeMutableRawPointer) throws(USPError) -> Void
    ) throws(USPError) -> Storage {
        guard node.requiresGradient else {
            return try node.packed.copy(use, compute: compute, byteCount: byteCount, make: make)
        }
        let fresh = try Storage(byteCount: byteCount)
        try make(fresh.base)
        return fresh
    }
}
