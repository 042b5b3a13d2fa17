// What samplers and losses ask: a model of the library, or any function.

import USPBase
import USPTensor

/// Predicts noise, velocity or whatever the process is about from noisy latents.
public struct Denoiser {
    /// - x: `[B, C, H, W]` f32, not to be kept or changed
    /// - times: one a sample, on the model's scale (0 … 999 for DiT, 0 … 1 for SiT)
    /// - labels: one a sample; nil if the run has none
    /// - Returns: f32 `[B, C, H, W]`, or `[B, 2C, H, W]` where variances are learned too
    public typealias Predict = (
        _ x: Tensor, _ times: [Float], _ labels: [Int]?
    ) throws(USPError) -> Tensor

    /// The exact derivative of the prediction along a probe.
    ///
    /// - probe: `[B, C, H, W]`
    /// - Returns: the prediction, and probeᵀ·∂(its first C channels)/∂x, `[B, C, H, W]`
    package typealias Derivative = (
        _ x: Tensor, _ times: [Float], _ labels: [Int]?, _ probe: Tensor
    ) throws(USPError) -> (output: Tensor, product: Tensor)

    /// The prediction, and how far the model's projected tokens are from teachers' features, one
    /// number a sample: minus the mean of their cosines (REPA).
    ///
    /// - features: `[B, T, Z]` for each teacher
    package typealias Alignment = (
        _ x: Tensor, _ times: [Float], _ labels: [Int]?, _ features: [Tensor]
    ) throws(USPError) -> (output: Tensor, losses: [Float])

    /// Predictions of a run in which blocks' results are used again.
    package typealias Reusing = (Reuse, ReuseCount) -> Predict

    private var function: Predict
    private let reusing: Reusing?
    private var reuse: ReuseState?
    private var count = ReuseCount()
    private let alignment: Alignment?
    private let exactDerivative: Derivative?
    /// The label that stands for no label, which guidance needs.
    public let nullClass: Int?
    /// Whether twice the times and labels may be asked of the same latents.
    private let repeatsLatents: Bool
    /// Leading channels that guidance moves where it does not say.
    public let guidedChannels: Int
    /// The model's time of pure noise where it is a transport's: 0 as SiT's, 1 as REPA's.
    package let noiseAt: Int
    /// Throws where the null class has never been trained.
    private let expectTrainedNull: @Sendable () throws(USPError) -> Void
    /// nil: each prediction is the function's own.
    public private(set) var guidance: Guidance?

    public init(nullClass: Int? = nil, _ predict: @escaping Predict) {
        self.init(nullClass: nullClass, repeatsLatents: false, predict)
    }

    /// - derivative: nil lets likelihoods take differences
    /// - alignment: nil has no projected tokens
    /// - reusing: nil has no blocks
    package init(
        nullClass: Int?, repeatsLatents: Bool, derivative: Derivative? = nil,
        alignment: Alignment? = nil,
        guidedChannels: Int = Guidance.publishedChannels, noiseAt: Int = 0,
        expectTrainedNull: @escaping @Sendable () throws(USPError) -> Void = {},
        reusing: Reusing? = nil, _ predict: @escaping Predict
    ) {
        function = predict
        self.reusing = reusing
        exactDerivative = derivative
        self.alignment = alignment
        self.nullClass = nullClass
        self.repeatsLatents = repeatsLatents
        self.guidedChannels = guidedChannels
        self.noiseAt = noiseAt
        self.expectTrainedNull = expectTrainedNull
    }

    /// Of an unguided denoiser, if it has one.
    package var derivative: Derivative? { guidance == nil ? exactDerivative : nil }

    /// As `predict`, unguided, with the alignment of each sample.
    func aligned(
        _ x: Tensor, _ times: [Float], _ labels: [Int]?, with features: [Tensor]
    ) throws(USPError) -> (output: Tensor, losses: [Float]) {
        try require(
            guidance == nil, .argument, "features: have no part in guided predictions")
        guard let alignment else {
            throw USPError(
                .argument, "features: a function has no projectors, only a model can have some")
        }
        return try alignment(x, times, labels, features)
    }

    /// The guided denoiser: asks for conditional and unconditional samples in one batch.
    ///
    /// - Throws: for a denoiser without a null class, or with one that was never trained.
    public func guided(_ guidance: Guidance) throws(USPError) -> Denoiser {
        try guidance.check()
        if guidance.changesNothing { return self }
        try require(
            nullClass != nil, .argument,
            "null_class: the model has none, from which guidance moves away; a cfg_scale of 1 is off"
        )
        try expectTrainedNull()
        var result = self
        result.guidance = guidance
        return result
    }

    /// The denoiser for one run, in which parts of the work are used again.
    ///
    /// - Throws: `.argument` for rules that exclude each other, or have no part in this denoiser
    func reusing(_ rule: Reuse) throws(USPError) -> Denoiser {
        try rule.check()
        guard rule != Reuse() else { return self }
        var result = self
        (result.reuse, result.count) = (ReuseState(rule), ReuseCount())
        if rule.ofBlocks {
            guard let reusing else {
                throw USPError(
                    .argument,
                    "reuse: a function has no blocks whose results could be used again, "
                        + "only a model; null_interval goes with functions too")
            }
            result.function = reusing(rule, result.count)
        }
        return result
    }

