// Paths from noise (t = 0) to data (t = 1): x_t = α(t) · data + σ(t) · noise.

import Glibc
import USPBase

/// The paths of SiT (Ma et al. 2024).
public enum TransportPath: String, NamedChoice {
    /// α = t, σ = 1 − t.
    case linear = "Linear"
    /// Variance preserving by sine and cosine.
    case gvp = "GVP"
    /// The variance-preserving diffusion with β from 0.1 to 20.
    case vp = "VP"

    package static let what = "path"
    package static let aliases: [String: TransportPath] = ["cosine": .gvp]

    /// Everything that depends on the path and on t alone.
    package func coefficients(_ t: Double) -> PathCoefficients {
        switch self {
        case .linear:
            return PathCoefficients(
                alpha: t, alphaSlope: 1, sigma: 1 - t, sigmaSlope: -1, ratio: 1 / t)
        case .gvp:
            let (angle, rate) = (t * .pi / 2, Double.pi / 2)
            return PathCoefficients(
                alpha: sin(angle), alphaSlope: rate * cos(angle), sigma: cos(angle),
                sigmaSlope: -rate * sin(angle), ratio: rate / tan(angle))
        case .vp:
            let (least, most) = (0.1, 20.0)
            let logAlpha = -0.25 * (1 - t) * (1 - t) * (most - least) - 0.5 * (1 - t) * least
            let ratio = 0.5 * (1 - t) * (most - least) + 0.5 * least
            let alpha = exp(logAlpha)
            let sigma = (-expm1(2 * logAlpha)).squareRoot()
            return PathCoefficients(
                alpha: alpha, alphaSlope: alpha * ratio, sigma: sigma,
                sigmaSlope: -alpha * alpha * ratio / sigma, ratio: ratio, variance: ratio)
        }
    }
}

/// A path at one time.
package struct PathCoefficients: Sendable {
    package let alpha: Double
    package let alphaSlope: Double
    package let sigma: Double
    package let sigmaSlope: Double
    /// α′ / α.
    package let ratio: Double
    /// What multiplies the score in the flow's velocity: ratio · σ² − σ σ′.
    package let variance: Double

    init(
        alpha: Double, alphaSlope: Double, sigma: Double, sigmaSlope: Double, ratio: Double,
        variance: Double? = nil
    ) {
        self.alpha = alpha
        self.alphaSlope = alphaSlope
        self.sigma = sigma
        self.sigmaSlope = sigmaSlope
        self.ratio = ratio
        self.variance = variance ?? ratio * sigma * sigma - sigma * sigmaSlope
    }
}

/// How much noise the stochastic sampler adds at each time.
public enum DiffusionForm: String, NamedChoice {
    case constant
    /// What makes the process the time reversal of the score-based model's.
    case sbdm = "SBDM"
    case sigma
    case linear
    case decreasing
    case increasingDecreasing = "increasing-decreasing"

    package static let what = "diffusion form"
    package static let aliases: [String: DiffusionForm] = [
        "inccreasing-decreasing": .increasingDecreasing
    ]

    /// The coefficient D(t); noise has the deviation √(2 D dt).
    package func value(_ t: Double, _ path: PathCoefficients, norm: Double) -> Double {
        switch self {
        case .constant: norm
        case .sbdm: norm * path.variance
        case .sigma: norm * path.sigma
        case .linear: norm * (1 - t)
        case .decreasing: 0.25 * (norm * cos(.pi * t) + 1) * (norm * cos(.pi * t) + 1)
        case .increasingDecreasing: norm * sin(.pi * t) * sin(.pi * t)
        }
    }
}
