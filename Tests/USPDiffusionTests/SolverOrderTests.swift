// Solvers against known solutions: Gaussian data, whose exact denoiser and flow are linear.

import Glibc
import TestSupport
import Testing
import USPBase
import USPDiffusion
import USPTensor

private let deviation = 0.5

/// The velocity of the linear path to data N(0, deviation²); it carries x to deviation · x.
private var velocity: Denoiser {
    Denoiser { x, times, _ throws(USPError) in
        let t = Double(times[0])
        let variance = deviation * deviation
        let slope = (t * variance - (1 - t)) / ((1 - t) * (1 - t) + t * t * variance)
        let result = try Tensor(x.shape)
        for i in 0..<x.count { result.floats[i] = Float(slope) * x.floats[i] }
        return result
    }
}

/// x′ = cos 3t − (½ + t) x, whose solution at 1 is e⁻¹ (x₀ + ∫ exp((s + s²) / 2) cos 3s ds).
private var forced: Denoiser {
    Denoiser { x, times, _ throws(USPError) in
        let t = Double(times[0])
        let result = try Tensor(x.shape)
        for i in 0..<x.count {
            result.floats[i] = Float(cos(3 * t) - (0.5 + t) * Double(x.floats[i]))
        }
        return result
    }
}

private func forcedError(
    _ method: String, _ monitor: SamplingMonitor = SamplingMonitor(),
    _ change: (inout SampleOptions) -> Void
) throws -> Double {
    let noise = try Tensor([1, 1, 1, 2], [1, -0.75])
    let integral = -0.24434892864932276
    let data = try draw(.flow(Transport()), method, forced, noise, for: .sample, monitor, change)
    return relativeError(data, noise.values.map { Float(exp(-1) * (Double($0) + integral)) })
}

/// Steps that are even in log signal-to-noise ratio, where multistep orders are plain to see.
private func evenProcess(steps: Int) throws -> Diffusion {
    let bars = (0..<steps).map { index -> Double in
        let half = 3 - 5 * Double(index) / Double(steps - 1)
        return 1 / (1 + exp(-2 * half))
    }
    let betas = bars.indices.map { 1 - bars[$0] / ($0 == 0 ? 1 : bars[$0 - 1]) }
    var configuration = Diffusion.Options()
    configuration.variance = .fixedLarge
    return try Diffusion(configuration, betas: betas)
}

/// E[noise | x] for data N(0, deviation²).
private func exactNoise(_ process: Diffusion) -> Denoiser {
    Denoiser { x, times, _ throws(USPError) in
        let bar = process.alphasCumulative[Int(times[0])]
        let slope = (1 - bar).squareRoot() / (bar * deviation * deviation + 1 - bar)
        let result = try Tensor(x.shape)
        for i in 0..<x.count { result.floats[i] = Float(slope) * x.floats[i] }
        return result
    }
}

/// What the exact flow, and the prediction at its end, make of x = 1.
private func exactSample(_ process: Diffusion) -> Float {
    let variance = deviation * deviation
    func spread(_ bar: Double) -> Double { (bar * variance + 1 - bar).squareRoot() }
    let (first, last) = (process.alphasCumulative[0], process.alphasCumulative[process.steps - 1])
    return Float(first.squareRoot() * variance / (spread(first) * spread(last)))
}

/// Rows of signs that are orthogonal to each other and to 1 (Walsh's functions).
private func signs(_ row: Int, _ count: Int) -> [Float] {
    (0..<count).map { ($0 & row).nonzeroBitCount % 2 == 0 ? 1 : -1 }
}

@Suite struct SolverOrderTests {
    @Test(arguments: [
        ("euler", 1, 16), ("midpoint", 2, 16), ("heun", 2, 16), ("heun3", 3, 8), ("rk4", 4, 6),
        ("adams-bashforth", 2, 16), ("adams-bashforth3", 3, 16),
    ])
    func fixedStepsHaveTheirOrder(_ method: String, _ order: Int, _ steps: Int) throws {
        func error(_ steps: Int) throws -> Double {
            try forcedError(method) { $0.steps = steps + 1 }
        }
        let measured = log2(try error(steps) / error(2 * steps))
        #expect(abs(measured - Double(order)) < 0.4, "\(measured)")
    }

    /// The tolerance is that of a step; errors add up. Fifth order: a hundredth of the tolerance
    /// costs 100^(1/5) = 2.5 times the evaluations.
    @Test func adaptiveStepsKeepTheirTolerance() throws {
        var evaluations: [Int] = []
        for tolerance: Float in [1e-3, 1e-4, 1e-5] {
            var calls = 0.0
            let monitor = SamplingMonitor { state throws(USPError) in calls = state.evaluations }
            let error = try forcedError("dopri5", monitor) {
                ($0.atol, $0.rtol) = (tolerance * 1e-3, tolerance)
            }
            #expect(error < 2 * Double(tolerance))
            evaluations.append(Int(calls))
        }
        #expect(evaluations[2] < 3 * evaluations[0] && evaluations[2] < 100, "\(evaluations)")
    }

