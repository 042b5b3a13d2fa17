// The Gaussian process of DiT: its tables in double, and what a model of it predicts.

import Glibc
import USPBase
import USPTensor

/// What the first C channels of the model's output are.
public enum GaussianPrediction: String, NamedChoice {
    /// The noise in x_t.
    case epsilon
    /// The clean latents.
    case start
    /// The mean of x_{t-1}.
    case previous

    package static let what = "prediction"
    package static let aliases: [String: GaussianPrediction] = [
        "eps": .epsilon, "noise": .epsilon, "x0": .start, "xstart": .start, "start_x": .start,
        "previous_x": .previous,
    ]
}

/// Where the variance of x_{t-1} comes from.
public enum GaussianVariance: String, NamedChoice {
    /// The second C channels interpolate between the smallest and the largest log variance.
    case learnedRange = "learned-range"
    /// The second C channels are the log variance itself (ADM's meaning; DiT's code, which never
    /// uses it, reads it as `learnedRange`).
    case learned
    /// The posterior's variance.
    case fixedSmall = "fixed-small"
    /// β.
    case fixedLarge = "fixed-large"

    package static let what = "variance"
    package static let aliases: [String: GaussianVariance] = [
        "learned_range": .learnedRange, "fixed_small": .fixedSmall, "fixed_large": .fixedLarge,
    ]

    /// Of a model with or without a second set of channels; `fixed-large` is the originals' choice.
    public static func of(learnsSigma: Bool) -> GaussianVariance {
        learnsSigma ? .learnedRange : .fixedLarge
    }

    public var isLearned: Bool { self == .learnedRange || self == .learned }
}

/// What training minimises.
public enum GaussianLoss: String, NamedChoice {
    /// Squared error, plus the variational bound for learned variances (its mean detached).
    case meanSquared = "mse"
    /// As `mse`, the bound weighted by steps / 1000.
    case rescaledMeanSquared = "rescaled-mse"
    /// The variational bound in bits per dimension, of the drawn step.
    case bound = "kl"
    /// `kl` times the number of steps: an estimate of the whole bound.
    case rescaledBound = "rescaled-kl"

    package static let what = "loss"
    package static let aliases: [String: GaussianLoss] = [
        "rescaled_mse": .rescaledMeanSquared, "rescaled_kl": .rescaledBound,
    ]

    var isBound: Bool { self == .bound || self == .rescaledBound }
}

/// The process over the steps that a run uses; step 0 is the least noisy.
///
/// Source: Ho et al. 2020, Nichol and Dhariwal 2021, and DiT's published sampler, whose numbers
/// these tables repeat. All `[steps]`, double.
public final class Diffusion: Sendable {
    /// What the process is.
    public struct Options: Sendable, Equatable {
        public var trainingSteps = 1000
        public var schedule: BetaSchedule = .linear
        public var respacing = ""
        public var prediction: GaussianPrediction = .epsilon
        public var variance: GaussianVariance = .learnedRange
        public var loss: GaussianLoss = .meanSquared

        public init() {}
    }

    public let options: Options
    /// The step of the whole process, which is what the model is told, of each used step.
    package let modelTimes: [Int]
    package let betas: [Double]
    /// ᾱ of a step, of the one before (1 at the first) and of the one after (0 at the last).
    package let alphasCumulative: [Double]
    package let alphasCumulativePrevious: [Double]
    package let alphasCumulativeNext: [Double]
    package let posteriorVariance: [Double]
    /// Log of it; the first step, whose variance is 0, has the second's.
    package let posteriorLogVariance: [Double]
    /// The posterior's mean is `meanFromStart · x_0 + meanFromCurrent · x_t`.
    package let meanFromStart: [Double]
    package let meanFromCurrent: [Double]

    /// - Throws: `.argument` for a step count or respacing that cannot be.
    public convenience init(_ options: Options = Options()) throws(USPError) {
        try options.checkFields()
        let all = try options.schedule.betas(steps: options.trainingSteps)
        try self.init(options, betas: all)
    }

