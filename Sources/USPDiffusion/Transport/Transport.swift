// SiT's transport: what a model of a path predicts, and what that means for velocity and score.

import USPBase
import USPTensor

/// What the first C channels of the model's output are.
public enum TransportPrediction: String, NamedChoice {
    case velocity
    case score
    case noise

    package static let what = "prediction"
}

/// How training weighs the squared error of score and noise models.
public enum TransportWeight: String, NamedChoice {
    case none
    case velocity
    case likelihood

    package static let what = "loss weight"
}

/// How training draws its times.
public enum TransportTimes: String, NamedChoice {
    case uniform
    /// The logit-normal distribution of LightningDiT and REPA, whose signal-to-noise ratio is
    /// log-normal: t = 1 / (1 + e⁻ⁿ) with n ~ N(0, 1), on GVP 2/π · atan eⁿ.
    case lognormal

    package static let what = "distribution of times"
}

/// A path with a model on it. Source: SiT's published transport, whose numbers this repeats.
public final class Transport: Sendable {
    /// What the process is.
    public struct Options: Sendable, Equatable {
        public var path: TransportPath = .linear
        public var prediction: TransportPrediction = .velocity
        public var lossWeight: TransportWeight = .none
        public var trainEpsilon: Double?
        public var sampleEpsilon: Double?
        public var noiseAt: Int?
        public var times: TransportTimes = .uniform
        public var cosineLoss = false

        public init() {}
    }

    public let options: Options
    package let trainingEpsilon: Double
    package let samplingEpsilon: Double

    /// - Throws: `.argument` for an epsilon that is not 0 ..< 0.5.
    public init(_ options: Options = Options()) throws(USPError) {
        try options.checkFields()
        self.options = options
        let regular = options.path != .vp && options.prediction == .velocity
        let training = options.path == .vp ? 1e-5 : regular ? 0 : 1e-3
        trainingEpsilon = options.trainEpsilon ?? training
        samplingEpsilon = options.sampleEpsilon ?? (regular ? 0 : 1e-3)
        try require(
            !options.cosineLoss || options.prediction == .velocity, .argument,
            "cosine_loss: has no part in the prediction \(options.prediction.rawValue), only in "
                + "velocity")
    }

    package var path: TransportPath { options.path }
    package var prediction: TransportPrediction { options.prediction }

    /// The transport in a model's direction of time, where the options do not say one.
    ///
    /// - noiseTime: the model's time of pure noise
    package func facing(_ noiseTime: Int) throws(USPError) -> Transport {
        guard options.noiseAt == nil, noiseTime != 0 else { return self }
        var facing = options
        facing.noiseAt = noiseTime
        return try Transport(facing)
    }

    /// Whether the model's time goes from data to noise; its velocity then points there too.
    var isReversed: Bool { options.noiseAt == 1 }

    /// The model's time at ours, which goes from noise (0) to data, or ours at the model's.
    package func modelTime(_ t: Double) -> Double { isReversed ? 1 - t : t }

    /// Velocity of ours per one of the model's.
    var direction: Double { isReversed ? -1 : 1 }

    /// The flow's velocity as `fromState · x + fromOutput · output`.
    package func velocity(_ t: Double) -> AffineView {
        let p = path.coefficients(t)
        return switch prediction {
        case .velocity: AffineView(fromState: 0, fromOutput: direction)
        case .score: AffineView(fromState: p.ratio, fromOutput: p.variance)
        case .noise: AffineView(fromState: p.ratio, fromOutput: -p.variance / p.sigma)
        }
    }

    /// The score ∇ log p_t(x), likewise.
    package func score(_ t: Double) -> AffineView {
        let p = path.coefficients(t)
        switch prediction {
        case .score: return AffineView(fromState: 0, fromOutput: 1)
        case .noise: return AffineView(fromState: 0, fromOutput: -1 / p.sigma)
        case .velocity:
            let reverse = p.alpha / p.alphaSlope
            let spread = p.sigma * p.sigma - reverse * p.sigmaSlope * p.sigma
            return AffineView(fromState: -1 / spread, fromOutput: direction * reverse / spread)
        }
    }

    /// The data that the prediction means, likewise: x = α data + σ noise, v = α′ data + σ′ noise.
    func data(_ t: Double) -> AffineView {
        let (p, v) = (path.coefficients(t), velocity(t))
        let scale = 1 / (p.sigmaSlope * p.alpha - p.sigma * p.alphaSlope)
        return AffineView(
            fromState: (p.sigmaSlope - p.sigma * v.fromState) * scale,
            fromOutput: -p.sigma * v.fromOutput * scale)
    }
}

/// A vector field that is linear in state and model output at a given time.
package struct AffineView {
    package let fromState: Double
    package let fromOutput: Double

    /// this + scale · other
    func adding(_ other: AffineView, times scale: Double) -> AffineView {
        AffineView(
            fromState: fromState + scale * other.fromState,
            fromOutput: fromOutput + scale * other.fromOutput)
    }

    /// Writes the field of every sample; `result` may be `x` itself.
    func apply(_ x: Tensor, _ prediction: Prediction, into result: Tensor) {
        let (a, b) = (Float(fromState), Float(fromOutput))
        for sample in 0..<x.shape[0] {
            let offset = sample * prediction.count
            let (state, output) = (x.floats + offset, prediction.mean(sample))
            let y = result.floats + offset
            if a == 0 {
                for i in 0..<prediction.count { y[i] = b * output[i] }
            } else {
                for i in 0..<prediction.count { y[i] = a * state[i] + b * output[i] }
            }
        }
    }
}

extension Transport.Options: Described {
    public static let title = "transport"

    private static let epsilonRange = FieldRange(0, 0.5, excludesUpper: true)

    public static let fields: [Field<Transport.Options>] = [
        .choice("path", named: \.path, "The path from noise to data."),
        .choice("prediction", named: \.prediction, "What the model predicts."),
        .choice(
            "loss_weight", named: \.lossWeight,
            "How training weighs the squared error of score and noise models."),
        .real(
            "train_epsilon", \.trainEpsilon, epsilonRange,
            "How far training stays away from singular ends; absent: the original's rule, 1e-5 for "
                + "VP, 1e-3 for score and noise, 0 for velocity on Linear and GVP."),
        .real(
            "sample_epsilon", \.sampleEpsilon, epsilonRange,
            "The same for sampling; absent: 1e-3, and 0 for velocity on Linear and GVP."),
        .integer(
            "noise_at", \.noiseAt, FieldRange(0, 1),
            "The model's time of pure noise: 0 as SiT, 1 as REPA, with times and velocities that go "
                + "the other way; absent: the model's own, 0 for functions."),
        .choice(
            "times", named: \.times,
            "How training draws its times; lognormal is the logit-normal distribution of "
                + "LightningDiT and REPA."),
        .flag(
            "cosine_loss", \.cosineLoss,
            "Velocity: training also turns the predicted velocity of each latent pixel towards the "
                + "true one, by 1 - cosine along the channels (LightningDiT)."),
    ]
}
