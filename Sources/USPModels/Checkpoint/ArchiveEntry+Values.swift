// Arrays of files as tensors of another type, whole or a piece at a time.

import USPBase
import USPFiles
import USPTensor

extension ArchiveEntry {
    /// The elements as a tensor of their own, converted.
    package func tensor(as dtype: DType) throws(USPError) -> Tensor {
        let view = try bytes()
        let result = try converted(view, shape, to: dtype)
        try view.expectUnchanged()
        return result
    }

    /// The elements as doubles, whatever real or integer type they have.
    package func doubles() throws(USPError) -> [Double] {
        let tensor = try tensor(as: .float64)
        let start = tensor.raw.assumingMemoryBound(to: Double.self)
        return Array(UnsafeBufferPointer(start: start, count: tensor.shape.count))
    }

    /// This array on its way into a file, a floating one as another type, from little memory.
    package func output(as dtype: DType?) -> ArrayOutput {
        guard let dtype, dtype != self.dtype, self.dtype.isFloating else {
            return ArrayOutput(self)
        }
        return ArrayOutput(name, dtype, shape) { file throws(USPError) in
            let view = try bytes()
            let size = self.dtype.size
            for first in stride(from: 0, to: count, by: 1 << 20) {
                let length = min(1 << 20, count - first)
                let part = try view.part(first * size, length * size, name)
                let piece = try converted(part, [length], to: dtype)
                try file.write(UnsafeRawBufferPointer(start: piece.raw, count: length * dtype.size))
            }
            try view.expectUnchanged()
        }
    }

    private func converted(
        _ view: ByteView, _ shape: Shape, to target: DType
    ) throws(USPError) -> Tensor {
        let aligned = view.isAligned(to: dtype.size) ? view : try ByteBuffer(view.bytes).view
        defer { withExtendedLifetime(aligned.owner) {} }
        // SAFETY: a view for reading only; `gathered` copies.
        let source = try StridedView(
            UnsafeMutableRawPointer(mutating: aligned.base), shape.extents, strides: [], dtype, name
        )
        return try source.gathered(as: target)
    }
}
