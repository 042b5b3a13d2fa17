// Latents from a masked autoregressive model: all tokens hidden at first, a few more predicted at
// each iteration, each by a diffusion of its own.

import Glibc
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
    public static let members = [
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
        CMember("usp_progress_fn", "progress", "After each iteration; NULL = none."),
        CMember("void *", "progress_user", "Handed to progress."),
        CMember(
            "usp_progress_fn", "preview",
            "Every preview_interval iterations, with usp_progress.latents set; NULL = none."),
        CMember("void *", "preview_user", "Handed to preview."),
    ]
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

extension MAR {
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
        let run = try AutoregressiveRun(self, self.labels(labels, batch), options)
        for iteration in 0..<options.iterations { try run.iterate(iteration, monitor) }
        return try run.latents()
    }
}

/// One run: the tokens so far, and which are hidden.
private final class AutoregressiveRun {
    private let model: MAR
    private let labels: [Int]
    private let options: MAR.SampleOptions
    private let source: TokenNoise
    private let context: Context
    private var processes: [Int: Diffusion] = [:]
    /// `[B, T, E]`
    private let tokens: Tensor
    private let orders: [Int]
    /// Hidden tokens of each sample: the first of its order.
    private var hidden: Int
    private let clock = Stopwatch()

    init(_ model: MAR, _ labels: [Int], _ options: MAR.SampleOptions) throws(USPError) {
        try options.checkFields()
        (self.model, self.labels, self.options) = (model, labels, options)
        let (batch, count) = (labels.count, model.tokens)
        try require(
            options.iterations <= count, .argument,
            "iterations: \(options.iterations), expected 1 to \(count), the tokens")
        context = Context(model.arithmetic)
        hidden = count
        tokens = try Tensor.zeros([batch, count, model.patchSize])
        if let orders = options.orders {
            try checkOrders(orders, batch, count)
            self.orders = orders
        } else {
            let key = RandomKey(seed: options.seed).stream("mar")
            orders = (0..<batch).flatMap {
                MAR.order(key, options.firstSample + $0, tokens: count)
            }
        }
        source = try TokenNoise(model, options, batch: batch)
        let steps = try process(0).steps
        if let noise = options.noise {
            try require(
                noise.shape.rank > 0 && noise.shape[0] >= steps, .shape,
                "noise: shape \(noise.shape), expected \(steps) steps or more")
        }
    }

    func latents() throws(USPError) -> Tensor { try model.latents(tokens, in: context) }

    func iterate(_ iteration: Int, _ monitor: SamplingMonitor) throws(USPError) {
        let (batch, count) = (labels.count, model.tokens)
        // Sizes as the original's doubles have them: all that is left in the last iteration.
        let share = cos(Double.pi / 2 * Double(iteration + 1) / Double(options.iterations))
        let left = max(1, min(hidden - 1, Int((Double(count) * share).rounded(.down))))
        let isLast = iteration == options.iterations - 1
        let places = (0..<batch).flatMap { sample in
            let order = orders[sample * count..<(sample + 1) * count]
            return order.dropFirst(isLast ? 0 : left).prefix(hidden - (isLast ? 0 : left)).sorted()
        }
        let chosen = TokenChoice(positions: places, perSample: places.count / batch)
        let scale: Float? =
            options.scale == 1
            ? nil
            : options.schedule == .constant
                ? options.scale
                : 1 + (options.scale - 1) * Float(count - left) / Float(count)
        let condition = try condition(chosen, isGuided: scale != nil)
        let values = try denoise(chosen, condition, scale, process(iteration))
        try require(
            values.isFinite, .notFinite,
            "sample: iteration \(iteration + 1) of \(options.iterations) gave a value that is not "
                + "finite")
        write(values, at: chosen)
        hidden = isLast ? 0 : left
        try report(iteration + 1, monitor)
    }

    /// What conditions the head at the chosen tokens, `[r·B·R, W]`; of guided passes those without
    /// label behind the others.
    private func condition(_ chosen: TokenChoice, isGuided: Bool) throws(USPError) -> Tensor {
        let (batch, count, times) = (labels.count, model.tokens, isGuided ? 2 : 1)
        let mask = try Tensor.zeros([times * batch, count])
        for pass in 0..<times {
            for sample in 0..<batch {
                for token in orders[sample * count..<sample * count + hidden] {
                    mask.floats[(pass * batch + sample) * count + token] = 1
                }
            }
        }
        var all = labels
        if isGuided { all += [Int](repeating: model.nullClass, count: batch) }
        let repeated = try context.embedding(
            tokens.reshaped([batch, count * model.patchSize]), all.indices.map { $0 % batch })
        let both = TokenChoice(
            positions: (0..<times).flatMap { _ in chosen.positions }, perSample: chosen.perSample)
        let z = try model.condition(
            repeated.reshaped([times * batch, count, model.patchSize]), labels: all,
            masking: Masking(mask: mask), at: both, in: context)
        return try model.head.embed(
            z.reshaped([z.shape[0] * z.shape[1], z.shape[2]]), in: context)
    }

