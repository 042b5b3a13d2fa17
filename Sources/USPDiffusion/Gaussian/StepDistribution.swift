// p(x_{t-1} | x_t): the mean and the variance that a prediction means, at one step.

import Glibc
import USPBase
import USPTensor

/// The tables of one step, rounded to f32 as the original rounds them.
package struct StepCoefficients {
    let prediction: GaussianPrediction
    let variance: GaussianVariance
    /// x_0 = startFromCurrent · x_t − startFromNoise · ε
    let startFromCurrent: Float
    let startFromNoise: Float
    let meanFromStart: Float
    let meanFromCurrent: Float
    /// Log variance, where it is fixed.
    package let fixedLogVariance: Float
    /// Its bounds, where it is learned.
    let smallestLogVariance: Float
    let largestLogVariance: Float

    /// x_0 that the prediction `o` means at `x`.
    package func start(_ o: Float, _ x: Float) -> Float {
        switch prediction {
        case .epsilon: startFromCurrent * x - startFromNoise * o
        case .start: o
        case .previous: (o - meanFromCurrent * x) / meanFromStart
        }
    }

    /// The mean of x_{t-1}; a predicted mean is itself, whatever became of its x_0.
    package func mean(_ o: Float, start: Float, _ x: Float) -> Float {
        prediction == .previous ? o : meanFromStart * start + meanFromCurrent * x
    }

    /// ∂ mean / ∂ prediction.
    var meanSlope: Float {
        switch prediction {
        case .epsilon: -meanFromStart * startFromNoise
        case .start: meanFromStart
        case .previous: 1
        }
    }

    /// The noise in `x` if its clean latents are `start`.
    func noise(start: Float, _ x: Float) -> Float {
        (startFromCurrent * x - start) / startFromNoise
    }

    package func logVariance(_ v: Float) -> Float {
        if variance == .learned { return v }
        let fraction = (v + 1) / 2
        return fraction * largestLogVariance + (1 - fraction) * smallestLogVariance
    }

    /// ∂ logVariance / ∂ v.
    var logVarianceSlope: Float {
        variance == .learned ? 1 : (largestLogVariance - smallestLogVariance) / 2
    }
}

extension Diffusion {
    package func coefficients(_ step: Int) -> StepCoefficients {
        let bar = alphasCumulative[step]
        let small = posteriorLogVariance[step]
        let large = log(betas[step])
        let largeFirst = steps > 1 ? log(posteriorVariance[1]) : large
        let fixed = options.variance == .fixedSmall ? small : (step == 0 ? largeFirst : large)
        return StepCoefficients(
            prediction: options.prediction, variance: options.variance,
            startFromCurrent: Float((1 / bar).squareRoot()),
            startFromNoise: Float((1 / bar - 1).squareRoot()),
            meanFromStart: Float(meanFromStart[step]),
            meanFromCurrent: Float(meanFromCurrent[step]), fixedLogVariance: Float(fixed),
            smallestLogVariance: Float(small), largestLogVariance: Float(large))
    }
}