    /// With given variances of the whole process, each in (0, 1].
    package init(_ options: Options, betas all: [Double]) throws(USPError) {
        try require(
            !all.isEmpty && all.allSatisfy { $0 > 0 && $0 <= 1 }, .argument,
            "betas: expected some, each above 0 and at most 1")
        self.options = options
        modelTimes = try Respacing.steps(options.respacing, of: all.count)
        let cumulative = Diffusion.cumulativeProducts(all.map { 1 - $0 })
        var betas: [Double] = []
        var last = 1.0
        for time in modelTimes {
            betas.append(1 - cumulative[time] / last)
            last = cumulative[time]
        }
        let bars = Diffusion.cumulativeProducts(betas.map { 1 - $0 })
        let previous = [1] + bars.dropLast()
        let variance = betas.indices.map { betas[$0] * (1 - previous[$0]) / (1 - bars[$0]) }
        self.betas = betas
        alphasCumulative = bars
        alphasCumulativePrevious = previous
        alphasCumulativeNext = bars.dropFirst() + [0]
        posteriorVariance = variance
        let first = variance.count > 1 ? variance[1] : betas[0]
        posteriorLogVariance = ([first] + variance.dropFirst()).map { log($0) }
        meanFromStart = betas.indices.map { betas[$0] * previous[$0].squareRoot() / (1 - bars[$0]) }
        meanFromCurrent = betas.indices.map {
            (1 - previous[$0]) * (1 - betas[$0]).squareRoot() / (1 - bars[$0])
        }
    }

    private static func cumulativeProducts(_ values: [Double]) -> [Double] {
        var product = 1.0
        return values.map { value in
            product *= value
            return product
        }
    }

    /// Steps of a run.
    public var steps: Int { betas.count }

    /// What the model is told for these used steps.
    ///
    /// - Throws: `.argument` for a step that is not 0 ..< steps.
    package func times(_ indices: [Int]) throws(USPError) -> [Float] {
        try check(indices, batch: indices.count)
        return indices.map { Float(modelTimes[$0]) }
    }

    /// One uniformly drawn step for each sample, from the sample's own stream.
    package func drawSteps(_ key: RandomKey, count: Int, firstSample: Int = 0) -> [Int] {
        (0..<count).map { index in
            var stream = RandomStream(key.stream(firstSample + index))
            return stream.below(steps)
        }
    }

    /// x_t = √ᾱ · x_0 + √(1 − ᾱ) · noise, `[B, C, H, W]`, each sample at its own step.
    public func noised(
        _ start: Tensor, steps indices: [Int], noise: Tensor
    ) throws(USPError) -> Tensor {
        try checkLatents(start, "start")
        try checkLike(noise, start, "noise")
        try check(indices, batch: start.shape[0])
        let result = try Tensor(start.shape)
        let count = start.count / indices.count
        for (sample, step) in indices.enumerated() {
            let bar = alphasCumulative[step]
            let (signal, spread) = (Float(bar.squareRoot()), Float((1 - bar).squareRoot()))
            let (x, e) = (start.floats + sample * count, noise.floats + sample * count)
            let y = result.floats + sample * count
            for i in 0..<count { y[i] = signal * x[i] + spread * e[i] }
        }
        return result
    }

    func check(_ indices: [Int], batch: Int) throws(USPError) {
        try require(
            indices.count == batch, .shape, "steps: expected \(batch) of them, got \(indices.count)"
        )
        for index in indices where !betas.indices.contains(index) {
            throw USPError(.argument, "step \(index): expected 0 to \(steps - 1)")
        }
    }
}

extension Diffusion.Options: Described {
    public static let title = "diffusion"

    public static let fields: [Field<Diffusion.Options>] = [
        .integer(
            "training_steps", \.trainingSteps, FieldRange(1, 1_000_000),
            "Steps of the whole process: what the model was trained with."),
        .choice("schedule", named: \.schedule, "How the noise grows over the process."),
        .text(
            "respacing", \.respacing,
            "Which of the steps a run uses: \"250\", \"10,10,20\" in equal sections, \"ddim50\" "
                + "by an integer stride; empty: every step."),
        .choice("prediction", named: \.prediction, "What the model predicts."),
        .choice(
            "variance", named: \.variance,
            "Where the variance of a step comes from; learned ones take a second set of channels."),
        .choice("loss", named: \.loss, "What training minimises."),
    ]
}

extension Diffusion {
    /// A table of the process, `[steps]`, under the original's name.
    public func table(_ name: String) throws(USPError) -> [Double] {
        guard let table = Diffusion.tables.first(where: { $0.name == name }) else {
            throw unknownName(name, what: "table", known: Diffusion.tables.map(\.name))
        }
        return table.values(self)
    }

    private static let tables: [(name: String, values: @Sendable (Diffusion) -> [Double])] = [
        ("betas", { $0.betas }),
        ("alphas_cumprod", { $0.alphasCumulative }),
        ("alphas_cumprod_prev", { $0.alphasCumulativePrevious }),
        ("alphas_cumprod_next", { $0.alphasCumulativeNext }),
        ("posterior_variance", { $0.posteriorVariance }),
        ("posterior_log_variance_clipped", { $0.posteriorLogVariance }),
        ("posterior_mean_coef1", { $0.meanFromStart }),
        ("posterior_mean_coef2", { $0.meanFromCurrent }),
        ("timestep_map", { $0.modelTimes.map { Double($0) } }),
    ]
}
