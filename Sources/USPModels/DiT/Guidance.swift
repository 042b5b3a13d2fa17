// Classifier-free guidance (Ho and Salimans 2022) over a batch of conditional and null samples.

import USPBase
import USPTensor

extension DiT {
    /// Guided prediction for n samples given twice: with labels, then with null labels.
    ///
    /// Like the originals, both halves see the first half's latents, and the second half's times
    /// and labels are used as they are.
    /// - x: `[2n, C, H, W]`; t, y: 2n values
    /// - scale: null + scale·(labelled − null)
    /// - channels: how many leading channels are guided: 3 (the originals' rule) or all
    /// - Returns: as `forward`; both halves hold the guided channels. No gradient.
    /// - Throws: `.shape`, `.argument`
    package func forwardGuided(
        _ x: Tensor, t: [Float], y: [Int], scale: Float, channels: Int, in context: Context
    ) throws(USPError) -> Tensor {
        try require(
            x.shape.rank == 4 && x.shape[0] % 2 == 0, .shape,
            "guidance: latents \(x.shape), expected an even batch")
        try require(
            t.count == x.shape[0], .shape, "\(t.count) timesteps for \(x.shape[0]) latents")
        let output = try forward(
            try x.detachedRows(0..<x.shape[0] / 2), t: t, y: y, in: context.recording(on: nil))
        try DiT.guide(output, scale: scale, channels: channels)
        return output
    }

    /// Replaces the leading channels of both halves by null + scale·(labelled − null).
    ///
    /// - output: `[2n, C, H, W]`: labelled samples, then their null copies
    /// - Throws: `.shape`; `.argument` for more channels than there are
    package static func guide(
        _ output: Tensor, scale: Float, channels: Int
    ) throws(USPError) {
        try require(
            output.shape.rank == 4 && output.shape[0] % 2 == 0, .shape,
            "guidance: output \(output.shape)")
        try require(
            channels >= 0 && channels <= output.shape[1], .argument,
            "guidance on \(channels) of \(output.shape[1]) channels")
        let (samples, plane) = (output.shape[0] / 2, output.shape[2] * output.shape[3])
        let sample = output.shape[1] * plane
        for index in 0..<samples {
            let labelled = output.floats + index * sample
            let null = output.floats + (samples + index) * sample
            for i in 0..<channels * plane {
                let value = null[i] + scale * (labelled[i] - null[i])
                labelled[i] = value
                null[i] = value
            }
        }
    }
}
