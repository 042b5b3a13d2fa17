// The loss of masked autoregressive generation: each token is denoised under its condition, several
// times over.

import USPBase
import USPDiffusion
import USPModels
import USPTensor

extension MAR {
    /// Which tokens are hidden, and what is drawn for each of them.
    public struct Options: Sendable {
        /// `[B, T]`, 1 for hidden tokens, as many in each row; nil draws it.
        public var mask: Tensor?
        /// Share of hidden tokens; nil draws one for the batch.
        public var maskRatio: Double?
        /// `[M, B, T]` whole steps 0 … 999; nil draws them.
        public var times: Tensor?
        /// `[M, B, C, H, W]`; nil draws it.
        public var noise: Tensor?
        /// How often each token is denoised, M, where neither steps nor noise tell.
        public var copies = 4
        public var seed: UInt64 = 0

        public init() {}
    }

    /// What a pass with its loss gives.
    public struct Output {
        /// Mean over hidden tokens and copies.
        public let loss: Float
        /// `[M, B, T]`, of all tokens.
        public let tokenLoss: Tensor
        /// `[B, T]`
        public let mask: Tensor
    }

    /// Hides tokens of `[B, C, H, W]`, conditions the head by the rest, and compares what it makes of
    /// noised tokens.
    ///
    /// - labels: B, 0 … K; nil is no label for all
    /// - Throws: `.argument` if nothing is hidden, if rows of the mask hide different numbers, for a
    ///   label above K and steps outside of the process
    public func forward(
        _ latents: Tensor, labels: [Int]? = nil, _ options: Options = Options()
    ) throws(USPError) -> Output {
        let process = try MAR.process()
        let draws = try draws(latents, options, process)
        let tokens = draws.masking.tokens
        let all = TokenChoice(
            positions: (0..<draws.masking.batch).flatMap { _ in 0..<tokens }, perSample: tokens)
        let result = try denoise(
            latents, self.labels(labels, draws.masking.batch), draws, at: all, process,
            in: Context(arithmetic))
        let (losses, mask) = (result.losses.losses, draws.masking.mask)
        let hidden = losses.indices.filter { mask[$0 % mask.count] == 1 }
        let sum = hidden.reduce(0.0) { $0 + Double(losses[$1]) }
        return Output(
            loss: Float(sum / Double(hidden.count)),
            tokenLoss: try Tensor([draws.copies, draws.masking.batch, tokens], losses),
            mask: try Tensor([draws.masking.batch, tokens], mask))
    }

    /// The same loss with the gradient of every parameter.
    public func gradients(
        _ latents: Tensor, labels: [Int]? = nil, _ options: Options = Options()
    ) throws(USPError) -> LossGradients {
        let process = try MAR.process()
        let draws = try draws(latents, options, process)
        return try lossGradients(of: parameters, arithmetic, file: weights.file) {
            parameters, context throws(USPError) in
            try MAR(configuration, parameters).loss(
                latents, self.labels(labels, draws.masking.batch), draws, process, in: context)
        }
    }

    /// The original's process: a thousand steps, cosine.
    static func process() throws(USPError) -> Diffusion {
        var options = Diffusion.Options()
        options.schedule = .cosine
        return try Diffusion(options)
    }
}

extension MAR.Options: Described {
    public static let title = "MAR"
    public static let members = [
        CMember(
            "const usp_tensor *", "mask",
            "[B, T] f32: 1 for hidden tokens, equally many in each row; NULL: drawn from seed."),
        CMember(
            "const usp_tensor *", "times",
            "[M, B, T] i64: the step of each token, 0 to 999; NULL: drawn from seed."),
        CMember(
            "const usp_tensor *", "noise", "[M, B, C, H, W] f32; NULL: drawn from seed."),
    ]
    public static let fields: [Field<MAR.Options>] = [
        .real(
            "mask_ratio", \.maskRatio, FieldRange(0, 1, excludesLower: true),
            "Share of hidden tokens, rounded up; absent: one for the batch from a normal of mean 1 "
                + "and deviation 0.25, truncated to 0.7 to 1."),
        .integer(
            "copies", \.copies, FieldRange(1, 4096),
            "How often each token is denoised, M, where neither times nor noise tell."),
        .seed("seed", \.seed, "Of what is drawn."),
    ]
}

