// A model's parameters under the names of another library.

import USPBase
import USPFiles
import USPTensor

extension Model {
    /// The parameters in another layout, with the model's own texts.
    ///
    /// - layout: `official` (CompVis', MAE's, DiT's, timm's names) or `diffusers`
    /// - Throws: `.argument` for an unknown layout; `.unsupported` for what the layout cannot say
    public func written(as layout: String) throws(USPError) -> Checkpoint {
        let known = [WrittenDialect.official, .diffusers].map(\.rawValue)
        guard let dialect = WrittenDialect(rawValue: layout), known.contains(layout) else {
            throw unknownName(layout, what: "layout", known: known)
        }
        let own = try checkpoint()
        let arrays = try FileModel(own.selected).written(as: dialect)
        let tensors = try arrays.map { array throws(USPError) in
            (name: array.name, tensor: try stacked(array))
        }
        let result = try Checkpoint(tensors)
        return try Checkpoint(entries: result.table.entries, metadata: own.metadata)
    }

    /// The parts one after another.
    private func stacked(_ array: WrittenArray) throws(USPError) -> Tensor {
        let result = try Tensor(array.shape)
        var offset = 0
        for part in array.parts {
            let values = try part.tensor(as: .float32)
            try require(
                offset + values.count <= result.count, .internal,
                "\(array.name): more values than \(array.shape)")
            (result.floats + offset).update(from: values.floats, count: values.count)
            offset += values.count
        }
        return result
    }
}
