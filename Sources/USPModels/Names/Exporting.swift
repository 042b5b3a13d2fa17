// Parameters on their way out, under the names of the file that they came from or under our own.

import USPBase
import USPFiles
import USPTensor

/// How a file names and cuts a model's parameters; nothing of its arrays is kept.
package struct FileNames: Sendable {
    private struct Part {
        let name: String
        let shape: Shape
        init(_ entry: ArchiveEntry) { (name, shape) = (entry.name, entry.shape) }
    }

    /// The table that the model was read from, such as `ema`; empty for the top level.
    package let table: String
    private let parts: [String: [Part]]
    private let duplicates: [(part: Part, of: String)]

    package init(_ file: FileModel) {
        table = file.table
        parts = file.sources.mapValues { $0.parts.map(Part.init) }
        duplicates = file.duplicates.map { (Part($0.entry), $0.of) }
    }

    /// Tensors of our parameters' shapes (values or gradients) under the file's names: stacked
    /// parameters come apart again, 1x1 convolutions are matrices where they were.
    ///
    /// - tensors: by our names; all f32
    /// - Returns: in the given order
    package func exported(
        _ tensors: [(name: String, tensor: Tensor)]
    ) throws(USPError) -> [(name: String, tensor: Tensor)] {
        var result: [(name: String, tensor: Tensor)] = []
        for (name, tensor) in tensors {
            guard let rows = parts[name] else {
                result.append((name, tensor))
                continue
            }
            try require(
                tensor.dtype == .float32 && tensor.count == rows.reduce(0) { $0 + $1.shape.count },
                .shape, "\(name): \(tensor.shape) for the file's \(rows.map(\.shape))")
            var offset = tensor.byteOffset
            for row in rows {
                let part = Tensor(row.shape, .float32, storage: tensor.storage, byteOffset: offset)
                if row.name != TensorSource.zeros { result.append((row.name, part)) }
                offset += row.shape.count * 4
            }
        }
        for (part, name) in duplicates {
            if let (_, tensor) = tensors.first(where: { $0.name == name }) {
                result.append((part.name, try tensor.reshaped(part.shape)))
            }
        }
        return result
    }
}

extension Parameters {
    /// All parameters with their names.
    package var named: [(name: String, tensor: Tensor)] {
        specs.indices.map { (name: specs[$0].name, tensor: self[$0]) }
    }
}

extension ArrayOutput {
    /// A tensor to be written, whose memory is kept until it is.
    package init(_ name: String, _ tensor: Tensor) {
        self.init(
            name, tensor.dtype, tensor.shape,
            bytes: ByteView(base: tensor.raw, count: tensor.byteCount, owner: tensor))
    }
}