/// What is drawn for a pass with its loss.
struct MARDraws {
    let masking: Masking
    let copies: Int
    /// M·B·T steps, copy by copy.
    let steps: [Int]
    /// `[M·B, T, E]`
    let noise: Tensor
}

extension MAR {
    /// What the options give, and the rest drawn from their seed.
    func draws(
        _ latents: Tensor, _ options: Options, _ process: Diffusion
    ) throws(USPError) -> MARDraws {
        let key = RandomKey(seed: options.seed).stream("mar")
        return try draws(
            latents, mask: options.mask, maskRatio: options.maskRatio, times: options.times,
            noise: options.noise, copies: options.copies, process, key: key, first: 0)
    }

    /// - key: sample i's order, steps and noise come from streams of its own, `first` the first's
    ///   number; the ratio is the batch's
    func draws(
        _ latents: Tensor, mask: Tensor?, maskRatio: Double?, times: Tensor?, noise: Tensor?,
        copies: Int, _ process: Diffusion, key: RandomKey, first: Int
    ) throws(USPError) -> MARDraws {
        let batch = latents.shape.rank == 4 ? latents.shape[0] : 0
        let image = configuration.imageShape(batch)
        try expect(latents, image, "latents")
        try require(batch > 0, .shape, "latents: no samples")
        let masking = try masking(mask, maskRatio, batch, key, first)
        let told = times?.shape ?? noise?.shape
        let copies = told.map { $0.rank > 0 ? $0[0] : 0 } ?? copies
        try require(copies > 0, .shape, "times, noise: expected one copy or more")
        let steps = try steps(times, [copies, batch, tokens], process, key, first)
        let silent = Context()
        let drawn: Tensor
        if let noise {
            try expect(noise, Shape([copies] + image.extents), "noise")
            drawn = noise
        } else {
            drawn = try MAR.noise(copies: copies, image, key.stream("noise"), first)
        }
        return MARDraws(
            masking: masking, copies: copies, steps: steps,
            noise: try self.tokens(
                drawn.reshaped(configuration.imageShape(copies * batch)), in: silent))
    }

    private func masking(
        _ mask: Tensor?, _ ratio: Double?, _ batch: Int, _ key: RandomKey, _ first: Int
    ) throws(USPError) -> Masking {
        if let mask {
            try expect(mask, [batch, tokens], "mask")
            let masking = try Masking(mask: mask)
            try require(
                masking.keptPerSample < tokens, .argument, "mask: nothing is hidden")
            return masking
        }
        var stream = RandomStream(key.stream("ratio"))
        let share =
            ratio ?? stream.truncatedNormal(mean: 1, deviation: 0.25, in: 0.7...1)
        try require(
            share > 0 && share <= 1, .argument,
            "mask_ratio: \(share), expected above 0 and at most 1")
        let hidden = Int((Double(tokens) * share).rounded(.up))
        let values = try Tensor.zeros([batch, tokens])
        for sample in 0..<batch {
            for token in MAR.order(key, first + sample, tokens: tokens).prefix(hidden) {
                values.floats[sample * tokens + token] = 1
            }
        }
        return try Masking(mask: values)
    }

    /// The order of a sample's tokens: the first are hidden.
    package static func order(_ key: RandomKey, _ sample: Int, tokens: Int) -> [Int] {
        var stream = RandomStream(key.stream("order").stream(sample))
        return stream.permutation(tokens)
    }