    /// Evaluations so far as far as they were computed, 1 for a batch through all blocks, guided with
    /// both halves; nil where nothing is used again.
    var computed: Double? { reuse?.computed }

    /// The function, and how much of an evaluation it has computed.
    private func evaluate(
        _ x: Tensor, _ times: [Float], _ labels: [Int]?, of whole: Int
    ) throws(USPError) -> Tensor {
        let result = try function(x, times, labels)
        guard let reuse else { return result }
        let samples = reuse.rule.ofBlocks ? count.samples : times.count
        reuse.computed += Double(samples) / Double(whole)
        count.samples = 0
        return result
    }

    /// The prediction, guided where guidance is set and the times are in its interval.
    ///
    /// - guidedBy: the time that decides in place of the first one
    public func predict(
        _ x: Tensor, _ times: [Float], _ labels: [Int]?, guidedBy time: Float? = nil
    ) throws(USPError) -> Tensor {
        let batch = times.count
        guard let guidance, let nullClass else {
            return try evaluate(x, times, labels, of: batch)
        }
        guard let labels else { throw USPError(.argument, "guidance: needs labels") }
        let scales = try guidance.expanded(batch)
        guard guidance.applies(at: time ?? times[0]) else {
            reuse?.forget()
            return try evaluate(x, times, labels, of: batch)
        }
        if let difference = reuse?.kept(for: batch) {
            let output = try evaluate(x, times, labels, of: 2 * batch)
            Guidance.move(
                output, along: difference, scales: scales, channels: moved(x.shape[1]))
            return output
        }
        return try halves(x, times, labels, nullClass, scales).detachedRows(0..<batch)
    }

    /// Guided predictions of the samples and, behind them, what the originals' batches of both halves
    /// have in the null half: the same in the channels that guidance moves, its own in the others.
    func predictHalves(
        _ x: Tensor, _ times: [Float], _ labels: [Int]?
    ) throws(USPError) -> Tensor {
        guard let guidance, let nullClass, let labels else {
            throw USPError(.argument, "guidance: needs a null class and labels")
        }
        let scales = try guidance.expanded(times.count)
        let moves = guidance.applies(at: times[0])
        return try halves(
            x, times, labels, nullClass, moves ? scales : scales.map { _ in 1 }, alsoNull: true)
    }

    /// `[2B, ..]`: labelled samples, moved, and those of the null class.
    private func halves(
        _ x: Tensor, _ times: [Float], _ labels: [Int], _ nullClass: Int, _ scales: [Float],
        alsoNull: Bool = false
    ) throws(USPError) -> Tensor {
        let null = [Int](repeating: nullClass, count: times.count)
        let both = try evaluate(
            repeatsLatents ? x : try x.twice(), times + times, labels + null,
            of: 2 * times.count)
        try require(
            both.shape.rank == 4 && both.shape[0] == 2 * times.count, .shape,
            "model output: shape \(both.shape), expected a batch of \(2 * times.count)")
        try reuse?.keep(both)
        Guidance.combine(both, scales: scales, channels: moved(x.shape[1]), alsoNull: alsoNull)
        return both
    }

    /// Leading channels that guidance moves, of so many.
    private func moved(_ channels: Int) -> Int {
        min(guidance?.channels ?? guidedChannels, channels)
    }
}

extension Denoiser {
    /// What a caller says of a denoiser beside the model or the function.
    public struct Options: Sendable {
        public var guidance = Guidance()
        public var outChannels: Int?
        public var nullClass: Int?

        public init() {}
    }
}

extension Denoiser.Options: Described {
    public static let title = "denoiser"

    public static let members = [
        CMember("const usp_model *", "model", "A DiT or SiT, borrowed for the call; or NULL, and:"),
        CMember("usp_denoise_fn", "function", "Your own."),
        CMember("void *", "user", "Handed to the function."),
        CMember(
            "const usp_tensor *", "cfg_scales",
            "[B] f32: a scale for each sample, in place of cfg_scale; or NULL."),
    ]

    public static let fields: [Field<Denoiser.Options>] = [
        .real(
            "cfg_scale", \.guidance.scale, .any,
            "Classifier-free guidance: null + scale * (labelled - null). 1 is off; else the run "
                + "needs labels."),
        .integer(
            "cfg_channels", \.guidance.channels, .from(1),
            "Leading latent channels that guidance moves, all where there are fewer; absent: the "
                + "model's own rule, which is \(Guidance.publishedChannels) for the originals."),
        .real(
            "cfg_begin", \.guidance.begin, .any,
            "First time, on the model's scale, at which guidance applies; absent: no bound."),
        .real(
            "cfg_end", \.guidance.end, .any,
            "Last time, on the model's scale, at which guidance applies; absent: no bound."),
        .integer(
            "null_class", \.nullClass, FieldRange(0, 0x1p24),
            "The label that stands for none, which guidance of a function needs; a model knows its "
                + "own."),
        .integer(
            "out_channels", \.outChannels, .size,
            "Channels of a function's output; absent: what the process needs, C or 2C where "
                + "variances are learned."),
    ]
}

extension Tensor {
    /// The batch and its copy: `[2B, ..]`.
    func twice() throws(USPError) -> Tensor {
        let result = try Tensor(Shape([2 * shape[0]] + shape.extents.dropFirst()))
        for half in 0..<2 { (result.floats + half * count).update(from: floats, count: count) }
        return result
    }
}
