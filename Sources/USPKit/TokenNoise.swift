// The noise of a masked autoregressive model's tokens: given, PyTorch's, or a stream for each.

import USPBase
import USPDiffusion
import USPModels
import USPTensor

/// Where the noise of tokens comes from.
final class TokenNoise {
    private let model: MAR
    private let options: MAR.SampleOptions
    private let batch: Int
    private let total: Int
    private let key: RandomKey
    /// The original's draws of all samples' tokens; of guided steps for both halves.
    private let torch: NoiseSource?
    /// `[B, T, E]` and `[S·B, T, E]`, where they are given.
    private let given: (start: Tensor?, noise: Tensor?)

    init(_ model: MAR, _ options: MAR.SampleOptions, batch: Int) throws(USPError) {
        (self.model, self.options, self.batch) = (model, options, batch)
        total = options.totalSamples ?? batch
        try require(
            options.generator == nil
                || total >= batch && total - batch >= options.firstSample, .argument,
            "samples \(options.firstSample) to \(options.firstSample + batch - 1), but there are "
                + "\(total) in all")
        key = RandomKey(seed: options.seed).stream("mar").stream("noise")
        torch =
            options.generator == nil
            ? nil : .torch(TorchRandom(seed: options.seed), doubled: options.scale != 1)
        let (context, image) = (Context(), model.inputShape(batch: batch))
        var start: Tensor?
        if let z = options.start {
            try expect(z, image, "z")
            start = try model.tokens(z, in: context)
        }
        var noise: Tensor?
        if let stack = options.noise {
            let steps = stack.shape.rank > 0 ? stack.shape[0] : 0
            try expect(stack, Shape([steps] + image.extents), "noise")
            noise = try model.tokens(
                stack.reshaped(model.inputShape(batch: steps * batch)), in: context)
        }
        given = (start, noise)
    }

    /// What the diffusion of the chosen tokens starts from, `[B·R, E]`.
    func start(_ chosen: TokenChoice) throws(USPError) -> Tensor {
        try rows(chosen, given.start, entry: 0, draw: 0)
    }

    /// The noise of a reverse step; 0 is the noisiest.
    func noise(_ chosen: TokenChoice, draw: Int) throws(USPError) -> Tensor {
        try rows(chosen, given.noise, entry: draw, draw: draw + 1)
    }

    private func rows(
        _ chosen: TokenChoice, _ stack: Tensor?, entry: Int, draw: Int
    ) throws(USPError) -> Tensor {
        let (values, places) = (model.patchSize, chosen.positions)
        let result = try Tensor([places.count, values])
        let target = result.floats
        // torch's numbers are drawn whether they are given or not.
        let drawn = try drawn(chosen, isStart: draw == 0)
        if let stack {
            for (row, place) in places.enumerated() {
                let sample = entry * batch + row / chosen.perSample
                (target + row * values).update(
                    from: stack.floats + (sample * model.tokens + place) * values, count: values)
            }
        } else if let drawn {
            let first = options.firstSample * chosen.perSample * values
            target.update(from: drawn.floats + first, count: result.count)
        } else {
            parallelRanges(places.count, grain: 64) { range in
                for row in range {
                    let sample = options.firstSample + row / chosen.perSample
                    var stream = RandomStream(
                        key.stream(sample).stream(places[row]).stream(draw))
                    for i in 0..<values { target[row * values + i] = stream.normal() }
                }
            }
        }
        return result
    }

    private func drawn(_ chosen: TokenChoice, isStart: Bool) throws(USPError) -> Tensor? {
        guard let torch else { return nil }
        let shape: Shape = [total, chosen.perSample, model.patchSize, 1]
        if isStart { return try torch.start(shape) }
        let all = try Tensor(shape)
        try torch.fill(all)
        return all
    }
}