    /// torchdiffeq 0.2.5's `odeint(method="bosh3")` on the same problem in float32: its result and
    /// how often it evaluated the field.
    @Test(
        arguments: [
            (0.01, 20, [0.28521004, -0.36157334]), (0.001, 35, [0.27954611, -0.36505383]),
            (0.0001, 62, [0.27813447, -0.36575177]),
        ] as [(Float, Int, [Float])])
    func thirdOrderIsTorchdiffeqs(
        _ tolerance: Float, _ evaluations: Int, _ expected: [Float]
    ) throws {
        var calls = 0.0
        let monitor = SamplingMonitor { state throws(USPError) in calls = state.evaluations }
        let noise = try Tensor([1, 1, 1, 2], [1, -0.75])
        let data = try draw(.flow(Transport()), "bosh3", forced, noise, for: .sample, monitor) {
            ($0.atol, $0.rtol) = (tolerance * 1e-3, tolerance)
        }
        #expect(Int(calls) == evaluations)
        #expect(relativeError(data, expected) < 1e-6)
    }

    @Test func flowsCarryNoiseToTheData() throws {
        let noise = try Tensor([1, 1, 1, 2], [1, -0.75])
        let data = try draw(.flow(Transport()), "rk4", velocity, noise) { $0.steps = 21 }
        #expect(relativeError(data, noise.values.map { Float(deviation) * $0 }) < 1e-6)
    }

    @Test func gaussianSolversHaveTheirOrder() throws {
        func error(_ steps: Int, multistep: Bool) throws -> Double {
            let process = try evenProcess(steps: steps)
            let start = try Tensor([1, 1, 1, 1], [1])
            let value = try draw(
                process, multistep ? "dpm++" : "ddim", exactNoise(process), start)
            return relativeError(value, [exactSample(process)])
        }
        for (multistep, order) in [(false, 1.0), (true, 2.0)] {
            let (coarse, fine) = (
                try error(20, multistep: multistep), try error(40, multistep: multistep)
            )
            let measured = log2(coarse / fine)
            #expect(abs(measured - order) < 0.35, "\(measured)")
        }
        #expect(try error(20, multistep: true) < 0.1 * error(20, multistep: false))
    }

    /// With orthogonal signs as noise the mean square over the samples is the scheme's exact
    /// variance, without chance; it approaches that of the data as steps get shorter.
    @Test(arguments: ["Euler", "Heun"], [DiffusionForm.sigma, .decreasing])
    func stochasticSolversApproachTheVariance(
        _ method: String, _ form: DiffusionForm
    ) throws {
        func error(_ steps: Int) throws -> Double {
            let count = 128
            let start = try Tensor([1, 1, 1, count], signs(1, count))
            var row = 1
            let noise = NoiseSource { _, batch throws(USPError) in
                row += 1
                try batch.copy(from: Tensor(batch.shape, signs(row, count)))
            }
            let data = try draw(
                .stochastic(Transport()), method, velocity, start, noise: noise
            ) {
                ($0.form, $0.steps, $0.lastStep, $0.lastStepSize) = (form, steps + 1, .euler, 0.01)
            }
            let square = data.values.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(count)
            return abs(square / (deviation * deviation) - 1)
        }
        let (coarse, fine) = (try error(50), try error(100))
        #expect(fine < 0.65 * coarse && fine < 0.03, "\(coarse) \(fine)")
    }

    @Test func multistepNoiseHasTheVarianceOfTheData() throws {
        func error(_ steps: Int) throws -> Double {
            let process = try evenProcess(steps: steps)
            let count = 128
            let last = process.alphasCumulative[steps - 1]
            let scale = Float((last * deviation * deviation + 1 - last).squareRoot())
            let start = try Tensor([1, 1, 1, count], signs(1, count).map { scale * $0 })
            var row = 1
            let noise = NoiseSource { _, batch throws(USPError) in
                row += 1
                try batch.copy(from: Tensor(batch.shape, signs(row, count)))
            }
            let data = try draw(
                process, "dpm++sde", exactNoise(process), start, noise: noise)
            let square = data.values.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(count)
            // The last step gives the mean of the data at the least noisy step.
            let bar = process.alphasCumulative[0]
            let variance = deviation * deviation
            let expected = bar * variance * variance / (bar * variance + 1 - bar)
            return abs(square / expected - 1)
        }
        let (coarse, fine) = (try error(20), try error(40))
        #expect(fine < 0.4 * coarse && fine < 0.02, "\(coarse) \(fine)")
    }
}
