// Parameters on their way out, under the names of the file that they came from or under our own.

import USPBase
import USPFiles
import USPTensor

extension FileModel {
    /// Tensors of our parameters' shapes (values or gradients) under the file's names: stacked
    /// parameters come apart again, 1x1 convolutions are matrices where they were.
    ///
    /// - tensors: by our names; all f32
    /// - Returns: in the file's order; factors of rows (LayerScale), which are folded into the rows
    ///   they scale, are ones
    package func exported(
        _ tensors: [(name: String, tensor: Tensor)]
    ) throws(USPError) -> [(name: String, tensor: Tensor)] {
        var result: [(name: String, tensor: Tensor)] = []
        var scales: Set<String> = []
        for (name, tensor) in tensors {
            guard let source = sources[name] else {
                result.append((name, tensor))
                continue
            }
            try require(
                tensor.dtype == .float32 && tensor.count == source.shape.count, .shape,
                "\(name): \(tensor.shape) for the file's \(source.shape)")
            var offset = tensor.byteOffset
            for part in source.parts {
                result.append(
                    (
                        part.name,
                        Tensor(part.shape, .float32, storage: tensor.storage, byteOffset: offset)
                    ))
                offset += part.count * 4
            }
            if let scale = source.rowScale, scales.insert(scale.name).inserted {
                let ones = try Tensor(scale.shape, [Float](repeating: 1, count: scale.count))
                result.append((scale.name, ones))
            }
        }
        for (entry, name) in duplicates {
            if let (_, tensor) = tensors.first(where: { $0.name == name }) {
                result.append((entry.name, try tensor.reshaped(entry.shape)))
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
