// The transport where no golden run looks: previews, ends that are moved, what is refused.

import Glibc
import TestSupport
import Testing
import USPBase
import USPDiffusion
import USPTensor

private func transport(
    _ path: TransportPath = .linear, _ prediction: TransportPrediction = .velocity,
    epsilon: Double? = nil
) throws -> Transport {
    var configuration = Transport.Options()
    (configuration.path, configuration.prediction) = (path, prediction)
    (configuration.trainEpsilon, configuration.sampleEpsilon) = (epsilon, epsilon)
    return try Transport(configuration)
}

@Suite struct TransportDetailTests {
    /// A model that knows the data, whatever it is asked for: x = α·data + σ·noise, so noise =
    /// (x − α·data)/σ, velocity = α′·data + σ′·noise and score = −noise/σ. Previews show the data.
    @Test(arguments: TransportPath.allCases, TransportPrediction.allCases)
    func previewsAreOfThePredictedData(
        _ path: TransportPath, _ prediction: TransportPrediction
    ) throws {
        let data: Float = 0.7
        let denoiser = Denoiser { x, times, _ throws(USPError) in
            let p = path.coefficients(Double(times[0]))
            let values = x.values.map { x -> Float in
                let noise = (Double(x) - p.alpha * Double(data)) / p.sigma
                return switch prediction {
                case .noise: Float(noise)
                case .score: Float(-noise / p.sigma)
                case .velocity: Float(p.alphaSlope * Double(data) + p.sigmaSlope * noise)
                }
            }
            return try Tensor(x.shape, values)
        }
        var seen: [Float] = []
        var monitor = SamplingMonitor()
        monitor.preview = { state throws(USPError) in
            seen.append(state.latents?.floats[0] ?? .nan)
        }
        let flow = Sampler.Process.flow(try transport(path, prediction))
        _ = try draw(flow, "euler", denoiser, Tensor([1, 1, 1, 1], [1.5]), monitor) {
            ($0.steps, $0.previewInterval) = (6, 1)
        }
        #expect(seen.count == 5 && seen.allSatisfy { abs($0 - data) < 2e-3 }, "\(seen)")
    }