    /// The reverse process of each chosen token: `[B·R, E]`.
    private func denoise(
        _ chosen: TokenChoice, _ condition: Tensor, _ scale: Float?, _ process: Diffusion
    ) throws(USPError) -> Tensor {
        let rows = chosen.positions.count
        let x = try source.start(chosen)
        for (draw, step) in (0..<process.steps).reversed().enumerated() {
            let noise = try source.noise(chosen, draw: draw, isGuided: scale != nil)
            let given =
                scale == nil ? x : try context.embedding(x, (0..<2 * rows).map { $0 % rows })
            let times = [Float](repeating: Float(process.modelTimes[step]), count: given.shape[0])
            let output = try model.head.forward(
                given, times: times, condition: condition, in: context)
            if let scale { MAR.guide(output, scale: scale) }
            update(x, output, step > 0 ? noise : nil, process.coefficients(step))
        }
        return x
    }

    /// x ← mean + exp(½ log variance)·temperature·noise
    private func update(
        _ x: Tensor, _ output: Tensor, _ noise: Tensor?, _ step: StepCoefficients
    ) {
        let (rows, values, temperature) = (x.shape[0], x.shape[1], options.temperature)
        let (current, predicted, fresh) = (x.floats, output.floats, noise?.floats)
        parallelRanges(rows, grain: 256) { range in
            for row in range {
                let (o, x) = (predicted + 2 * row * values, current + row * values)
                let e = fresh.map { $0 + row * values }
                for i in 0..<values {
                    let start = step.start(o[i], x[i])
                    let mean = step.mean(o[i], start: start, x[i])
                    guard let e else {
                        x[i] = mean
                        continue
                    }
                    let deviation = expf(0.5 * step.logVariance(o[values + i]))
                    x[i] = mean + deviation * e[i] * temperature
                }
            }
        }
    }

    private func write(_ values: Tensor, at chosen: TokenChoice) {
        let size = model.patchSize
        for (row, place) in chosen.positions.enumerated() {
            let sample = row / chosen.perSample
            (tokens.floats + (sample * model.tokens + place) * size).update(
                from: values.floats + row * size, count: size)
        }
    }

    /// The reverse process of an iteration.
    private func process(_ iteration: Int) throws(USPError) -> Diffusion {
        var given = Diffusion.Options()
        (given.schedule, given.respacing) = (.cosine, options.respacing)
        var steps = 0
        if let last = options.lastSteps {
            guard let first = Int(options.respacing), first >= last else {
                throw USPError(
                    .argument,
                    "last_steps: \(last), expected at most respacing, a plain number; it is "
                        + "\"\(options.respacing)\"")
            }
            let progress = Double(iteration) / Double(max(options.iterations - 1, 1))
            steps = Int((Double(first) - Double(first - last) * progress).rounded())
            given.respacing = String(steps)
        }
        if let known = processes[steps] { return known }
        let process = try Diffusion(given)
        processes[steps] = process
        return process
    }

    private func report(_ done: Int, _ monitor: SamplingMonitor) throws(USPError) {
        func state(_ latents: Tensor?) -> Progress {
            Progress(
                stage: "sample", step: done, steps: options.iterations, seconds: clock.seconds,
                evaluations: done, latents: latents)
        }
        if let preview = monitor.preview,
            done % options.previewInterval == 0 || done == options.iterations
        {
            try preview(state(latents()))
        }
        try monitor.progress?(state(nil))
    }
}

private func checkOrders(_ orders: [Int], _ batch: Int, _ tokens: Int) throws(USPError) {
    try require(
        orders.count == batch * tokens, .shape,
        "orders: \(orders.count) values, expected \(batch) x \(tokens)")
    for sample in 0..<batch {
        var seen = [Bool](repeating: false, count: tokens)
        for token in orders[sample * tokens..<(sample + 1) * tokens] {
            try require(
                seen.indices.contains(token) && !seen[token], .argument,
                "orders: of sample \(sample) is no permutation of 0 to \(tokens - 1): \(token) is "
                    + (seen.indices.contains(token) ? "in it twice" : "outside"))
            seen[token] = true
        }
    }
}

/// Where the noise of tokens comes from.
private final class TokenNoise {
    private let model: MAR
    private let options: MAR.SampleOptions
    private let batch: Int
    private let total: Int
    private let key: RandomKey
    private var generator: TorchRandom?
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
        if options.generator != nil { generator = TorchRandom(seed: options.seed) }
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
        try rows(chosen, given.start, entry: 0, draw: 0, doubled: false)
    }

    /// The noise of a reverse step; 0 is the noisiest.
    func noise(
        _ chosen: TokenChoice, draw: Int, isGuided: Bool
    ) throws(USPError) -> Tensor {
        try rows(chosen, given.noise, entry: draw, draw: draw + 1, doubled: isGuided)
    }

    private func rows(
        _ chosen: TokenChoice, _ stack: Tensor?, entry: Int, draw: Int, doubled: Bool
    ) throws(USPError) -> Tensor {
        let (values, places) = (model.patchSize, chosen.positions)
        let result = try Tensor([places.count, values])
        let target = result.floats
        // torch's numbers are drawn whether they are given or not.
        let drawn = torch(chosen, doubled: doubled)
        if let stack {
            for (row, place) in places.enumerated() {
                let sample = entry * batch + row / chosen.perSample
                (target + row * values).update(
                    from: stack.floats + (sample * model.tokens + place) * values, count: values)
            }
        } else if let drawn {
            let first = options.firstSample * chosen.perSample * values
            for i in 0..<result.count { target[i] = drawn[first + i] }
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

    /// The original's next draw for all samples' tokens; of guided steps for both halves.
    private func torch(_ chosen: TokenChoice, doubled: Bool) -> [Float]? {
        generator?.normal(
            count: total * chosen.perSample * model.patchSize * (doubled ? 2 : 1))
    }
}
