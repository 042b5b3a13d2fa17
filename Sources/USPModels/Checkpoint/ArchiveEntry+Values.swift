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

    /// As `output`; in 8 bits, weights of products are two arrays (`RowScaled`) and the others stay
    /// as they are: embeddings, norms, modulation and the last layer, where 8 bits hurt most.
    package func outputs(as dtype: DType?) -> [ArrayOutput] {
        guard dtype == .int8 else { return [output(as: dtype)] }
        let kept = [
            "embed", "embedder", "embedding_table", "adaLN_modulation", "final_layer", "head",
        ]
        guard self.dtype.isFloating, shape.rank >= 2, count > 0, name.hasSuffix(".weight"),
            !name.split(separator: ".").contains(where: { part in
                kept.contains(where: part.hasSuffix)
            })
        else { return [output(as: nil)] }
        let rows = shape.extents[0]
        return [
            ArrayOutput(name, .int8, shape) { file throws(USPError) in
                try eachRow { row, scale throws(USPError) in
                    try file.write(
                        row.map { value in
                            guard scale > 0 else { return 0 }
                            // The scale of subnormal numbers is far from what it stands for.
                            let whole = min(max((value / scale).rounded(), -127), 127)
                            return UInt8(bitPattern: Int8(whole))
                        })
                }
            },
            ArrayOutput(name + RowScaled.suffix, .float32, [rows, 1]) { file throws(USPError) in
                try eachRow { _, scale throws(USPError) in
                    try file.write(littleEndian(scale.bitPattern))
                }
            },
        ]
    }

    /// Rows as floats, each with the scale that makes its largest magnitude 127.
    private func eachRow(
        _ body: (_ row: UnsafeBufferPointer<Float>, _ scale: Float) throws(USPError) -> Void
    ) throws(USPError) {
        // Read once, from whatever the file has.
        let whole = try reshaped(shape)
        for index in 0..<shape.extents[0] {
            let tensor = try whole.rows(index..<index + 1).tensor(as: .float32)
            let row = UnsafeBufferPointer(start: tensor.floats, count: tensor.count)
            let most = row.reduce(Float(0)) { max($0, abs($1)) }
            try require(
                row.allSatisfy(\.isFinite), .notFinite,
                "\(name): row \(index) is not finite; 8 bits cannot hold it")
            try body(row, most / 127)
            withExtendedLifetime(tensor) {}
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
