// What a masked autoencoder completes, ready to be looked at.

import USPBase
import USPModels
import USPTensor

extension MaskedAutoencoder {
    /// Latents whose masked patches are predicted and whose others are the truth.
    ///
    /// Of a model that learned normalised patches the normalisation is undone with the statistics of
    /// the true patch, as MAE's own pictures do: it shows what was predicted, not what a reader of
    /// the visible half alone could know.
    ///
    /// - latents: `[B, C, H, W]`
    /// - options: `normalizesPatches` says how the model was trained
    /// - Returns: `[B, C, H, W]`, and `[B, T]`: 1 for masked tokens
    public func completion(
        of latents: Tensor, _ options: Options
    ) throws(USPError) -> (latents: Tensor, mask: Tensor) {
        let (prediction, mask) = try predict(latents, options)
        let truth = try Context().patchify(
            latents, patch: configuration.patch, order: .channelLast)
        let completed = try prediction.copied()
        let size = patchSize
        for token in 0..<mask.count {
            let values = completed.floats + token * size
            let own = truth.floats + token * size
            guard mask.floats[token] == 1 else {
                values.update(from: own, count: size)
                continue
            }
            if options.normalizesPatches { denormalise(values, like: own, count: size) }
        }
        return (try image(completed), mask)
    }

    private func denormalise(
        _ values: UnsafeMutablePointer<Float>, like truth: UnsafeMutablePointer<Float>, count: Int
    ) {
        let own = UnsafeBufferPointer(start: truth, count: count)
        let mean = own.reduce(0, +) / Float(count)
        let squares = own.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        let deviation = (squares / Float(max(count - 1, 1)) + 1e-6).squareRoot()
        for index in 0..<count { values[index] = values[index] * deviation + mean }
    }

    /// Images `[B, C, H, W]` with grey in place of the masked tokens' squares.
    ///
    /// - mask: `[B, T]`
    public func hiding(_ mask: Tensor, in images: Tensor) throws(USPError) -> Tensor {
        let grid = configuration.grid
        let shape = images.shape
        try require(
            shape.rank == 4 && shape[2] % grid.height == 0 && shape[3] % grid.width == 0
                && mask.shape == [shape[0], grid.count], .shape,
            "images: shape \(shape), mask \(mask.shape), for \(grid) tokens")
        let result = try images.copied()
        let (height, width) = (shape[2] / grid.height, shape[3] / grid.width)
        for (index, removed) in mask.values.enumerated() where removed == 1 {
            let (sample, token) = index.quotientAndRemainder(dividingBy: grid.count)
            let (row, column) = token.quotientAndRemainder(dividingBy: grid.width)
            for channel in 0..<shape[1] {
                let plane = result.floats + (sample * shape[1] + channel) * shape[2] * shape[3]
                for y in row * height..<(row + 1) * height {
                    (plane + y * shape[3] + column * width).update(repeating: 0, count: width)
                }
            }
        }
        return result
    }
}
