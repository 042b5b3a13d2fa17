// What samplers refuse, and how they say it.

import TestSupport
import Testing
import USPBase
import USPDiffusion
import USPTensor

private func echo(_ x: Tensor, _ times: [Float]) throws(USPError) -> Tensor { try x.copied() }

/// Gives NaN at its third call.
private func broken() -> Denoiser {
    var calls = 0
    return { x, _ throws(USPError) in
        calls += 1
        let result = try x.copied()
        if calls == 3 { result.floats[x.count - 1] = .nan }
        return result
    }
}

private func message(_ body: () throws -> Void) -> String {
    do {
        try body()
        return "no error"
    } catch {
        return "\(error)"
    }
}

@Suite struct SamplerErrorTests {
    private func start() throws -> Tensor { try normalTensor([2, 2, 3, 3], seed: 1) }
    private func noise() -> NoiseSource { .streams(RandomKey(seed: 1)) }

    @Test func valuesThatAreNotFiniteStopTheRunAndNameTheStep() throws {
        let process = try gaussian(respacing: "5", variance: "FIXED_LARGE")
        let start = try start()
        var options = FlowOptions()
        (options.method, options.points) = (.euler, 6)
        var stochastic = StochasticOptions()
        stochastic.steps = 6
        let runs: [() throws -> Void] = [
            { _ = try process.sampleAncestral(broken(), latents: start, noise: noise()) },
            { _ = try process.sampleDDIM(broken(), latents: start) },
            { _ = try process.sampleMultistep(broken(), latents: start) },
            { _ = try process.invertDDIM(broken(), latents: start) },
            { _ = try process.bitsPerDimension(broken(), start: start, noise: noise()) },
            { _ = try Transport().sampleFlow(broken(), latents: start, options) },
            {
                _ = try Transport().sampleStochastic(
                    broken(), latents: start, noise: noise(), stochastic)
            },
        ]
        for run in runs {
            let error = #expect(throws: USPError.self) { try run() }
            #expect(error?.kind == .notFinite && error?.message.contains("step 3 of ") == true)
        }
    }

    @Test func shapesAndCountsAreChecked() throws {
        let process = try gaussian(respacing: "5")
        let start = try start()
        #expect(
            message { _ = try process.sampleDDIM(echo, latents: start) }.contains(
                "step 1 of 5: model output: expected [2, 4, 3, 3] (prediction and variance)"))
        #expect(
            message {
                _ = try process.sampleDDIM(
                    echo, latents: Tensor([2, 3], [Float](repeating: 0, count: 6)))
            }
            .contains("latents: expected a non-empty batch [B, C, H, W]"))
        #expect(
            message { _ = try process.sampleDDIM(echo, latents: start, eta: 2) }.contains("eta"))
        var options = FlowOptions()
        for points in [0, 1, -1] {
            options.points = points
            #expect(
                message { _ = try Transport().sampleFlow(echo, latents: start, options) }
                    .contains("steps: expected 2 to 1000000"))
        }
        options = FlowOptions()
        options.shift = 0
        #expect(
            message { _ = try Transport().sampleFlow(echo, latents: start, options) }
                .contains("timestep shift"))
        var stochastic = StochasticOptions()
        stochastic.lastSize = 1
        #expect(
            message {
                _ = try Transport().sampleStochastic(
                    echo, latents: start, noise: noise(), stochastic)
            }.contains("last step size"))
    }

    @Test func unknownNamesAreToldWithTheNearest() {
        func expect<Choice: NamedChoice>(_ type: Choice.Type, _ name: String, _ nearest: String) {
            let text = message { _ = try type.named(name) }
            #expect(text.contains("did you mean \"\(nearest)\"?"), "\(text)")
            for choice in type.allCases { #expect(text.contains(choice.rawValue)) }
        }
        expect(BetaSchedule.self, "lineal", "linear")
        expect(GaussianPrediction.self, "epsilom", "epsilon")
        expect(GaussianVariance.self, "fixed-smal", "fixed-small")
        expect(GaussianLoss.self, "rescaled-ml", "rescaled-kl")
        expect(TransportPath.self, "lineer", "Linear")
        expect(TransportPrediction.self, "velocitty", "velocity")
        expect(TransportWeight.self, "likelihod", "likelihood")
        expect(ODEMethod.self, "dopri", "dopri5")
        expect(StochasticMethod.self, "huen", "Heun")
        expect(DiffusionForm.self, "sigmma", "sigma")
        expect(LastStep.self, "meen", "Mean")
    }

    @Test func movedEndsAreSaid() throws {
        let transport = try Transport()
        func interval(
            _ form: DiffusionForm, _ method: StochasticMethod, _ last: LastStep
        ) -> TransportInterval {
            transport.stochasticInterval(form: form, method: method, last: last, lastStep: 0.04)
        }
        #expect(interval(.sigma, .euler, .mean).notes.isEmpty)
        #expect(interval(.constant, .euler, .mean).notes.isEmpty)
        #expect(interval(.sbdm, .euler, .mean).start == 0.001)
        #expect(interval(.sbdm, .euler, .mean).notes[0].contains("infinite at t = 0"))
        #expect(interval(.sigma, .heun, .none).end == 0.999)
        #expect(interval(.sigma, .heun, .none).notes[0].contains("infinite at t = 1"))
        #expect(interval(.sbdm, .heun, .none).notes.count == 2)
    }

    @Test(arguments: DiffusionForm.allCases, LastStep.allCases)
    func everyFormAndLastStepIsFinite(_ form: DiffusionForm, _ last: LastStep) throws {
        for path in TransportPath.allCases {
            var configuration = Transport.Configuration()
            configuration.path = path
            for method in StochasticMethod.allCases {
                var options = StochasticOptions()
                (options.form, options.last, options.method) = (form, last, method)
                options.steps = 250
                let value = try Transport(configuration).sampleStochastic(
                    { x, times throws(USPError) in
                        let result = try x.copied()
                        for i in 0..<x.count { result.floats[i] *= -0.5 }
                        return result
                    }, latents: start(), noise: noise(), options)
                #expect(value.values.allSatisfy { $0.isFinite && abs($0) < 100 })
            }
        }
    }
}
