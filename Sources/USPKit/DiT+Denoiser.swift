// A diffusion transformer as samplers and losses ask it.

import USPBase
import USPDiffusion
import USPModels
import USPTensor

extension DiT {
    /// What samplers and losses ask. What depends on times and labels alone is kept from one call
    /// to the next, for solvers that come back to a time.
    public var denoiser: Denoiser {
        let conditions = ConditionMemo(self, Context(arithmetic))
        let derivative: Denoiser.Derivative = { [self] x, times, y, probe throws(USPError) in
            try differentiate(x, t: times, y: try labels(y, times.count), along: probe)
        }
        return Denoiser(
            nullClass: nullClass, repeatsLatents: true, derivative: derivative,
            alignment: { [self] x, times, y, features throws(USPError) in
                let (output, cosines) = try aligning(
                    x, t: times, y: try labels(y, times.count), with: features,
                    in: Context(arithmetic))
                return (output, DiT.alignment(cosines))
            },
            guidedChannels: guidedChannels, noiseAt: configuration.noiseTime,
            expectTrainedNull: { [notes] () throws(USPError) in
                try notes.expectTrainedNull("guidance")
            },
            reusing: { [self] rule, count in
                let memo = BlockMemo(
                    interval: rule.interval, threshold: rule.threshold, order: rule.order)
                return { [self] x, times, y throws(USPError) in
                    let own = try labels(y, times.count)
                    let (output, computed) = try forward(
                        x, conditions.at(times, own), time: times[0], labels: own, reusing: memo,
                        in: Context(arithmetic))
                    count.samples += computed
                    return output
                }
            }
        ) { [self] x, times, y throws(USPError) in
            let conditioning = try conditions.at(times, try labels(y, times.count))
            return try forward(x, conditioning, in: Context(arithmetic))
        }
    }

    /// Leading channels that guidance moves where it does not say: REPA guides all.
    private var guidedChannels: Int {
        configuration.noiseTime == 0 ? Guidance.publishedChannels : configuration.channels
    }

    /// The originals' guided pass: n samples given twice, with labels and then with null labels.
    ///
    /// - x: `[2n, C, H, W]`; both halves see the first half's latents
    /// - guidance: of one scale; channels are the published ones where it does not say. Outside of
    ///   its interval, by the first time, both halves get the labelled half's.
    public func forwardGuided(
        _ x: Tensor, t: [Float], y: [Int], _ guidance: Guidance
    ) throws(USPError) -> Tensor {
        try guidance.check()
        if !guidance.changesNothing { try notes.expectTrainedNull("guidance") }
        try require(
            x.shape.rank == 4 && x.shape[0] % 2 == 0, .shape,
            "guidance: latents \(x.shape), expected an even batch")
        try require(
            t.count == x.shape[0], .shape, "\(t.count) timesteps for \(x.shape[0]) latents")
        let samples = x.shape[0] / 2
        let output = try forward(
            x.detachedRows(0..<samples), t: t, y: y, in: Context(arithmetic))
        let scale = guidance.applies(at: t.first ?? 0) ? guidance.scale : 1
        Guidance.combine(
            output, scales: [Float](repeating: scale, count: samples),
            channels: min(guidance.channels ?? guidedChannels, configuration.channels),
            alsoNull: true)
        return output
    }

    /// One pass forwards and one back: the gradient goes to the latents alone.
    private func differentiate(
        _ x: Tensor, t: [Float], y: [Int], along probe: Tensor
    ) throws(USPError) -> (output: Tensor, product: Tensor) {
        let leaf = Tensor(x.shape, x.dtype, storage: x.storage, byteOffset: x.byteOffset)
        let product = try Tensor.zeros(x.shape)
        leaf.node.setLeaf(gradient: product)
        let tape = Tape()
        defer { tape.forget() }
        let output = try forward(
            leaf, t: t, y: y, in: Context(arithmetic, tape: tape))
        let seed = try Tensor.zeros(output.shape)
        let (count, stride) = (probe.count / t.count, output.count / t.count)
        for sample in t.indices {
            (seed.floats + sample * stride).update(
                from: probe.floats + sample * count, count: count)
        }
        try tape.backward(from: output, gradient: seed)
        return (output, product)
    }
}

/// The conditioning of the last times and labels.
private final class ConditionMemo {
    private let network: DiT
    private let context: Context
    private var last: (times: [Float], labels: [Int], conditioning: DiTConditioning)?

    init(_ network: DiT, _ context: Context) {
        self.network = network
        self.context = context
    }

    func at(_ times: [Float], _ labels: [Int]) throws(USPError) -> DiTConditioning {
        if let last, last.times == times, last.labels == labels { return last.conditioning }
        last = nil
        let conditioning = try network.conditioning(t: times, y: labels, in: context)
        last = (times, labels, conditioning)
        return conditioning
    }
}
