// Latents from a masked autoregressive model: all tokens hidden at first, a few more predicted at
// each iteration, each by a diffusion of its own.

import USPBase
import USPDiffusion
import USPModels
import USPTensor

extension MAR {
    /// How the guidance of an iteration goes by the share of tokens that are predicted then.
    public enum GuidanceSchedule: String, Sendable, CaseIterable {
        /// 1 + (scale − 1)·share
        case linear
        case constant
    }

    /// How latents are drawn.
    public struct SampleOptions: Sendable {
        public var iterations = 64
        /// 1 is none.
        public var scale: Float = 1
        public var schedule = GuidanceSchedule.linear
        public var temperature: Float = 1
        public var respacing = "100"
        /// Reverse steps of the last iteration; nil: as many as of the first.
        public var lastSteps: Int?
        public var seed: UInt64 = 0
        public var generator: String?
        public var firstSample = 0
        public var totalSamples: Int?
        public var previewInterval = 10
        /// B·T: a permutation of the tokens for each sample, of which the first stay hidden longest;
        /// nil draws it.
        public var orders: [Int]?
        /// `[B, C, H, W]`: what each token's diffusion starts from; nil draws it.
        public var start: Tensor?
        /// `[S, B, C, H, W]`: the noise of each reverse step, the noisiest first, used at a token's
        /// place; nil draws it.
        public var noise: Tensor?

        public init() {}
    }
}

extension MAR.SampleOptions: Described {
    public static let title = "MAR sampler"
    public static let members =
        [
            CMember(
                "const usp_tensor *", "orders",
                "[B, T] i64: a permutation of the tokens for each sample, of which the first stay hidden "
                    + "longest; NULL: drawn from seed."),
            CMember(
                "const usp_tensor *", "z",
                "[B, C, H, W] f32: what the diffusion of each token starts from; NULL: drawn."),
            CMember(
                "const usp_tensor *", "noise",
                "[S, B, C, H, W] f32: the noise of each reverse step, the noisiest first, used at a "
                    + "token's place in the iteration that predicts it; NULL: drawn."),
        ] + SamplingMonitor.members(each: "iteration")
    public static let fields: [Field<MAR.SampleOptions>] = [
        .integer(
            "iterations", \.iterations, FieldRange(1, 1e6),
            "Passes of encoder and decoder, 1 to T; each predicts more tokens than the one before."),
        .real(
            "cfg_scale", \.scale, .any,
            "Guidance between the prediction with and without label; 1 is none."),
        .choice(
            "cfg_schedule", \.schedule,
            "linear: 1 + (cfg_scale - 1) times the share of tokens that are then predicted."),
        .real(
            "temperature", \.temperature, .notNegative,
            "Factor of the noise between the reverse steps of a token."),
        .text(
            "respacing", \.respacing,
            "Which of the 1000 steps a token's diffusion uses, as usp_diffusion_options.respacing."),
        .integer(
            "last_steps", \.lastSteps, FieldRange(1, 1000),
            "Reverse steps of the last iteration; the number falls to it evenly from respacing's, "
                + "then a plain number (DiSA: later tokens need fewer). Absent: it stays."),
        .seed("seed", \.seed, "Of orders and noise that are drawn."),
        .choice(
            "generator", \.generator, ["torch"],
            "torch: the noise that the original draws on a CPU after this seed; absent: one "
                + "counter-based stream for each sample, token and step."),
        .integer(
            "first_sample", \.firstSample, FieldRange(0, 0x1p48),
            "Number of the batch's first sample, for runs in parts: what is drawn goes by a "
                + "sample's number."),
        .integer(
            "total_samples", \.totalSamples, FieldRange(1, 0x1p48),
            "Samples of all parts together, which torch's generator draws at once; absent: the "
                + "batch's."),
        .integer(
            "preview_interval", \.previewInterval, .from(1), "Iterations from preview to preview."),
    ]
}

extension MAR.SampleOptions {
    /// Of networks that have hardly been trained: 25 reverse steps from step 750 down, since a step at
    /// the noisiest end multiplies what the network misses a thousandfold.
    static let early = {
        var result = Self()
        result.respacing = "9,8,7,1"
        return result
    }()

    /// The reverse steps of an iteration.
    func respacing(of iteration: Int) throws(USPError) -> String {
        guard let last = lastSteps else { return respacing }
        guard let first = Int(respacing), first >= last else {
            throw USPError(
                .argument,
                "last_steps: \(last), expected at most respacing, a plain number; it is "
                    + "\"\(respacing)\"")
        }
        let progress = Double(iteration) / Double(max(iterations - 1, 1))
        return String(Int((Double(first) - Double(first - last) * progress).rounded()))
    }

    func process(_ respacing: String) -> Diffusion.Options {
        var result = Diffusion.Options()
        (result.schedule, result.respacing) = (.cosine, respacing)
        return result
    }
}

extension MAR {
    /// - Throws: `.argument` for options that no run of this model has
    public func check(_ options: SampleOptions) throws(USPError) {
        try options.checkFields()
        try require(
            options.iterations <= tokens, .argument,
            "iterations: \(options.iterations), expected 1 to \(tokens), the tokens")
        _ = try Diffusion(options.process(options.respacing(of: 0)))
    }

    /// Draws latents `[B, C, H, W]`.
    ///
    /// - labels: B, 0 … K; nil is no label for `count` samples
    /// - Throws: `.argument` for a label above K, more iterations than tokens, orders that are no
    ///   permutations; `.notFinite` naming the iteration
    public func sample(
        labels: [Int]?, count: Int? = nil, _ options: SampleOptions = SampleOptions(),
        _ monitor: SamplingMonitor = SamplingMonitor()
    ) throws(USPError) -> Tensor {
        guard let batch = count ?? labels?.count, batch > 0 else {
            throw USPError(.argument, "labels: are needed, or the number of samples")
        }
        if options.scale != 1 { try notes.expectTrainedNull("cfg_scale \(options.scale)") }
        let run = try AutoregressiveRun(self, self.labels(labels, batch), options)
        for iteration in 0..<options.iterations { try run.iterate(iteration, monitor) }
        return try run.latents()
    }
}