    /// The published rule with an epsilon of one's own; only SBDM's form keeps off the start.
    @Test func epsilonsKeepOffTheEndsThatTheyAreFor() throws {
        let own = try transport(epsilon: 0.01)
        func start(_ form: DiffusionForm) -> Double {
            own.publishedInterval(stochastic: true, form: form, evaluates: true).start
        }
        #expect(start(.sbdm) == 0.01 && start(.sigma) == 0)
        let flow = own.publishedInterval(stochastic: false, evaluates: true)
        #expect(flow.start == 0 && flow.end == 1)
        let noise = try transport(.linear, .noise, epsilon: 0.01)
        let ends = noise.publishedInterval(stochastic: false, evaluates: false, reverse: true)
        #expect(ends.start == 0.99 && abs(ends.end - 0.01) < 1e-15)
        #expect(
            throws: USPError(
                .argument, "train_epsilon: 0.5, expected a number of 0 to below 0.5")
        ) {
            try transport(epsilon: 0.5)
        }
    }

    /// The last step by the velocity asks at the end only a model of the noise about infinity.
    @Test func endsThatAreEvaluatedAreMoved() throws {
        func end(_ prediction: TransportPrediction, _ last: LastStep) throws -> Double {
            var options = SampleOptions()
            (options.lastStep, options.lastStepSize) = (last, 0)
            let transport = try transport(.linear, prediction, epsilon: 0)
            return try #require(try Sampler(.stochastic(transport), options).interval).end
        }
        #expect(try end(.noise, .euler) == 0.999 && end(.velocity, .euler) == 1)
        #expect(try end(.velocity, .tweedie) == 0.999 && end(.velocity, .none) == 1)
    }

    @Test func whatCannotBeIsRefused() throws {
        let (transport, x) = (try transport(), try Tensor.zeros([1, 1, 1, 1]))
        #expect(throws: USPError(.argument, "time 1.5: expected 0 to 1")) {
            try transport.noised(x, times: [1.5], noise: x)
        }
        #expect(throws: USPError(.shape, "times: expected 1 of them, got 2")) {
            try transport.losses(output: x, data: x, noise: x, times: [0.5, 0.5])
        }
        #expect(throws: USPError(.argument, "norm: -1, expected a number of 0 or more")) {
            try draw(.stochastic(transport), "Euler", echo, x) { $0.norm = -1 }
        }
    }

    /// Every shift ends where it should, to the bit.
    @Test func shiftedGridsKeepTheirEnds() throws {
        for shift in [0.1, 0.3, 1, 1.7, 3] {
            let grid = try timeGrid(from: 0.001, to: 0.999, points: 50, shift: shift)
            #expect(grid[0] == 0.001 && grid[49] == 0.999)
            #expect(zip(grid, grid.dropFirst()).allSatisfy { $0 < $1 })
        }
        // 0 is none, as 1.
        #expect(
            try timeGrid(from: 0, to: 1, points: 9, shift: 0) == timeGrid(from: 0, to: 1, points: 9)
        )
        // s·u / (1 + (s − 1)·u) at u = ½ is s / (s + 1).
        #expect(abs(try timeGrid(from: 0, to: 1, points: 3, shift: 3)[1] - 0.75) < 1e-6)
    }

    /// Differences along the probe are of third order in its length: for cubic fields x³/10 by
    /// (x + h)³ − (x − h)³ = 6x²h + 2h³, a thousandth with h = 1/8 and x = 1.
    @Test func divergencesByDifferencesAreClose() throws {
        let cubic = Denoiser { x, _, _ throws(USPError) in
            try Tensor(x.shape, x.values.map { $0 * $0 * $0 / 10 })
        }
        let one = try Tensor([1, 1, 1, 1], [1])
        var options = SampleOptions()
        (options.method, options.steps) = ("euler", 2)
        let result = try Sampler(.flow(transport()), options, for: .likelihood).likelihood(
            cubic, of: one, probe: one)
        // One Euler step from data: latent 1 − 0.1; the divergence there is 0.3.
        let latent: Float = 0.9
        let prior = -0.5 * logf(2 * Float.pi) - 0.5 * latent * latent
        #expect(abs(result.noise.floats[0] - latent) < 1e-6)
        #expect(abs(result.logLikelihood[0] - (prior - 0.3)) < 2e-3)
        #expect(abs(result.logLikelihood[0] - (prior - 0.3)) > 1e-4)
    }

    /// Quantiles of the logit-normal distribution; on GVP of 2/π · atan eⁿ.
    @Test(arguments: TransportPath.allCases) func timesAreDrawnAsTold(_ path: TransportPath) throws
    {
        var options = Transport.Options()
        (options.path, options.times, options.trainEpsilon) = (path, .lognormal, 0)
        let times = try Transport(options).drawTimes(20000, seed: 1).sorted()
        for (share, n) in [(0.05, -1.6449), (0.25, -0.6745), (0.5, 0), (0.75, 0.6745)] {
            let expected = path == .gvp ? 2 / .pi * atan(exp(n)) : 1 / (1 + exp(-n))
            #expect(abs(Double(times[Int(20000 * share)]) - expected) < 0.01)
        }
        options.times = .uniform
        let uniform = try Transport(options).drawTimes(20000, seed: 1).sorted()
        #expect(abs(uniform[5000] - 0.25) < 0.01 && uniform[0] >= 0 && uniform[19999] < 1)
    }

    /// By its own formula, and its gradient by differences.
    @Test func cosinesAlongTheChannels() throws {
        var options = Transport.Options()
        options.cosineLoss = true
        let transport = try Transport(options)
        let shape: Shape = [2, 3, 2, 2]
        let (data, noise) = (try normalTensor(shape, seed: 1), try normalTensor(shape, seed: 2))
        let output = try normalTensor(shape, seed: 3)
        let times: [Float] = [0.25, 0.5]
        func losses(_ output: Tensor) throws -> LossAndGradient {
            try transport.losses(output: output, data: data, noise: noise, times: times)
        }
        let result = try losses(output)
        let cosines = try #require(result.terms["cos_loss"])
        for sample in 0..<2 {
            var expected = 0.0
            for pixel in 0..<4 {
                let place = (0..<3).map { sample * 12 + $0 * 4 + pixel }
                let o = place.map { Double(output.values[$0]) }
                let v = place.map { Double(data.values[$0] - noise.values[$0]) }
                func dot(_ a: [Double], _ b: [Double]) -> Double {
                    zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
                }
                expected += (1 - dot(o, v) / (dot(o, o) * dot(v, v)).squareRoot()) / 4
            }
            #expect(abs(Double(cosines[sample]) - expected) < 1e-6)
            let squared = try #require(result.terms["mse"])[sample]
            #expect(result.losses[sample] == squared + cosines[sample])
        }
        for place in 0..<output.count {
            func moved(_ step: Float) throws -> Float {
                var values = output.values
                values[place] += step
                return try losses(Tensor(shape, values)).mean
            }
            let slope = (try moved(1e-2) - moved(-1e-2)) / 2e-2
            #expect(abs(slope - result.gradient.values[place]) < 2e-3)
        }
        options.prediction = .noise
        #expect(
            throws: USPError(
                .argument, "cosine_loss: has no part in the prediction noise, only in velocity")
        ) { try Transport(options) }
    }
}
