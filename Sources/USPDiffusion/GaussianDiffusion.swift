// The Gaussian process of DiT: its tables in double, and what a model of it predicts.

import Glibc
import USPBase
import USPTensor

/// What the first C channels of the model's output are.
package enum GaussianPrediction: String, NamedChoice {
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
package enum GaussianVariance: String, NamedChoice {
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

    package var isLearned: Bool { self == .learnedRange || self == .learned }
}

/// What training minimises.
package enum GaussianLoss: String, NamedChoice {
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
package struct GaussianDiffusion: Sendable {
    package struct Configuration: Sendable, Equatable {
        /// Of the whole process.
        package var schedule: BetaSchedule = .linear
        /// Steps of the whole process: what the model was trained with.
        package var trainingSteps = 1000
        /// Which of them are used, as `Respacing.steps` reads it; empty = all.
        package var respacing = ""
        package var prediction: GaussianPrediction = .epsilon
        package var variance: GaussianVariance = .learnedRange
        package var loss: GaussianLoss = .meanSquared

        package init() {}
    }

    package let configuration: Configuration
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
    package init(_ configuration: Configuration = Configuration()) throws(USPError) {
        let all = try configuration.schedule.betas(steps: configuration.trainingSteps)
        try self.init(configuration, betas: all)
    }

    /// With given variances of the whole process, each in (0, 1].
    package init(_ configuration: Configuration, betas all: [Double]) throws(USPError) {
        try require(
            !all.isEmpty && all.allSatisfy { $0 > 0 && $0 <= 1 }, .argument,
            "betas: expected some, each above 0 and at most 1")
        self.configuration = configuration
        modelTimes = try Respacing.steps(configuration.respacing, of: all.count)
        let cumulative = GaussianDiffusion.cumulativeProducts(all.map { 1 - $0 })
        var betas: [Double] = []
        var last = 1.0
        for time in modelTimes {
            betas.append(1 - cumulative[time] / last)
            last = cumulative[time]
        }
        let bars = GaussianDiffusion.cumulativeProducts(betas.map { 1 - $0 })
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
    package var steps: Int { betas.count }

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
    package func noised(
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
