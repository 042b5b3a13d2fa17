// What no golden run shows: ends of ranges, counts of draws, when a solver looks and steps.

import Glibc
import TestSupport
import Testing
import USPBase
import USPDiffusion
import USPTensor

private func process(
    _ betas: [Double], _ prediction: GaussianPrediction = .start,
    loss: GaussianLoss = .meanSquared
) throws -> Diffusion {
    var configuration = Diffusion.Options()
    (configuration.prediction, configuration.variance) = (prediction, .fixedLarge)
    configuration.loss = loss
    return try Diffusion(configuration, betas: betas)
}

private final class Draws {
    var count = 0
    var source: NoiseSource {
        NoiseSource { [self] _, batch throws(USPError) in
            count += 1
            batch.floats.update(repeating: 0.5, count: batch.count)
        }
    }
}

@Suite struct GaussianDetailTests {
    /// −ln 10⁻¹² nats at most, and no slope there, as the original's clamp gives.
    @Test func likelihoodsAreBounded() throws {
        let process = try process([1e-4, 2e-4], loss: .bound)
        let (start, far) = (try Tensor([1, 1, 1, 1], [0]), try Tensor([1, 1, 1, 1], [3]))
        let result = try process.losses(
            output: far, start: start, noised: start, noise: start, steps: [0])
        #expect(abs(result.losses[0] - 39.863137) < 1e-4)
        #expect(result.gradient.values == [0])
    }

    @Test func stridesTakeTheLastStepsToo() throws {
        let expected = Array(stride(from: 0, to: 1000, by: 3))
        #expect(try Respacing.steps("ddim334", of: 1000) == expected)
    }

    /// Of one step there is no second variance: β is what is left.
    @Test func aSingleStepHasAFixedVariance() throws {
        let process = try process([0.25])
        #expect(process.coefficients(0).fixedLogVariance == Float(log(0.25)))
    }

