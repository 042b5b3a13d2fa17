// The loss of masked autoencoders: the error of removed patches against (normalised) patches.

import CKernels
import USPBase

/// How target patches are normalised before they are compared (He et al. 2022, 4.; the variant
/// over images is USP's `norm_image`).
package enum PatchNormalisation: String, Sendable, CaseIterable {
    case none
    /// Mean and unbiased variance of each patch.
    case patch
    /// Mean and unbiased variance of all patches of an image.
    case image
}

extension Context {
    /// Σ mask·mean_E((prediction − target)²) / Σ mask
    ///
    /// - prediction, target: `[B, T, E]`, f32; no gradient flows to `target`
    /// - mask: B·T values, 1 for removed tokens and 0 for kept ones
    /// - Returns: a scalar
    /// - Throws: `.shape`; `.argument` if nothing is masked (the original gives NaN)
    package func maskedPatchError(
        _ prediction: Tensor, target: Tensor, mask: [Float]
    ) throws(USPError) -> Tensor {
        try require(
            prediction.shape.rank == 3 && prediction.shape == target.shape
                && mask.count == prediction.shape.rows, .shape,
            "masked error: prediction \(prediction.shape), target \(target.shape), "
                + "mask of \(mask.count)")
        let (rows, width) = (mask.count, prediction.shape[2])
        let removed = mask.reduce(0.0) { $0 + Double($1) }
        try require(
            removed > 0, .argument,
            "masked error: 0 of \(prediction.shape[0]) x \(prediction.shape[1]) patches are "
                + "masked, expected at least one: the loss is their mean")
        let (p, q) = (prediction.floats, target.floats)
        let grain = rowGrain(width: width)
        let sum = orderedSum(rows, grain: grain) { row in
            mask[row] == 0
                ? 0
                : Double(mask[row])
                    * uspi_squared_difference(p + row * width, q + row * width, width)
        }
        let loss = try Tensor.scalar(Float(sum / Double(width) / removed))
        tape?.record(loss, inputs: [prediction]) { [tape] gradient throws(USPError) in
            guard let wanted = try tape?.target(for: prediction) else { return }
            let factor = gradient.floats[0] * 2 / Float(Double(width) * removed)
            let (p, q) = (prediction.floats, target.floats)  // here, so that both are kept
            let (d, adds): (_, Int32) = (wanted.tensor.floats, wanted.accumulates ? 1 : 0)
            parallelRanges(rows, grain: grain) { range in
                for row in range {
                    uspi_squared_difference_backward(
                        p + row * width, q + row * width, factor * mask[row], d + row * width,
                        width, adds)
                }
            }
        }
        return loss
    }

    /// (x − mean)/√(unbiased variance + 1e-6) over each patch or image; no gradient.
    ///
    /// - patches: `[B, T, E]`, f32
    package func normalisePatches(
        _ patches: Tensor, _ normalisation: PatchNormalisation
    ) throws(USPError) -> Tensor {
        if normalisation == .none { return patches }
        try require(patches.shape.rank == 3, .shape, "normalise patches: \(patches.shape)")
        let y = try Tensor(patches.shape)
        let size = normalisation == .patch ? patches.shape[2] : patches.shape[1] * patches.shape[2]
        let (source, result) = (patches.floats, y.floats)
        let groups = patches.count / max(size, 1)
        parallelRanges(groups, grain: rowGrain(width: size)) { range in
            for group in range {
                uspi_standardise(source + group * size, result + group * size, size, 1e-6)
            }
        }
        return y
    }
}
