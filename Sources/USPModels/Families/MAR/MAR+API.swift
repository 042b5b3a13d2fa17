// What people ask of a masked autoregressive model's network.

import USPBase
import USPTensor

extension MAR {
    public func inputShape(batch: Int) -> Shape { configuration.imageShape(batch) }
    /// T.
    public var tokens: Int { configuration.tokens }
    /// Values of a token, E.
    public var patchSize: Int { configuration.patchSize }
    public var classes: Int { configuration.classes }
    /// The label for no label.
    public var nullClass: Int { configuration.classes }

    /// What the diffusion head is conditioned by, of all tokens.
    ///
    /// - latents: `[B, C, H, W]`; hidden tokens are not read
    /// - labels: B, 0 … K; nil is no label for all
    /// - mask: `[B, T]`, 1 for hidden tokens, as many in each row
    /// - Returns: `[B, T, D]`, D the decoder's width
    public func condition(
        _ latents: Tensor, labels: [Int]?, mask: Tensor
    ) throws(USPError) -> Tensor {
        let context = Context(arithmetic)
        let masking = try Masking(mask: mask)
        return try condition(
            tokens(latents, in: context), labels: self.labels(labels, masking.batch),
            masking: masking, in: context)
    }

    /// Noise and variance of single tokens at steps of the whole process.
    ///
    /// - x: `[N, E]`
    /// - t: N steps, 0 … 999
    /// - condition: `[N, D]`
    /// - Returns: `[N, 2·E]`: the noise, then what its variance is made of
    public func denoise(
        _ x: Tensor, t: [Float], condition: Tensor
    ) throws(USPError) -> Tensor {
        try expect(x, [t.count, patchSize], "x")
        try expect(condition, [t.count, configuration.decoderWidth], "condition")
        try checkSteps(t)
        let context = Context(arithmetic)
        return try head.forward(
            x, times: t, condition: head.embed(condition, in: context), in: context)
    }

    /// The original's guided pass: n tokens given twice, with conditions and then with those of no
    /// label.
    ///
    /// - x: `[2n, E]`; both halves see the first half's
    /// - Returns: `[2n, 2·E]`: the guided noise in both halves, the variance each half's own
    public func denoiseGuided(
        _ x: Tensor, t: [Float], condition: Tensor, scale: Float
    ) throws(USPError) -> Tensor {
        try require(
            x.shape.rank == 2 && x.shape[0] % 2 == 0, .shape,
            "guidance: tokens \(x.shape), expected an even number")
        let (half, values) = (x.shape[0] / 2, x.shape[1])
        let both = try Tensor(x.shape)
        for start in [0, half] {
            (both.floats + start * values).update(from: x.floats, count: half * values)
        }
        let output = try denoise(both, t: t, condition: condition)
        MAR.guide(output, scale: scale)
        return output
    }

    /// The noise of both halves of a head's output becomes the guided one.
    package static func guide(_ output: Tensor, scale: Float) {
        let (half, row) = (output.shape[0] / 2, output.shape[1])
        for token in 0..<half {
            let labelled = output.floats + token * row
            let other = labelled + half * row
            for i in 0..<row / 2 {
                labelled[i] = other[i] + scale * (labelled[i] - other[i])
                other[i] = labelled[i]
            }
        }
    }

    /// The labels, or no label for all.
    package func labels(_ labels: [Int]?, _ count: Int) -> [Int] {
        labels ?? [Int](repeating: nullClass, count: count)
    }

    private func checkSteps(_ t: [Float]) throws(USPError) {
        for (index, step) in t.enumerated()
        where step != step.rounded() || step < 0 || step > 999 {
            throw USPError(.argument, "t: \(step) at \(index), expected whole steps 0 to 999")
        }
    }
}