    @Test func secondHalvesWithoutAMeaningAreRefused() throws {
        let process = try process([0.1, 0.2])
        let start = try Tensor.zeros([1, 2, 1, 1])
        let doubled = Denoiser { x, _, _ throws(USPError) in try Tensor.zeros([1, 4, 1, 1]) }
        #expect(
            throws: USPError(
                .shape,
                "ddim, step 1 of 2: model output: expected [1, 2, 1, 1], got [1, 4, 1, 1]")
        ) { try draw(process, "ddim", doubled, start) }
        #expect(throws: USPError(.argument, "eta: 1.0000001, expected a number of 0 to 1")) {
            try draw(process, "ddim", echo, start) { $0.eta = 1.0000001 }
        }
        #expect(throws: USPError(.shape, "weights: expected 1, got 2")) {
            try process.losses(
                output: start, start: start, noised: start, noise: start, steps: [0],
                weights: [1, 2])
        }
    }

    /// Where a step removes all but a few digits, rounding makes what is left of the variance
    /// negative.
    @Test func variancesThatRoundBelowNothingAreNothing() throws {
        let process = try process([1 - 0.8121135569535688, 0.9999999999999998])
        let start = try Tensor([1, 1, 1, 2], [1, -1])
        let constant = Denoiser { x, _, _ throws(USPError) in try Tensor(x.shape, [0.5, -0.5]) }
        let value = try draw(process, "ddim", constant, start, noise: Draws().source) {
            $0.eta = 1
        }
        #expect(value.values == [0.5, -0.5])
    }

    /// Seeds mean what they mean to the scripts only if as many numbers are drawn.
    @Test func noiseIsDrawnAsOftenAsTold() throws {
        let process = try process([0.1, 0.2, 0.3])
        let start = try Tensor([1, 1, 1, 2], [1, -1])
        func draws(_ method: String, eta: Float = 0) throws -> Int {
            let draws = Draws()
            _ = try draw(process, method, echo, start, noise: draws.source) { $0.eta = eta }
            return draws.count
        }
        #expect(try draws("ddpm") == 3 && draws("ddim") == 0 && draws("ddim", eta: 1) == 3)
        #expect(try draws("dpm++") == 0 && draws("dpm++sde") == 2)
    }

    @Test func noiseSourcesServeSeveralRuns() throws {
        let source = NoiseSource.streams(RandomKey(seed: 1))
        func run() throws -> [Float] {
            let start = try source.start([2, 1, 1, 2])
            let step = try Tensor(start.shape)
            try source.fill(step)
            return start.values + step.values
        }
        let first = try run()
        #expect(Set(first).count == 8)
        #expect(try run() == first)
        let stack = try NoiseSource.stack(Tensor.zeros([1, 2, 1, 1, 2]))
        let batch = try Tensor([2, 1, 1, 2])
        try stack.fill(batch)
        #expect(
            throws: USPError(
                .shape, "noise stack: its 1 entries are used up, one more is needed")
        ) { try stack.fill(batch) }
    }

    /// Lu et al. 2022, equation (2M), by its own formula in log signal-to-noise ratio λ; where a
    /// step is more than twice the one before, its first-order form.
    @Test(arguments: [0.9, 1.9, 2.1]) func multistepsReachAsFarAsTheirPast(_ ratio: Double) throws {
        // λ of the steps 2, 1, 0: two lengths of this ratio.
        let lambdas = [-1 + 0.5 + 0.5 * ratio, -1 + 0.5, -1]
        let bars = lambdas.map { 1 / (1 + exp(-2 * $0)) }
        let process = try process([1 - bars[0], 1 - bars[1] / bars[0], 1 - bars[2] / bars[1]])
        var seen: [Float] = []
        let denoiser = Denoiser { x, times, _ throws(USPError) in
            seen.append(x.floats[0])
            return try Tensor(x.shape, [times[0] == 2 ? 0.75 : -0.5])
        }
        _ = try draw(process, "dpm++", denoiser, Tensor([1, 1, 1, 1], [1]))
        func sigma(_ step: Int) -> Double { (1 - bars[step]).squareRoot() }
        let h = lambdas[0] - lambdas[1]
        let along = ratio < 2 ? -0.5 + 0.5 * ratio * (-0.5 - 0.75) : -0.5
        let expected =
            sigma(0) / sigma(1) * Double(seen[1]) - bars[0].squareRoot() * (exp(-h) - 1) * along
        #expect(abs(Double(seen[2]) - expected) < 1e-6)
    }

    /// The last step's preview comes whatever the interval.
    @Test func previewsComeAtTheirInterval() throws {
        let process = try process([0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
        var steps: [Int] = []
        var monitor = SamplingMonitor()
        monitor.preview = { state throws(USPError) in steps.append(state.step) }
        _ = try draw(process, "ddim", echo, Tensor.zeros([1, 1, 1, 1]), monitor) {
            $0.previewInterval = 3
        }
        #expect(steps == [3, 6, 7])
    }
}

/// A stretch that dopri5 tried: where it began and ended, by the times of its six evaluations.
private struct Attempt {
    let start: Float
    let end: Float
    var length: Float { end - start }

    /// Stages lie at 1/5, 3/10, 4/5, 8/9 and twice at 1 of the length.
    init(_ times: ArraySlice<Float>) {
        let times = Array(times)
        let length = (times[1] - times[0]) * 10
        (start, end) = (times[0] - length / 5, times[5])
    }
}

@Suite struct AdaptiveStepTests {
    /// The times at which the field is evaluated.
    private func times(
        _ transport: Transport, atol: Float, rtol: Float, _ slope: @escaping (Float) -> Float
    ) throws -> [Float] {
        var times: [Float] = []
        let denoiser = Denoiser { x, t, _ throws(USPError) in
            times.append(t[0])
            let result = try x.copied()
            for i in 0..<x.count { result.floats[i] *= slope(t[0]) }
            return result
        }
        _ = try draw(.flow(transport), "dopri5", denoiser, Tensor([1, 1, 1, 1], [1])) {
            ($0.steps, $0.atol, $0.rtol) = (2, atol, rtol)
        }
        return times
    }

    /// A model of the noise has no velocity at the end of VP's time: dopri5 stops short of it, and
    /// looks just before it, as torchdiffeq does.
    @Test func fieldsThatEndAreNotAskedBeyond() throws {
        var configuration = Transport.Options()
        (configuration.path, configuration.prediction) = (.vp, .noise)
        let transport = try Transport(configuration)
        let end = Float(transport.flowInterval(reverse: false).end)
        #expect(try times(transport, atol: 1, rtol: 1) { _ in 0.1 }.max() == end.nextDown)
    }

    /// After a step that counts the next is as long or longer, up to ten times; after one that
    /// does not it is shorter, down to a fifth.
    @Test func stepsGrowWhenTheyCountAndShrinkWhenTheyDoNot() throws {
        // A slow start, then a bump that long steps run into.
        let times = try times(Transport(), atol: 1e-7, rtol: 1e-5) { t in
            t < 0.4 ? 0.1 : 0.1 + 4 * sinf(20 * (t - 0.4))
        }
        let attempts = stride(from: 2, to: times.count, by: 6).map {
            Attempt(times[$0..<min($0 + 6, times.count)])
        }
        var (counted, refused) = (0, 0)
        for (step, next) in zip(attempts, attempts.dropFirst()) {
            let change = next.length / step.length
            if abs(next.start - step.end) < abs(next.start - step.start) {
                counted += 1
                #expect(change > 0.98 && change < 10.2)
            } else {
                refused += 1
                #expect(change > 0.196 && change < 1)
            }
        }
        #expect(counted > 5 && refused > 1)
    }

    /// Without an absolute tolerance nothing is good enough for an element of 0.
    @Test func tolerancesThatNothingMeetsAreTold() throws {
        let flow = Sampler.Process.flow(try Transport())
        #expect(throws: USPError.self) {
            try draw(flow, "dopri5", echo, Tensor([1, 1, 1, 2], [1, 0])) { $0.atol = 0 }
        }
        #expect(
            throws: USPError(
                .argument, "tolerances: expected 0 or more, not both 0, got 0.0 and 0.0")
        ) {
            try draw(flow, "dopri5", echo, Tensor.zeros([1, 1, 1, 1])) {
                ($0.atol, $0.rtol) = (0, 0)
            }
        }
    }
}