    private func steps(
        _ times: Tensor?, _ shape: Shape, _ process: Diffusion, _ key: RandomKey, _ first: Int
    ) throws(USPError) -> [Int] {
        guard let times else {
            let (copies, batch, tokens) = (shape[0], shape[1], shape[2])
            var steps = [Int](repeating: 0, count: shape.count)
            for sample in 0..<batch {
                var stream = RandomStream(key.stream("steps").stream(first + sample))
                for copy in 0..<copies {
                    for token in 0..<tokens {
                        steps[(copy * batch + sample) * tokens + token] =
                            stream.below(process.steps)
                    }
                }
            }
            return steps
        }
        try expect(times, shape, "times")
        return try times.values.map { value throws(USPError) in
            try require(
                value == value.rounded() && value >= 0 && value < Float(process.steps), .argument,
                "times: \(value), expected whole steps 0 to \(process.steps - 1)")
            return Int(value)
        }
    }

    /// `[M, B, C, H, W]`, each sample from its own stream.
    private static func noise(
        copies: Int, _ image: Shape, _ key: RandomKey, _ first: Int
    ) throws(USPError) -> Tensor {
        let (batch, size) = (image[0], image.count / max(image[0], 1))
        let samples = try Tensor.normal(
            Shape.checked([batch, copies, size]), key, firstSample: first)
        let result = try Tensor(Shape.checked([copies] + image.extents))
        for sample in 0..<batch {
            for copy in 0..<copies {
                (result.floats + (copy * batch + sample) * size).update(
                    from: samples.floats + (sample * copies + copy) * size, count: size)
            }
        }
        return result
    }

    /// The mean loss of the hidden tokens; rows of visible ones are not computed.
    func loss(
        _ latents: Tensor, _ labels: [Int], _ draws: MARDraws, _ process: Diffusion,
        in context: Context
    ) throws(USPError) -> Loss {
        let result = try denoise(
            latents, labels, draws, at: draws.masking.hidden, process, in: context)
        return .seeded(
            value: result.losses.mean, output: result.output,
            gradient: try result.losses.gradient.reshaped(result.output.shape))
    }

    /// The head at some tokens of each sample, in M copies, and what it loses there.
    private func denoise(
        _ latents: Tensor, _ labels: [Int], _ draws: MARDraws, at chosen: TokenChoice,
        _ process: Diffusion, in context: Context
    ) throws(USPError) -> (output: Tensor, losses: LossAndGradient) {
        let (copies, batch) = (draws.copies, draws.masking.batch)
        let (silent, values) = (context.recording(on: nil), patchSize)
        let tokens = try tokens(latents, in: silent)
        let conditions = try condition(
            tokens, labels: labels, masking: draws.masking, at: chosen, in: context)
        let each = batch * chosen.perSample
        let embedded = try head.embed(
            conditions.reshaped([each, conditions.shape[2]]), in: context)
        let rows = (0..<copies * each).map { $0 % each }
        let repeated = copies == 1 ? embedded : try context.embedding(embedded, rows)
        // Each token as a sample of one pixel of E channels.
        func tokenRows(_ x: Tensor, copies: Int) throws(USPError) -> Tensor {
            let all = TokenChoice(
                positions: (0..<copies).flatMap { _ in chosen.positions },
                perSample: chosen.perSample)
            return try all.gather(x, in: silent).reshaped([copies * each, values, 1, 1])
        }
        let start = try silent.embedding(
            tokenRows(tokens, copies: 1).reshaped([each, values]), rows
        ).reshaped([copies * each, values, 1, 1])
        let noise = try tokenRows(draws.noise, copies: copies)
        let count = configuration.tokens
        let steps = (0..<copies * each).map { row in
            draws.steps[row / chosen.perSample * count + chosen.positions[row % each]]
        }
        let noised = try process.noised(start, steps: steps, noise: noise)
        let output = try head.forward(
            noised.reshaped([copies * each, values]), times: process.times(steps),
            condition: repeated, recomputes: recomputes, in: context)
        let losses = try process.losses(
            output: output.reshaped([copies * each, 2 * values, 1, 1]), start: start,
            noised: noised, noise: noise, steps: steps, binsInDouble: true)
        return (output, losses)
    }
}
