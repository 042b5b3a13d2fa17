// One term of the variational bound, with its gradient: a divergence, or at step 0 the likelihood
// of data in 255 bins.

import Glibc
import USPBase
import USPTensor

/// What one element adds to the bound, in nats, and its slopes.
struct BoundTerm {
    let value: Float
    /// ∂ value / ∂ mean of the model.
    let meanSlope: Float
    /// ∂ value / ∂ log variance of the model.
    let logVarianceSlope: Float
}

/// KL(N(trueMean, e^trueLog) ‖ N(mean, e^log)).
func divergenceTerm(trueMean: Float, trueLog: Float, mean: Float, log: Float) -> BoundTerm {
    let ratio = expf(trueLog - log)
    let precision = expf(-log)
    let distance = trueMean - mean
    let square = distance * distance * precision
    return BoundTerm(
        value: 0.5 * (-1 + log - trueLog + ratio + square), meanSlope: -distance * precision,
        logVarianceSlope: 0.5 * (1 - ratio - square))
}

/// What bins are counted in.
protocol BinNumber: BinaryFloatingPoint {
    static func exponential(_ x: Self) -> Self
    static func logarithm(_ x: Self) -> Self
    static func hyperbolicTangent(_ x: Self) -> Self
}

extension Float: BinNumber {
    static func exponential(_ x: Float) -> Float { expf(x) }
    static func logarithm(_ x: Float) -> Float { logf(x) }
    static func hyperbolicTangent(_ x: Float) -> Float { tanhf(x) }
}

extension Double: BinNumber {
    static func exponential(_ x: Double) -> Double { exp(x) }
    static func logarithm(_ x: Double) -> Double { log(x) }
    static func hyperbolicTangent(_ x: Double) -> Double { tanh(x) }
}

/// −log of the probability that N(mean, e^log) gives the bin of width 2/255 around `x`; the two
/// outermost bins of [−1, 1] are open. The distribution function is the tanh approximation that the
/// original uses.
///
/// - number: Float counts as the originals do, where a bin far from the mean, the difference of two
///   values near 1, has no mass; Double counts it.
func likelihoodTerm<Number: BinNumber>(
    _ x: Float, mean: Float, log: Float, in number: Number.Type
) -> BoundTerm {
    let inverse = Number.exponential(-0.5 * Number(log))
    let distance = Number(x) - Number(mean)
    let upper = NormalIntegral(inverse * (distance + 1 / 255))
    let lower = NormalIntegral(inverse * (distance - 1 / 255))
    // Both arguments move by −inverse with the mean and by −½ of themselves with the log variance.
    let (mass, density, moment) =
        if x < -0.999 {
            (upper.value, upper.density, upper.moment)
        } else if x > 0.999 {
            (1 - lower.value, -lower.density, -lower.moment)
        } else {
            (
                upper.value - lower.value, upper.density - lower.density,
                upper.moment - lower.moment
            )
        }
    guard mass >= 1e-12 else {
        return BoundTerm(value: -logf(1e-12), meanSlope: 0, logVarianceSlope: 0)
    }
    return BoundTerm(
        value: Float(-Number.logarithm(mass)), meanSlope: Float(density * inverse / mass),
        logVarianceSlope: Float(0.5 * moment / mass))
}

/// ½ (1 + tanh(√(2/π) (z + 0.044715 z³))), its derivative, and the derivative times z.
private struct NormalIntegral<Number: BinNumber> {
    let value: Number
    let density: Number
    let moment: Number

    init(_ z: Number) {
        let root = Number((2 / Double.pi).squareRoot())
        let t = Number.hyperbolicTangent(root * (z + 0.044715 * z * z * z))
        value = 0.5 * (1 + t)
        density = 0.5 * (1 - t * t) * root * (1 + 3 * 0.044715 * z * z)
        moment = density * z
    }
}

extension Diffusion {
    /// The bound's term of one sample, in bits per dimension, and its gradient.
    ///
    /// - gradient: receives weight · ∂ term / ∂ output, added to what is there; its mean part is
    ///   left alone where the bound's mean is detached.
    /// - predictedStart: receives x_0 as predicted (and clipped), if wanted.
    func boundTerm(
        step: Int, start: UnsafePointer<Float>, noised: UnsafePointer<Float>,
        output: UnsafePointer<Float>, variance: UnsafePointer<Float>?, count: Int,
        clips: Bool = false, binsInDouble: Bool = false, weight: Float = 0,
        meanGradient: UnsafeMutablePointer<Float>? = nil,
        varianceGradient: UnsafeMutablePointer<Float>? = nil,
        predictedStart: UnsafeMutablePointer<Float>? = nil
    ) -> Double {
        let c = coefficients(step)
        let trueLog = Float(posteriorLogVariance[step])
        let scale = weight / (Float(count) * Float(M_LN2))
        let (meanScale, logScale) = (scale * c.meanSlope, scale * c.logVarianceSlope)
        var total = 0.0
        for i in 0..<count {
            var clean = c.start(output[i], noised[i])
            if clips { clean = min(max(clean, -1), 1) }
            let mean = c.mean(output[i], start: clean, noised[i])
            let log = variance.map { c.logVariance($0[i]) } ?? c.fixedLogVariance
            let term =
                step > 0
                ? divergenceTerm(
                    trueMean: c.meanFromStart * start[i] + c.meanFromCurrent * noised[i],
                    trueLog: trueLog, mean: mean, log: log)
                : binsInDouble
                    ? likelihoodTerm(start[i], mean: mean, log: log, in: Double.self)
                    : likelihoodTerm(start[i], mean: mean, log: log, in: Float.self)
            total += Double(term.value)
            if let meanGradient { meanGradient[i] += meanScale * term.meanSlope }
            if let varianceGradient { varianceGradient[i] += logScale * term.logVarianceSlope }
            if let predictedStart { predictedStart[i] = clean }
        }
        return total / Double(count) / M_LN2
    }
}
