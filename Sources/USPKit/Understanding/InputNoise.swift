// Noise in what networks see: USP's observation is that they keep their accuracy.

import Glibc
import USPBase
import USPDiffusion
import USPTensor

/// A kind of noise, whose level is a number: sigma, a step, or a share.
enum InputNoise: String, CaseIterable {
    /// Of deviation sigma in pixels of 0 ... 1, cut to that range and to 256 levels, as ImageNet-C's
    /// and USP's `add_noise`.
    case pixels
    /// √ā x + √(1 − ā) e after so many steps of DDPM's 1,000, as USP's `add_t_noise`.
    case ddpm
    /// (1 − s) x + s e: SiT's and REPA's path.
    case linear

    /// What the level is.
    var levelName: String {
        switch self {
        case .pixels: "sigma"
        case .ddpm: "t"
        case .linear: "share"
        }
    }

    /// The share of the signal and of the noise at a level; steps are 1 to 1,000.
    func weights(_ level: Double) throws(USPError) -> (signal: Float, noise: Float) {
        switch self {
        case .pixels: return (1, Float(2 * level))
        case .ddpm:
            let betas = try BetaSchedule.linear.betas(steps: 1000)
            let signal = betas.prefix(Int(level)).reduce(1) { $0 * (1 - $1) }
            return (Float(signal.squareRoot()), Float((1 - signal).squareRoot()))
        case .linear: return (Float(1 - level), Float(level))
        }
    }
}

extension Tensor {
    /// `signal` of the samples and `noise` of standard normal numbers, those of the samples' own
    /// streams.
    ///
    /// - first: the number of the first sample
    func noised(
        signal: Float, noise: Float, seed: UInt64, first: Int
    ) throws(USPError) -> Tensor {
        let drawn = try Tensor.normal(shape, seed: seed, firstSample: first)
        for index in 0..<count {
            drawn.floats[index] = signal * floats[index] + noise * drawn.floats[index]
        }
        return drawn
    }

    /// Images in −1 … 1 as 8-bit ones show them: cut, and rounded down to 256 levels.
    func quantised() {
        for index in 0..<count {
            let byte = floorf(min(max((floats[index] + 1) / 2, 0), 1) * 255)
            floats[index] = byte / 127.5 - 1
        }
    }
}
